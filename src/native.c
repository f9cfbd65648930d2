/* native.c: the C core as one Lua module, docker_watcher.native. Programs don't require it: docker_watcher.docker,
** .loop, .http and .error are its faces, and docker_watcher.core (core.c) loads it for them. */

#include <lauxlib.h>
#include <lua.h>

#include "bridge.h"
#include "call.h"
#include "client.h"
#include "http.h"
#include "images.h"
#include "invoke.h"
#include "jsonlua.h"
#include "loop.h"
#include "lx.h"
#include "names.h"
#include "opslua.h"
#include "process.h"
#include "stream.h"
#include "tools.h"

/* docker.array(t) -> t: an empty table that is sent as [], not {} */
static int fn_array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  jsonlua_pusharray(L);
  lua_setmetatable(L, 1);
  return 1;
}

static int fn_operations(lua_State *L) {
  return ops_push_table(L);
}

/* What a kind of error is called: { not_found = true, … } */
static void push_kinds(lua_State *L) {
  int kind;
  lua_createtable(L, 0, KIND_COUNT);
  for (kind = 0; kind < KIND_COUNT; kind++) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, lx_kind_name((enum lx_kind)kind));
  }
}

int luaopen_docker_watcher_native(lua_State *L);

int luaopen_docker_watcher_native(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"connect", fn_connect}, {"context", fn_context}, {"container_name", fn_container_name},
    {"parse_reference", fn_parse_reference}, {"array", fn_array}, {"operations", fn_operations},
    {"check_options", fn_check_options}, {"check_id", fn_check_id}, {"check_image", fn_check_image},
    {"misuse", fn_misuse}, {"invoke", fn_invoke}, {"data", fn_data}, {"sha256", fn_sha256},
    {"base64_decode", fn_base64_decode},
    {"directory", fn_directory}, {"home", fn_home},
    {"pull_image", meth_pull_image} /* docker/pull.lua finds the credentials */, {NULL, NULL}
  };
  luaL_checkversion(L);
  lx_open_errors(L);
  loop_open(L);
  context_open(L);
  call_open(L);
  stream_open(L);
  client_open(L);
  luaL_newlib(L, functions);
  luaopen_loop(L);
  lua_setfield(L, -2, "loop");
  luaopen_http(L);
  lua_setfield(L, -2, "http");
  luaL_getmetatable(L, CLIENT_T);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "client_methods"); /* docker.lua adds those that are written in Lua */
  lua_pop(L, 1);
  luaopen_process(L);
  lua_setfield(L, -2, "process");
  jsonlua_pushnull(L);
  lua_setfield(L, -2, "null");
  luaL_getmetatable(L, LX_ERROR_T);
  lua_setfield(L, -2, "error_metatable");
  push_kinds(L);
  lua_setfield(L, -2, "error_kinds");
  return 1;
}
