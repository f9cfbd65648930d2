/* jsonprobe.c: a door to json.c and jsonlua.c for the specs. Not installed.
**
**   decode(text)            value | nil, reason, offset
**   encode(value [, cap])   text | nil, message; cap bounds the text (bytes)
**   record(text)            { kind = "one" } as a record of the whole document
**   rows(text)              a list of { row = i }, records of the items of the array in text
**   get(text, name)         the member's value | nil, through json_get
**   string(text, name)      the member's string by json_string, and whether json_string_is says the same | nil
**   pushstring(text, name)  the member by jsonlua_pushstring
**   number(text)            the number by json_double
**   put(number)             the text by json_put_double or json_put_integer
**   setlocale(name[, path]) LC_NUMERIC of this process, looked for in the folder path; false: no such locale
**   null, array             the null value and the array metatable */

#include <lauxlib.h>
#include <locale.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "jsonlua.h"

#define BOX_T "docker_watcher.spec.jsonprobe"

/* What a call owns: on the stack before anything is allocated. */
struct box {
  struct json_doc doc;
  struct buf buf;
};

static struct box *push_box(lua_State *L) {
  struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
  memset(&b->doc, 0, sizeof b->doc);
  buf_init(&b->buf, (size_t)1 << 26);
  luaL_setmetatable(L, BOX_T);
  return b;
}

static int box_gc(lua_State *L) {
  struct box *b = luaL_checkudata(L, 1, BOX_T);
  json_free(&b->doc);
  buf_free(&b->buf);
  return 0;
}

/* Parses argument 1; pushes the box. Where the text is refused: also nil, reason, offset, and NULL is answered. */
static struct box *parse(lua_State *L) {
  size_t length;
  struct json_fault fault = {0, NULL};
  const char *text = luaL_checklstring(L, 1, &length);
  struct box *b = push_box(L);
  if (json_parse(&b->doc, text, length, &fault) == 0) return b;
  lua_pushnil(L);
  lua_pushstring(L, fault.reason);
  lua_pushinteger(L, (lua_Integer)fault.offset);
  return NULL;
}

static struct box *check_parse(lua_State *L) {
  struct box *b = parse(L);
  if (!b) luaL_error(L, "%s", lua_tostring(L, -2));
  return b;
}

static int fn_decode(lua_State *L) {
  struct box *b = parse(L);
  if (!b) return 3;
  jsonlua_push(L, &b->doc, 0);
  return 1;
}

static int fn_encode(lua_State *L) {
  size_t cap = (size_t)luaL_optinteger(L, 2, 1 << 26);
  struct box *b;
  luaL_checkany(L, 1);
  b = push_box(L);
  b->buf.cap = cap;
  if (jsonlua_encode(L, 1, &b->buf) != 0) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushlstring(L, b->buf.length ? b->buf.data : "", b->buf.length);
  return 1;
}

static int fn_record(lua_State *L) {
  struct box *b = check_parse(L);
  int meta = lua_gettop(L) + 1;
  record_document(L, &b->doc);
  lua_newtable(L);
  lua_pushliteral(L, "one");
  lua_setfield(L, -2, "kind");
  record_attach(L, meta, &b->doc, 0);
  return 1;
}

static int fn_rows(lua_State *L) {
  struct box *b = check_parse(L);
  int meta = lua_gettop(L) + 1;
  uint32_t node = 1, i;
  if (!json_is(&b->doc, 0, JSON_ARRAY)) return luaL_argerror(L, 1, "array expected");
  record_document(L, &b->doc);
  lua_newtable(L);
  for (i = 1; i <= b->doc.nodes[0].count; i++) {
    lua_newtable(L);
    lua_pushinteger(L, i);
    lua_setfield(L, -2, "row");
    record_attach(L, meta, &b->doc, node);
    lua_rawseti(L, -2, i);
    node = b->doc.nodes[node].next;
  }
  return 1;
}

static int fn_get(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  struct box *b = check_parse(L);
  jsonlua_push(L, &b->doc, json_get(&b->doc, 0, name));
  return 1;
}

static int fn_string(lua_State *L) {
  const char *name = luaL_checkstring(L, 2), *bytes;
  struct box *b = check_parse(L);
  uint32_t node = json_get(&b->doc, 0, name);
  size_t length;
  bytes = json_string(&b->doc, node, &b->buf, &length);
  if (!bytes) return 0;
  lua_pushlstring(L, bytes, length);
  lua_pushboolean(L, json_string_is(&b->doc, node, lua_tostring(L, -1)));
  return 2;
}

static int fn_pushstring(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  struct box *b = check_parse(L);
  jsonlua_pushstring(L, &b->doc, json_get(&b->doc, 0, name));
  return 1;
}

static int fn_number(lua_State *L) {
  struct box *b = check_parse(L);
  lua_pushnumber(L, json_double(&b->doc, 0));
  return 1;
}

static int fn_put(lua_State *L) {
  struct box *b = push_box(L);
  if (lua_isinteger(L, 1)) json_put_integer(&b->buf, lua_tointeger(L, 1));
  else json_put_double(&b->buf, luaL_checknumber(L, 1));
  lua_pushlstring(L, b->buf.data, b->buf.length);
  return 1;
}

static int fn_setlocale(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *path = luaL_optstring(L, 2, NULL);
  if (path) setenv("LOCPATH", path, 1);
  else unsetenv("LOCPATH");
  lua_pushboolean(L, setlocale(LC_NUMERIC, name) != NULL);
  return 1;
}

static const luaL_Reg functions[] = {
  {"decode", fn_decode}, {"encode", fn_encode}, {"record", fn_record}, {"rows", fn_rows}, {"get", fn_get},
  {"string", fn_string}, {"pushstring", fn_pushstring}, {"number", fn_number}, {"put", fn_put},
  {"setlocale", fn_setlocale}, {NULL, NULL}
};

int luaopen_spec_support_jsonprobe(lua_State *L);

int luaopen_spec_support_jsonprobe(lua_State *L) {
  luaL_newmetatable(L, BOX_T);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, functions);
  jsonlua_pushnull(L);
  lua_setfield(L, -2, "null");
  jsonlua_pusharray(L);
  lua_setfield(L, -2, "array");
  return 1;
}
