/* invoke.h: any operation of the Engine's specification, by its operationId. */

#ifndef DW_INVOKE_H
#define DW_INVOKE_H

#include <lua.h>

/* client:call(operation_id, params, options) -> what the row's kind of reply is: the JSON as tables, text, or true; a
** stream; or nil, err. */
int meth_call(lua_State *L);

/* core.invoke(client, name, subject, operation_id, params, options): the same for our own Lua files: errors and misuse
** are those of the method `name` about `subject` (a string, or nil). */
int fn_invoke(lua_State *L);

#endif
