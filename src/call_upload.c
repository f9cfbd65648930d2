/* call_upload.c: a request's body that a Lua function, or an object with read(), gives piece by piece. See call.h.
**
** The source is asked when there is room for more, and never from a callback: whoever waits for the call runs it, as
** Lua code that may block or yield. So an upload never takes more memory than LIMIT_UPLOAD_BUFFER and one piece, and a
** source that is slow keeps nobody else waiting. What it raises is raised again as it is, behind the end of the
** transfer. */

#include <lauxlib.h>

#include "call.h"
#include "client.h"
#include "limits.h"
#include "task.h"

/* Does the value at the top have a method `read`? */
static int has_read(lua_State *L) {
  int found = 0;
  if (lua_type(L, -1) == LUA_TUSERDATA && luaL_getmetafield(L, -1, "__index") != LUA_TNIL) {
    found = 1;
    lua_pop(L, 1);
  }
  if (!found && !lua_istable(L, -1)) return 0;
  found = lua_getfield(L, -1, "read") == LUA_TFUNCTION;
  lua_pop(L, 1);
  return found;
}

int call_source(lua_State *L, struct call *k, const char *content_type) {
  k->has_source = lua_type(L, -1) != LUA_TSTRING;
  if (!k->has_source) {
    call_text(L, k, content_type);
  } else {
    if (lua_type(L, -1) != LUA_TFUNCTION && !has_read(L)) return 0;
    call_set_type(L, k, content_type);
    lua_setiuservalue(L, k->box, CALL_SOURCE);
  }
  k->upload = UPLOAD_READY;
  return 1;
}

int call_upload_send(lua_State *L, struct call *k) {
  struct transfer *x = k->transfer;
  size_t room;
  if (k->upload != UPLOAD_OPEN || !x->active || !x->sends) return 0;
  while ((room = transfer_room(x)) > 0) {
    size_t left = k->text_length - k->text_sent;
    if (left == 0 && k->has_source) return 1;
    if (left == 0) {
      k->upload = UPLOAD_ENDED;
      transfer_send_end(x);
      return 0;
    }
    if (left > room && room < LIMIT_UPLOAD_BUFFER / 2) return 0; /* we are woken: no crumbs meanwhile */
    if (left > room) left = room;
    if (transfer_send(x, k->text + k->text_sent, left) != BUF_OK) luaL_error(L, "not enough memory");
    k->text_sent += left;
  }
  return 0;
}

int call_upload_ask(lua_State *L, struct call *k, lua_KContext ctx, lua_KFunction again) {
  int arguments = 0;
  k->upload = UPLOAD_ASKING;
  if (lua_getiuservalue(L, k->box, CALL_SOURCE) != LUA_TFUNCTION) {
    lua_getfield(L, -1, "read");
    lua_insert(L, -2);
    lua_pushinteger(L, LIMIT_CHUNK);
    arguments = 2;
  }
  return lua_pcallk(L, arguments, 2, 0, ctx, again);
}

static int is_error(lua_State *L, int idx) {
  int equal;
  if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return 0;
  luaL_getmetatable(L, LX_ERROR_T);
  equal = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return equal;
}

/* The source gave nil and the value at the top. */
static int fail_source(lua_State *L, struct call *k) {
  int cause = lua_gettop(L);
  const char *text = luaL_tolstring(L, cause, NULL);
  call_fail(L, k, KIND_STREAM, "reading the body failed: %s", text);
  if (is_error(L, cause)) {
    lua_getfield(L, cause, "kind");
    lua_setfield(L, -2, "kind");
  }
  lua_pushvalue(L, cause);
  lua_setfield(L, -2, "cause");
  return 2;
}

int call_upload_take(lua_State *L, struct call *k, int status) {
  struct transfer *x = k->transfer;
  k->upload = UPLOAD_ENDED;
  if (status != LUA_OK && status != LUA_YIELD) {
    transfer_abort(x);
    return CALL_RAISE;
  }
  switch (lua_type(L, -2)) {
    case LUA_TSTRING:
      lua_pop(L, 1);
      k->text = lua_tolstring(L, -1, &k->text_length);
      k->text_sent = 0;
      lua_setiuservalue(L, k->box, CALL_TEXT);
      k->upload = UPLOAD_OPEN;
      if (k->text_length == 0) loop_glance(k->client->loop); /* or one that gives nothing for ever ends never */
      return CALL_AGAIN;
    case LUA_TNIL:
      if (lua_isnil(L, -1)) {
        transfer_send_end(x);
        if (!x->headers_done) call_phase(k, k->first_byte, "first_byte_timeout");
        return CALL_AGAIN;
      }
      transfer_abort(x);
      return fail_source(L, k);
    default: break;
  }
  transfer_abort(x);
  lua_pushfstring(L, "%s: the body's function gave a %s: bytes (a string), or nil at the end, expected", k->name,
                  luaL_typename(L, -2));
  return CALL_RAISE;
}
