/* call_box.c: the userdata that a call lives in, and its options of time. See call.h.
**
** Boxes are pooled in the client: a call on a warm client allocates nothing but its result. */

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "call.h"
#include "client.h"
#include "limits.h"
#include "trace.h"

#define CALL_T "docker_watcher.call"
#define POOL_SIZE 32        /* idle calls that a client keeps */
#define KEEP_BYTES 65536    /* memory that an idle call keeps of each buffer */
#define KEEP_NODES 8192     /* … and of its JSON nodes */

void call_free(struct call *k) {
  if (k->transfer) transfer_abort(k->transfer);
  wait_free(k->wait); /* before the transfer, which may hold the loop's last reference */
  k->wait = NULL;
  transfer_free(k->transfer);
  k->transfer = NULL;
  buf_free(&k->path);
  buf_free(&k->body);
  auth_wipe(&k->auth);
  buf_free(&k->url);
  buf_free(&k->scratch);
  json_free(&k->doc);
  k->state = CALL_FREE;
}

static int call_gc(lua_State *L) {
  call_free(luaL_checkudata(L, 1, CALL_T));
  return 0;
}

static struct call *new_box(lua_State *L, struct client *c) {
  struct call *k = lua_newuserdatauv(L, sizeof *k, 3);
  memset(k, 0, sizeof *k);
  buf_init(&k->path, LIMIT_PATH);
  buf_init(&k->body, LIMIT_REQUEST);
  buf_init(&k->auth, LIMIT_PATH);
  buf_init(&k->url, LIMIT_PATH);
  buf_init(&k->scratch, LIMIT_REPLY);
  luaL_setmetatable(L, CALL_T);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, CALL_CLIENT);
  k->client = c;
  k->wait = wait_new(c->loop);
  k->transfer = transfer_new(c->transport);
  if (!k->wait || !k->transfer) luaL_error(L, "not enough memory");
  return k;
}

/* Pushes a box of the pool, or nothing: NULL. At lua_close those in it may be finalised before somebody else's __gc calls. */
static struct call *take_box(lua_State *L, struct client *c) {
  while (c->pool > 0) {
    struct call *k;
    lua_getiuservalue(L, 1, CLIENT_POOL);
    lua_rawgeti(L, -1, c->pool);
    lua_pushnil(L);
    lua_rawseti(L, -3, c->pool--);
    lua_remove(L, -2);
    k = lua_touserdata(L, -1);
    if (k->wait) return k;
    lua_pop(L, 1);
  }
  return NULL;
}

struct call *call_begin(lua_State *L, const char *name, int options, const struct lx_option *known,
                        const char *subject) {
  struct client *c = client_check(L, 1);
  struct call *k;
  int has_options = options && lua_istable(L, options);
  if (options) {
    lx_checkoptions(L, options, name, known);
    if (lua_gettop(L) < options) lua_settop(L, options);
  }
  k = take_box(L, c);
  if (!k) k = new_box(L, c);
  k->box = k->top = lua_gettop(L);
  k->op = NULL;
  k->feed = NULL;
  k->rescue = NULL;
  k->refused = NULL;
  k->first_byte = k->idle = -1;
  k->phase = NULL;
  k->traced = k->resent = 0;
  k->needed = 0;
  luaL_checkstack(L, 20, NULL);
  k->state = CALL_BEGUN;
  k->name = name;
  k->options = has_options ? options : 0;
  k->timeout = c->timeout;
  if (has_options) k->timeout = lx_option_number(L, options, "timeout", c->timeout);
  k->inside = k->waiting = k->negotiations = k->by_get = k->failed = k->told = k->step = 0;
  k->count = 0;
  k->node = JSON_NONE;
  k->note[0] = '\0';
  k->status = 0;
  snprintf(k->subject, sizeof k->subject, "%s", subject ? subject : "");
  return k;
}

void call_no_default_timeout(lua_State *L, struct call *k) {
  k->timeout = k->options ? lx_option_number(L, k->options, "timeout", -1) : -1;
}

void call_stream_timeouts(lua_State *L, struct call *k, int at_once) {
  k->first_byte = at_once ? k->client->timeout : -1;
  k->timeout = -1;
  if (!k->options) return;
  k->timeout = lx_option_number(L, k->options, "timeout", -1);
  k->first_byte = lx_option_number(L, k->options, "first_byte_timeout", k->first_byte);
  k->idle = lx_option_number(L, k->options, "idle_timeout", -1);
}

void call_name(struct call *k, const char *name) {
  snprintf(k->called, sizeof k->called, "%s", name);
  k->name = k->called;
}

void call_rescue(struct call *k, call_finish rescue) {
  k->rescue = rescue;
  k->failed = 0;
}

void call_add_timeout(struct call *k, double seconds) {
  if (k->timeout >= 0) k->timeout += seconds;
}

void call_forget_text(lua_State *L, struct call *k) {
  if (k->text || k->upload) {
    lua_pushnil(L);
    lua_setiuservalue(L, k->box, CALL_TEXT);
    lua_pushnil(L);
    lua_setiuservalue(L, k->box, CALL_SOURCE);
  }
  k->text = NULL;
  k->text_length = k->text_sent = 0;
  k->upload = UPLOAD_NONE;
}

void call_release(lua_State *L, struct call *k) {
  struct client *c = k->client;
  if (k->state == CALL_FREE) return;
  trace_end(L, k, 0);
  transfer_abort(k->transfer);
  wait_end(k->wait);
  k->waiting = 0;
  k->state = CALL_FREE;
  auth_wipe(&k->auth);
  call_forget_text(L, k);
  buf_shrink(&k->transfer->body, KEEP_BYTES);
  buf_shrink(&k->body, KEEP_BYTES);
  buf_shrink(&k->scratch, KEEP_BYTES);
  if (k->doc.size > KEEP_NODES) json_free(&k->doc);
  if (!c->transport || c->pool >= POOL_SIZE) return; /* the collector takes it */
  lua_getiuservalue(L, k->box, CALL_CLIENT);
  lua_getiuservalue(L, -1, CLIENT_POOL);
  lua_pushvalue(L, k->box);
  lua_rawseti(L, -2, c->pool + 1);
  c->pool++;
  lua_pop(L, 2);
}

void call_open(lua_State *L) {
  if (luaL_newmetatable(L, CALL_T)) {
    lua_pushcfunction(L, call_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
}
