/* opslua.c: see opslua.h. A new table at each call: nobody can spoil the rows for others. */

#include "opslua.h"

#include <lauxlib.h>
#include <string.h>

#include "ops.h"

static const char *const verb_names[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};         /* enum op_verb */
static const char *const body_names[] = {"none", "json", "stream"};                       /* enum op_body */
static const char *const reply_names[] = {                                                /* enum op_reply */
  "empty", "json", "text", "frames", "items", "progress", "bytes", "hijack"
};

/* Sets t[field] for the table at the top to the array of the words of a blank-separated list. */
static void set_words(lua_State *L, const char *field, const char *list) {
  lua_Integer n = 0;
  lua_newtable(L);
  while (*list) {
    size_t word = strcspn(list, " ");
    lua_pushlstring(L, list, word);
    lua_rawseti(L, -2, ++n);
    list += word;
    list += strspn(list, " ");
  }
  lua_setfield(L, -2, field);
}

static void set_string(lua_State *L, const char *field, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

static void push_row(lua_State *L, const struct op *op) {
  size_t i;
  lua_createtable(L, 0, 10);
  set_string(L, "id", op->id);
  set_string(L, "verb", verb_names[op->verb]);
  set_string(L, "path", op->path);
  set_words(L, "query", op->query);
  set_words(L, "header", op->header);
  set_string(L, "body", body_names[op->body]);
  lua_pushfstring(L, "1.%d", op->since);
  lua_setfield(L, -2, "since");
  lua_newtable(L);
  for (i = 0; i < sizeof op->good / sizeof op->good[0] && op->good[i]; i++) {
    lua_pushinteger(L, op->good[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "good");
  set_string(L, "reply", reply_names[op->reply]);
  lua_pushboolean(L, op->idempotent);
  lua_setfield(L, -2, "idempotent");
}

static int fn_is_array_field(lua_State *L) {
  size_t length;
  const char *name = luaL_checklstring(L, 1, &length);
  lua_pushboolean(L, ops_is_array_field(name, length));
  return 1;
}

int ops_push_table(lua_State *L) {
  size_t i;
  luaL_checkstack(L, 5, "operations");
  lua_createtable(L, (int)ops_count, 1);
  for (i = 0; i < ops_count; i++) {
    push_row(L, &ops_table[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushcfunction(L, fn_is_array_field);
  lua_setfield(L, -2, "is_array_field");
  return 1;
}
