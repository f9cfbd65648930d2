/* pureprobe.c: a door for the specs to the C units that do no I/O, without an engine, a loop or a client. Test-only.
**
** Every argument is copied to a block of exactly its size first, so that the address sanitizer sees a read of one byte
** too many. Built as spec/support/pureprobe.so from this file and ref auth endpoint frames httphead
** jsonseq json buf sshwords tlswords. */

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/auth.h"
#include "../../src/buf.h"
#include "../../src/endpoint.h"
#include "../../src/frames.h"
#include "../../src/httphead.h"
#include "../../src/json.h"
#include "../../src/jsonseq.h"
#include "../../src/ref.h"
#include "../../src/sshwords.h"
#include "../../src/tlswords.h"

#define HELD "docker_watcher.pureprobe.held"

/* A block that the collector frees, whatever is raised meanwhile. */
struct held {
  char *data;
  struct buf buf;
  struct frames frames;
};

static int held_gc(lua_State *L) {
  struct held *h = luaL_checkudata(L, 1, HELD);
  free(h->data);
  h->data = NULL;
  buf_free(&h->buf);
  frames_free(&h->frames);
  return 0;
}

static struct held *hold(lua_State *L) {
  struct held *h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  buf_init(&h->buf, (size_t)64 << 20);
  frames_init(&h->frames);
  luaL_setmetatable(L, HELD);
  return h;
}

/* An exact copy of the string at arg; pushes its owner. */
static const char *exact(lua_State *L, int arg, size_t *length) {
  const char *text = luaL_checklstring(L, arg, length);
  struct held *h = hold(L);
  h->data = malloc(*length ? *length : 1);
  if (!h->data) luaL_error(L, "out of memory");
  memcpy(h->data, text, *length);
  return h->data;
}

static void set_text(lua_State *L, const char *name, const char *text, size_t length) {
  if (!text) return;
  lua_pushlstring(L, text, length);
  lua_setfield(L, -2, name);
}

static int fail(lua_State *L, const char *reason) {
  lua_pushnil(L);
  lua_pushstring(L, reason);
  return 2;
}

static const char *status_name(int status) {
  switch (status) {
    case BUF_OK: return "ok";
    case BUF_FULL: return "full";
    case BUF_NO_MEMORY: return "no memory";
    case JSON_BAD_UTF8: return "bad utf-8";
    default: return "?";
  }
}

static int push_buf(lua_State *L, const struct buf *b, int status) {
  if (status != BUF_OK) return fail(L, status_name(status));
  lua_pushlstring(L, b->data ? b->data : "", b->length);
  return 1;
}

static void set_printed(lua_State *L, const char *name, int (*put)(struct buf *, const struct ref *),
                        const struct ref *r) {
  struct held *h = hold(L);
  int status = put(&h->buf, r);
  lua_pushvalue(L, -2);
  push_buf(L, &h->buf, status);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

/* ref_parse(text) → { domain, path, library, tag, digest, full_path, name, familiar } | nil, reason */
static int fn_ref_parse(lua_State *L) {
  size_t length;
  const char *text = exact(L, 1, &length), *reason;
  struct ref r;
  if (ref_parse(&r, text, length, &reason) != 0) return fail(L, reason);
  lua_newtable(L);
  set_text(L, "domain", r.domain.text, r.domain.length);
  set_text(L, "path", r.path.text, r.path.length);
  set_text(L, "tag", r.tag.text, r.tag.length);
  set_text(L, "digest", r.digest.text, r.digest.length);
  lua_pushboolean(L, r.library);
  lua_setfield(L, -2, "library");
  set_printed(L, "full_path", ref_put_path, &r);
  set_printed(L, "name", ref_put_name, &r);
  set_printed(L, "familiar", ref_put_familiar, &r);
  return 1;
}

/* ref_is(kind, text) → boolean; kind: tag, digest, id, label_name */
static int fn_ref_is(lua_State *L) {
  static const char *const kinds[] = {"tag", "digest", "id", "label_name", NULL};
  static int (*const tests[])(const char *, size_t) = {ref_is_tag, ref_is_digest, ref_is_id, ref_is_label_name};
  int kind = luaL_checkoption(L, 1, NULL, kinds);
  size_t length;
  const char *text = exact(L, 2, &length);
  lua_pushboolean(L, tests[kind](text, length));
  return 1;
}

/* container_name(project, stage, tag) → name | nil, status */
static int fn_container_name(lua_State *L) {
  size_t project_length, stage_length, tag_length;
  const char *project = exact(L, 1, &project_length);
  const char *stage = exact(L, 2, &stage_length);
  const char *tag = exact(L, 3, &tag_length);
  struct held *h = hold(L);
  int status = ref_container_name(&h->buf, project, project_length, stage, stage_length, tag, tag_length);
  return push_buf(L, &h->buf, status);
}

static const char *field(lua_State *L, const char *name, size_t *length) {
  const char *text = NULL;
  lua_getfield(L, 1, name);
  if (!lua_isnil(L, -1)) text = exact(L, lua_gettop(L), length);
  return text; /* its owner stays on the stack */
}

/* auth_encode{ username=, password=, … } → header value | nil, status */
static int fn_auth_encode(lua_State *L) {
  struct auth a;
  struct held *h;
  luaL_checktype(L, 1, LUA_TTABLE);
  memset(&a, 0, sizeof a);
  a.username = field(L, "username", &a.username_length);
  a.password = field(L, "password", &a.password_length);
  a.identitytoken = field(L, "identitytoken", &a.identitytoken_length);
  a.registrytoken = field(L, "registrytoken", &a.registrytoken_length);
  a.serveraddress = field(L, "serveraddress", &a.serveraddress_length);
  h = hold(L);
  return push_buf(L, &h->buf, auth_encode(&h->buf, &a));
}

static int fn_auth_server(lua_State *L) {
  size_t length, server_length;
  const char *domain = exact(L, 1, &length);
  const char *server = auth_server(domain, length, &server_length);
  lua_pushlstring(L, server, server_length);
  return 1;
}

/* endpoint_parse(text, tls) → { kind, path, host, user, port, tls } | nil, reason */
static int fn_endpoint_parse(lua_State *L) {
  static const char *const kinds[] = {"unix", "tcp", "ssh"};
  int tls = lua_toboolean(L, 2);
  size_t length;
  const char *text = exact(L, 1, &length), *reason;
  struct endpoint e;
  if (endpoint_parse(&e, text, length, tls, &reason) != 0) return fail(L, reason);
  lua_newtable(L);
  set_text(L, "kind", kinds[e.kind], strlen(kinds[e.kind]));
  set_text(L, "path", e.path, strlen(e.path));
  set_text(L, "host", e.host, strlen(e.host));
  set_text(L, "user", e.user, strlen(e.user));
  lua_pushinteger(L, e.port);
  lua_setfield(L, -2, "port");
  lua_pushboolean(L, e.tls);
  lua_setfield(L, -2, "tls");
  return 1;
}

/* sshwords(bytes, size, status) → text, next, unreached */
static int fn_sshwords(lua_State *L) {
  size_t length, size = (size_t)luaL_checkinteger(L, 2);
  int status = (int)luaL_optinteger(L, 3, 255);
  const char *bytes = exact(L, 1, &length);
  struct held *h = hold(L);
  h->data = malloc(size ? size : 1);
  if (!h->data) return luaL_error(L, "out of memory");
  h->data[0] = '\0';
  sshwords(bytes, length, h->data, size);
  lua_pushstring(L, h->data);
  lua_pushstring(L, sshwords_next(bytes, length, status));
  lua_pushboolean(L, sshwords_unreached(bytes, length, status));
  return 3;
}

/* tlswords(text, size, has_cert) → text, advice | nil, refused; the text of tlswords_closed where none is given */
static int fn_tlswords(lua_State *L) {
  const char *text = luaL_optstring(L, 1, NULL), *advice;
  size_t size = (size_t)luaL_checkinteger(L, 2);
  struct held *h = hold(L);
  h->data = malloc(size ? size : 1);
  if (!h->data) return luaL_error(L, "out of memory");
  snprintf(h->data, size, "%s", text ? text : "");
  lua_pushnil(L);
  if (text) advice = tlswords(h->data, size, lua_toboolean(L, 3));
  else advice = tlswords_closed(h->data, size, lua_toboolean(L, 3));
  lua_pushstring(L, h->data);
  lua_pushstring(L, advice);
  lua_pushboolean(L, text && tlswords_refused(text));
  return 3;
}

/* httphead(chunks) → { status=, minor=, framing=, length=, lines= }, consumed | nil, fault, limit, consumed */
static int fn_httphead(lua_State *L) {
  static const char *const framings[] = {"none", "length", "chunked", "close", "upgraded"};
  static const char *const states[] = {"status", "lines"};
  struct httphead h;
  lua_Integer i, chunks, consumed = 0;
  struct held *held;
  luaL_checktype(L, 1, LUA_TTABLE);
  chunks = luaL_len(L, 1);
  held = hold(L);
  httphead_init(&h, &held->buf);
  held->buf.cap = h.line.cap;
  for (i = 1; i <= chunks; i++) {
    size_t length, used;
    const char *bytes;
    lua_rawgeti(L, 1, i);
    bytes = exact(L, lua_gettop(L), &length);
    used = httphead_feed(&h, bytes, length);
    consumed += (lua_Integer)used;
    lua_pop(L, 2);
    if (used < length) break;
  }
  httphead_free(&h);
  if (h.state != HTTPHEAD_DONE) {
    fail(L, h.state == HTTPHEAD_FAILED ? h.fault : states[h.state]);
    lua_pushstring(L, h.limit);
    lua_pushinteger(L, consumed);
    return 4;
  }
  lua_newtable(L);
  lua_pushinteger(L, h.status);
  lua_setfield(L, -2, "status");
  lua_pushinteger(L, h.minor);
  lua_setfield(L, -2, "minor");
  lua_pushstring(L, framings[h.framing]);
  lua_setfield(L, -2, "framing");
  lua_pushinteger(L, (lua_Integer)h.length);
  lua_setfield(L, -2, "length");
  lua_pushlstring(L, held->buf.data ? held->buf.data : "", held->buf.length);
  lua_setfield(L, -2, "lines");
  lua_pushinteger(L, consumed);
  return 2;
}

static int take_body(void *context, const char *bytes, size_t count) {
  struct held *h = context;
  return count == 0 || buf_append(&h->buf, bytes, count) != BUF_OK;
}

/* httpbody(framing, length, chunks) → body, consumed, complete | nil, fault, limit, body, consumed */
static int fn_httpbody(lua_State *L) {
  static const char *const framings[] = {"none", "length", "chunked", "close", "upgraded", NULL};
  struct httpbody b;
  lua_Integer i, chunks, consumed = 0;
  struct held *held;
  httpbody_init(&b, (enum http_framing)luaL_checkoption(L, 1, NULL, framings), (uint64_t)luaL_checkinteger(L, 2));
  luaL_checktype(L, 3, LUA_TTABLE);
  chunks = luaL_len(L, 3);
  held = hold(L);
  for (i = 1; i <= chunks; i++) {
    size_t length, used;
    const char *bytes;
    lua_rawgeti(L, 3, i);
    bytes = exact(L, lua_gettop(L), &length);
    used = httpbody_feed(&b, bytes, length, take_body, held);
    consumed += (lua_Integer)used;
    lua_pop(L, 2);
    if (used < length) break;
  }
  if (b.state == HTTPBODY_FAILED) {
    fail(L, b.fault);
    lua_pushstring(L, b.limit);
  }
  lua_pushlstring(L, held->buf.data ? held->buf.data : "", held->buf.length);
  lua_pushinteger(L, consumed);
  if (b.state == HTTPBODY_FAILED) return 5;
  lua_pushboolean(L, httpbody_finish(&b) == 0);
  return 3;
}

/* Where pieces of frames go: a list on the Lua stack. */
struct pieces {
  lua_State *L;
  int list;
  lua_Integer count, stop_after; /* stop_after 0: never */
};

static int take_piece(void *context, int stream, const char *bytes, size_t count) {
  struct pieces *p = context;
  lua_createtable(p->L, 0, 2);
  lua_pushinteger(p->L, stream);
  lua_setfield(p->L, -2, "stream");
  set_text(p->L, "text", bytes, count);
  lua_rawseti(p->L, p->list, ++p->count);
  return p->count == p->stop_after;
}

/* frames(chunks, stop_after) → { {stream=, text=}, … }, consumed | nil, fault, pieces, daemon's text, consumed */
static int fn_frames(lua_State *L) {
  struct pieces p = {L, 0, 0, luaL_optinteger(L, 2, 0)};
  lua_Integer i, chunks, consumed = 0;
  struct held *h;
  luaL_checktype(L, 1, LUA_TTABLE);
  chunks = luaL_len(L, 1);
  lua_newtable(L);
  p.list = lua_gettop(L);
  h = hold(L);
  for (i = 1; i <= chunks; i++) {
    size_t length, used;
    const char *bytes;
    lua_rawgeti(L, 1, i);
    bytes = exact(L, lua_gettop(L), &length);
    used = frames_feed(&h->frames, bytes, length, take_piece, &p);
    consumed += (lua_Integer)used;
    lua_pop(L, 2);
    if (used < length) break;
  }
  if (p.stop_after > 0 || frames_finish(&h->frames) == 0) {
    lua_pushvalue(L, p.list);
    lua_pushinteger(L, consumed);
    return 2;
  }
  fail(L, h->frames.fault);
  lua_pushvalue(L, p.list);
  lua_pushlstring(L, h->frames.error.data ? h->frames.error.data : "", h->frames.error.length);
  lua_pushinteger(L, consumed);
  return 5;
}

/* Appends values that are complete to the list at index `list`; 0, or -1. */
static int drain(lua_State *L, struct jsonseq *s, struct buf *b, int list, lua_Integer *count) {
  for (;;) {
    size_t start, end;
    char *copy = malloc(b->length ? b->length : 1); /* exact again */
    int found;
    if (!copy) return luaL_error(L, "out of memory");
    if (b->length) memcpy(copy, b->data, b->length);
    found = jsonseq_next(s, copy, b->length, &start, &end);
    free(copy);
    if (found < 0) return -1;
    if (found > 0) {
      lua_pushlstring(L, b->data + start, end - start);
      lua_rawseti(L, list, ++*count);
    }
    buf_consume(b, found > 0 ? end : start);
    if (found == 0) return 0;
  }
}

/* jsonseq(chunks) → { text, … } | nil, "too long"|"cut", texts */
static int fn_jsonseq(lua_State *L) {
  struct jsonseq s;
  struct held *h;
  lua_Integer i, chunks, count = 0;
  size_t start, end;
  int list, found = 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  chunks = luaL_len(L, 1);
  lua_newtable(L);
  list = lua_gettop(L);
  h = hold(L);
  jsonseq_init(&s);
  for (i = 1; i <= chunks && found == 0; i++) {
    size_t length;
    const char *bytes;
    lua_rawgeti(L, 1, i);
    bytes = luaL_checklstring(L, -1, &length);
    if (buf_append(&h->buf, bytes, length) != BUF_OK) return luaL_error(L, "out of memory");
    lua_pop(L, 1);
    found = drain(L, &s, &h->buf, list, &count);
  }
  if (found == 0) {
    found = jsonseq_finish(&s, h->buf.data, h->buf.length, &start, &end);
    if (found > 0) {
      lua_pushlstring(L, h->buf.data + start, end - start);
      lua_rawseti(L, list, ++count);
    }
    if (found < 0) fail(L, "cut");
  } else {
    fail(L, "too long");
  }
  lua_pushvalue(L, list);
  return found < 0 ? 3 : 1;
}

/* buf_percent(text, keep, cap) → text | nil, status */
static int fn_buf_percent(lua_State *L) {
  const char *keep = luaL_checkstring(L, 2);
  lua_Integer cap = luaL_optinteger(L, 3, 1 << 20);
  size_t length;
  const char *text = exact(L, 1, &length);
  struct held *h = hold(L);
  h->buf.cap = (size_t)cap;
  return push_buf(L, &h->buf, buf_percent(&h->buf, text, length, keep));
}

/* buf(cap, {{"append", text} | {"putc", text} | {"printf", text, integer} | {"consume", n} | {"shrink", n} | {"clear"}
** | {"reserve", n}, …}) → contents, { status, … }, bytes allocated */
static int fn_buf(lua_State *L) {
  static const char *const verbs[] = {"append", "putc", "printf", "consume", "shrink", "clear", "reserve", NULL};
  struct held *h;
  lua_Integer i, steps;
  int statuses;
  luaL_checktype(L, 2, LUA_TTABLE);
  steps = luaL_len(L, 2);
  lua_newtable(L);
  statuses = lua_gettop(L);
  h = hold(L);
  buf_init(&h->buf, (size_t)luaL_checkinteger(L, 1));
  for (i = 1; i <= steps; i++) {
    int status = BUF_OK, top = lua_gettop(L);
    size_t length;
    const char *text;
    lua_rawgeti(L, 2, i);
    lua_rawgeti(L, top + 1, 1);
    lua_rawgeti(L, top + 1, 2);
    lua_rawgeti(L, top + 1, 3);
    switch (luaL_checkoption(L, top + 2, NULL, verbs)) {
      case 0:
        text = exact(L, top + 3, &length);
        status = buf_append(&h->buf, text, length);
        break;
      case 1: status = buf_putc(&h->buf, *luaL_checkstring(L, top + 3)); break;
      case 2:
        status = buf_printf(&h->buf, "%s=%d", luaL_checkstring(L, top + 3), (int)luaL_checkinteger(L, top + 4));
        break;
      case 3: buf_consume(&h->buf, (size_t)luaL_checkinteger(L, top + 3)); break;
      case 4: buf_shrink(&h->buf, (size_t)luaL_checkinteger(L, top + 3)); break;
      case 5: buf_clear(&h->buf); break;
      default: status = buf_reserve(&h->buf, (size_t)luaL_checkinteger(L, top + 3)); break;
    }
    lua_pushstring(L, status_name(status));
    lua_rawseti(L, statuses, i);
    lua_settop(L, top);
  }
  push_buf(L, &h->buf, BUF_OK);
  lua_pushvalue(L, statuses);
  lua_pushinteger(L, (lua_Integer)h->buf.size);
  return 3;
}

static const luaL_Reg functions[] = {
  {"ref_parse", fn_ref_parse}, {"ref_is", fn_ref_is}, {"container_name", fn_container_name},
  {"auth_encode", fn_auth_encode}, {"auth_server", fn_auth_server}, {"endpoint_parse", fn_endpoint_parse},
  {"frames", fn_frames}, {"httphead", fn_httphead}, {"httpbody", fn_httpbody}, {"jsonseq", fn_jsonseq},
  {"sshwords", fn_sshwords},
  {"tlswords", fn_tlswords},
  {"buf_percent", fn_buf_percent}, {"buf", fn_buf}, {NULL, NULL},
};

int luaopen_spec_support_pureprobe(lua_State *L);
int luaopen_spec_support_pureprobe(lua_State *L) {
  luaL_newmetatable(L, HELD);
  lua_pushcfunction(L, held_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, functions);
  return 1;
}
