/* bridge.c: see bridge.h. */

#include "bridge.h"

#include <string.h>

#include "client.h"
#include "lx.h"

#define MOST_OPTIONS 62 /* of one operation, timeout and ctx not counted */

static enum lx_type type_of(lua_State *L, const char *name) {
  static const struct { const char *name; enum lx_type type; } types[] = {
    {"boolean", LX_BOOLEAN}, {"string", LX_STRING}, {"integer", LX_INTEGER}, {"number", LX_NUMBER},
    {"table", LX_TABLE}, {"function", LX_FUNCTION}, {"seconds", LX_SECONDS}, {"string_or_table", LX_STRING_OR_TABLE},
    {"string_or_function", LX_STRING_OR_FUNCTION}, {"number_or_string", LX_NUMBER_OR_STRING},
    {"context", LX_CONTEXT}, {"bytes", LX_BYTES}, {"any", LX_ANY}
  };
  size_t i;
  for (i = 0; i < sizeof types / sizeof *types; i++) {
    if (strcmp(name, types[i].name) == 0) return types[i].type;
  }
  luaL_error(L, "check_options: there is no type '%s'", name); /* a bug of ours */
  return LX_ANY;
}

int fn_check_options(lua_State *L) {
  struct lx_option known[MOST_OPTIONS + 3];
  const char *op = luaL_checkstring(L, 1);
  int position = (int)luaL_optinteger(L, 4, 2);
  size_t n = 0;
  luaL_checktype(L, 3, LUA_TTABLE);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    return 1;
  }
  if (!lua_istable(L, 2)) {
    return lx_misuse(L, "%s: options table expected as argument %d, got %s", op, position, luaL_typename(L, 2));
  }
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    if (n == MOST_OPTIONS) return luaL_error(L, "check_options: %s has too many options", op);
    known[n].name = lua_tostring(L, -2); /* the table holds both strings */
    known[n++].type = type_of(L, luaL_checkstring(L, -1));
    lua_pop(L, 1);
  }
  known[n++] = (struct lx_option){"timeout", LX_SECONDS};
  known[n++] = (struct lx_option){"ctx", LX_CONTEXT};
  known[n] = (struct lx_option){NULL, LX_ANY};
  lx_checkoptions(L, 2, op, known);
  lua_settop(L, 2);
  return 1;
}

int fn_check_id(lua_State *L) {
  size_t length;
  const char *text = lx_checkid(L, 3, luaL_checkstring(L, 1), luaL_checkstring(L, 2), &length);
  lua_pushlstring(L, text, length);
  return 1;
}

int fn_check_image(lua_State *L) {
  size_t length;
  const char *text = lx_checkimage(L, 2, luaL_checkstring(L, 1), &length);
  lua_pushlstring(L, text, length);
  return 1;
}

int fn_misuse(lua_State *L) {
  return lx_misuse(L, "%s", luaL_checkstring(L, 1));
}

int fn_data(lua_State *L) {
  luaL_checkudata(L, 1, CLIENT_T);
  lua_getiuservalue(L, 1, CLIENT_DATA);
  return 1;
}
