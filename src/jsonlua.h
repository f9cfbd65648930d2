/* jsonlua.h: between the JSON tape and Lua values.
**
** Decoding: objects and arrays become pre-sized tables, integral numbers Lua integers, strings Lua
** strings. null is left out of objects and is `null` (a light userdata, see jsonlua_pushnull) in
** arrays, so that positions hold. An empty array carries the array metatable, so that what was read
** can be written back.
**
** Encoding: a table is an array if it has the array metatable or #t > 0, else an object; an empty
** unmarked table is `[]` only under a name that the Engine's specification types as an array
** (ops_is_array_field). Integers stay integers; NaN, infinities, invalid UTF-8, mixed keys, holes,
** cycles and functions are misuse, reported with the path of the field ("HostConfig.Binds[2]"). */

#ifndef DW_JSONLUA_H
#define DW_JSONLUA_H

#include <lua.h>

#include "json.h"

/* Pushes the value of node. May raise (memory); owns nothing. */
void jsonlua_push(lua_State *L, const struct json_doc *doc, uint32_t node);

void jsonlua_pushnull(lua_State *L);  /* the null value */
void jsonlua_pusharray(lua_State *L); /* the metatable that marks a table as an array */

/* Encodes the value at idx to the end of out. Answers 0, or -1 with a message pushed ("HostConfig.Binds[2]:
** function cannot be sent as JSON"), for the caller to raise or return. out's memory is the caller's and
** stays owned by it whatever happens; may raise (Lua memory). */
int jsonlua_encode(lua_State *L, int idx, struct buf *out);

/* A record is a shaped result whose field `raw` is made from the JSON when it is first asked for. record_document
** copies doc's text into a new userdata, in one block without a finaliser, and pushes that document's metatable.
** record_attach gives the table at the stack's top that metatable (at stack index `meta`) and remembers its place:
** `node` is the document itself (0), or one of the items of the document, which is an array. Reading .raw or pairs()
** then builds the whole table once. */
void record_document(lua_State *L, const struct json_doc *doc);
void record_attach(lua_State *L, int meta, const struct json_doc *doc, uint32_t node);

/* For C code that shapes: pushes a string node's text; nil where it is absent, null, "" or no string. */
void jsonlua_pushstring(lua_State *L, const struct json_doc *doc, uint32_t node);

#endif
