/* trace.c: see trace.h.
**
** The function gets { method=, path=, status=, seconds=, bytes=, sent=, retry=, op=, error= }: never a header or a body,
** and the path without what may be a secret: who somebody is in a URL (remote=https://user:token@…), the values of
** build arguments and of a commit's changes, and of whatever is called a token, a password, a secret or a key.
**
** It is called between two turns of the loop, never from a callback, and cannot yield. A call's result does not depend
** on it: what it raises is a warning (lua_warning: warn("@on") shows them), and the next request is told of again. */

#define _GNU_SOURCE /* memmem */
#include "trace.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "client.h"

#define MASK "…"

void trace_begin(struct call *k) {
  if (!k->client->traces) return;
  k->traced = 1;
  k->retry = k->resent;
  k->begun = uv_hrtime();
}

/* ---- the path ---- */

static int holds(const char *name, size_t length, const char *word) {
  size_t n = strlen(word), i;
  for (i = 0; i + n <= length; i++) {
    if (strncasecmp(name + i, word, n) == 0) return 1;
  }
  return 0;
}

static int is_secret(const char *name, size_t length) {
  static const char *const words[] = {"buildargs", "changes", "token", "passw", "secret", "auth", "key"};
  size_t i;
  if (length == 10 && memcmp(name, "detachKeys", length) == 0) return 0;
  for (i = 0; i < sizeof words / sizeof *words; i++) {
    if (holds(name, length, words[i])) return 1;
  }
  return 0;
}

/* Where text[0..length) has an '@', percent-encoded or not, before the first '/', '?' or '#': what is behind it; else
** 0. */
static size_t behind_userinfo(const char *text, size_t length) {
  size_t i, found = 0;
  for (i = 0; i < length && !strchr("/?#", text[i]); i++) {
    if (text[i] == '@') found = i + 1;
    else if (i + 2 < length && memcmp(text + i, "%40", 3) == 0) found = i + 3;
    else if (i + 2 < length && (memcmp(text + i, "%2F", 3) == 0 || memcmp(text + i, "%3F", 3) == 0)) break;
  }
  return found;
}

/* A parameter's value, without the userinfo of URLs in it. */
static void add_value(luaL_Buffer *b, const char *text, size_t length) {
  while (length > 0) {
    const char *mark = memmem(text, length, "://", 3);
    size_t to = mark ? (size_t)(mark - text) + 3 : length, skip;
    luaL_addlstring(b, text, to);
    text += to;
    length -= to;
    skip = behind_userinfo(text, length);
    if (skip == 0) continue;
    luaL_addstring(b, MASK "@");
    text += skip;
    length -= skip;
  }
}

static void push_path(lua_State *L, const char *url) {
  size_t length = strcspn(url, "?");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, url, length);
  url += length;
  while (*url) {
    size_t name = strcspn(url + 1, "=&"), value;
    luaL_addlstring(&b, url, name + 1); /* with its '?' or '&' */
    if (url[name + 1] == '=') {
      const char *text = url + name + 2;
      value = strcspn(text, "&");
      luaL_addchar(&b, '=');
      if (is_secret(url + 1, name)) luaL_addstring(&b, MASK);
      else add_value(&b, text, value);
      url = text + value;
    } else {
      url += name + 1;
    }
  }
  luaL_pushresult(&b);
}

/* ---- the event ---- */

static void set_integer(lua_State *L, const char *field, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

/* The kind of the error that the results say, if they say one. */
static void set_error(lua_State *L, int n, int event) {
  int err = event - 2; /* below the function and the event */
  if (n == CALL_RAISE) {
    lua_pushstring(L, lx_kind_name(KIND_CANCELLED));
    lua_setfield(L, event, "error");
  } else if (n == 2 && lua_istable(L, err) && lua_isnil(L, err - 1)) {
    lua_getfield(L, err, "kind");
    lua_setfield(L, event, "error");
  }
}

static void push_event(lua_State *L, struct call *k, int n) {
  static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"}; /* enum transfer_method */
  const struct transfer *x = k->transfer;
  int event;
  lua_createtable(L, 0, 9);
  event = lua_gettop(L);
  lua_pushstring(L, methods[x->request.method]);
  lua_setfield(L, event, "method");
  push_path(L, x->request.url);
  lua_setfield(L, event, "path");
  if (x->status) set_integer(L, "status", x->status);
  lua_pushnumber(L, (lua_Number)(uv_hrtime() - k->begun) / 1e9);
  lua_setfield(L, event, "seconds");
  set_integer(L, "bytes", (lua_Integer)x->received);
  set_integer(L, "sent", (lua_Integer)x->sent_bytes);
  set_integer(L, "retry", k->retry + (x->attempts > 1 ? x->attempts - 1 : 0));
  lua_pushstring(L, k->name);
  lua_setfield(L, event, "op");
  set_error(L, n, event);
}

void trace_end(lua_State *L, struct call *k, int n) {
  if (!k->traced) return;
  k->traced = 0;
  luaL_checkstack(L, 8, NULL);
  lua_getiuservalue(L, k->box, CALL_CLIENT);
  lua_getiuservalue(L, -1, CLIENT_DATA);
  lx_option(L, -1, "trace");
  lua_replace(L, -3);
  lua_pop(L, 1);
  push_event(L, k, n);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  luaL_tolstring(L, -1, NULL);
  lua_warning(L, "docker_watcher: trace: ", 1);
  lua_warning(L, lua_tostring(L, -1), 0);
  lua_pop(L, 2);
}
