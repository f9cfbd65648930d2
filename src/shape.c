/* shape.c: see shape.h. */

#include "shape.h"

#include <lauxlib.h>
#include <string.h>

#include "jsonlua.h"

#define NANOSECONDS 1e9

/* The node of a dotted path. */
static uint32_t find(const struct json_doc *doc, uint32_t node, const char *path) {
  const char *dot;
  while ((dot = strchr(path, '.')) != NULL) {
    char name[64];
    size_t length = (size_t)(dot - path);
    if (length >= sizeof name) return JSON_NONE;
    memcpy(name, path, length);
    name[length] = '\0';
    node = json_get(doc, node, name);
    path = dot + 1;
  }
  return json_get(doc, node, path);
}

/* Pushes the field's value; nil where it is absent. */
static void push_field(lua_State *L, const struct json_doc *doc, uint32_t node, enum shape_kind kind) {
  switch (kind) {
    case SHAPE_STRING:
    case SHAPE_TIME:
      jsonlua_pushstring(L, doc, node);
      if (kind == SHAPE_TIME && lua_isstring(L, -1) && strncmp(lua_tostring(L, -1), "0001-01-01", 10) == 0) {
        lua_pop(L, 1);
        lua_pushnil(L);
      }
      return;
    case SHAPE_INTEGER:
      if (json_is(doc, node, JSON_INTEGER)) lua_pushinteger(L, json_integer(doc, node, 0));
      else lua_pushnil(L);
      return;
    case SHAPE_BOOLEAN:
      if (json_is(doc, node, JSON_TRUE) || json_is(doc, node, JSON_FALSE)) lua_pushboolean(L, json_bool(doc, node, 0));
      else lua_pushnil(L);
      return;
    case SHAPE_SECONDS:
      if (json_integer(doc, node, 0) != 0) lua_pushnumber(L, (lua_Number)json_integer(doc, node, 0) / NANOSECONDS);
      else lua_pushnil(L);
      return;
    case SHAPE_VALUE:
      if (node == JSON_NONE || json_is(doc, node, JSON_NULL)) lua_pushnil(L);
      else jsonlua_push(L, doc, node);
      return;
    case SHAPE_TABLE:
      if (json_is(doc, node, JSON_OBJECT) || json_is(doc, node, JSON_ARRAY)) jsonlua_push(L, doc, node);
      else lua_newtable(L);
      return;
  }
}

void shape_new(lua_State *L, const struct shape_field *fields, int more) {
  for (; fields->name; fields++) more++;
  lua_createtable(L, 0, more);
}

void shape_set(lua_State *L, const struct json_doc *doc, uint32_t node, const struct shape_field *fields) {
  int table = lua_gettop(L);
  for (; fields->name; fields++) {
    lua_pushstring(L, fields->name);
    push_field(L, doc, find(doc, node, fields->path), fields->kind);
    lua_rawset(L, table);
  }
}

int shape_reply(lua_State *L, struct call *k, const struct shape_field *fields) {
  int meta, failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  record_document(L, &k->doc);
  meta = lua_gettop(L);
  shape_new(L, fields, 2);
  shape_set(L, &k->doc, 0, fields);
  record_attach(L, meta, &k->doc, 0);
  return 1;
}

void shape_push_env(lua_State *L, const struct json_doc *doc, uint32_t node) {
  uint32_t i, item, count = json_is(doc, node, JSON_ARRAY) ? doc->nodes[node].count : 0;
  lua_createtable(L, 0, (int)count);
  for (i = 0, item = node + 1; i < count; i++, item = doc->nodes[item].next) {
    size_t length, name_length;
    const char *text, *equals;
    jsonlua_pushstring(L, doc, item);
    text = lua_tolstring(L, -1, &length);
    equals = text ? memchr(text, '=', length) : NULL;
    if (text) {
      name_length = equals ? (size_t)(equals - text) : length;
      lua_pushlstring(L, text, name_length);
      lua_pushlstring(L, equals ? equals + 1 : "", equals ? length - name_length - 1 : 0);
      lua_rawset(L, -4);
    }
    lua_pop(L, 1);
  }
}
