/* shape.h: from the Engine's JSON to the tables of the contract: rows of name, path and kind, so that a shape is
** data. */

#ifndef DW_SHAPE_H
#define DW_SHAPE_H

#include <lua.h>

#include "call.h"
#include "json.h"

enum shape_kind {
  SHAPE_STRING,  /* absent where it is null or "" */
  SHAPE_INTEGER,
  SHAPE_BOOLEAN,
  SHAPE_SECONDS, /* nanoseconds in the JSON; absent where 0 */
  SHAPE_VALUE,   /* whatever it is, as jsonlua_push makes it; absent where null */
  SHAPE_TABLE,   /* the same, but {} where it is null or absent: labels */
  SHAPE_TIME     /* RFC 3339 text; absent where it is the zero time ("0001-01-01T00:00:00Z") */
};

struct shape_field {
  const char *name;      /* in the result; NULL ends a list */
  const char *path;      /* one member ("Id"), or members with dots between ("State.Health.Status") */
  enum shape_kind kind;
};

/* Sets the fields of the table at the stack's top from the object at `node`. */
void shape_set(lua_State *L, const struct json_doc *doc, uint32_t node, const struct shape_field *fields);
/* The result of an inspect: the reply's object as a record (fields, and raw). 1, or nil, err and 2. */
int shape_reply(lua_State *L, struct call *k, const struct shape_field *fields);
/* Pushes a table for the fields with room for `more` others. */
void shape_new(lua_State *L, const struct shape_field *fields, int more);

/* Pushes { K = V } from a JSON array of "K=V" (env). */
void shape_push_env(lua_State *L, const struct json_doc *doc, uint32_t node);

#endif
