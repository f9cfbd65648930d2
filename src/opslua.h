/* opslua.h: the table of operations as Lua sees it: core.operations(). For documentation and for the specs. */

#ifndef DW_OPSLUA_H
#define DW_OPSLUA_H

#include <lua.h>

/* Pushes an array of { id=, verb="GET", path=, query={names…}, header={names…}, body="none"|"json"|"stream",
** since="1.41", good={statuses…}, reply="empty"|"json"|"text"|"frames"|"items"|"progress"|"bytes"|"hijack",
** idempotent=true|false }, sorted by id; beside the rows it has is_array_field(name) → boolean, the rule for empty tables in bodies. Answers 1: usable
** as a lua_CFunction. May raise for want of memory; owns nothing. */
int ops_push_table(lua_State *L);

#endif
