/* tools.h: the few things that our Lua files need and Lua itself cannot do: a SHA-256, base64, the names in a folder,
** the user's home. */

#ifndef DW_TOOLS_H
#define DW_TOOLS_H

#include <lua.h>

int fn_sha256(lua_State *L);        /* sha256(bytes) -> 64 lower-case hex digits */
int fn_base64_decode(lua_State *L); /* base64_decode(text) -> bytes, or nil where it is no padded standard base64 */
int fn_directory(lua_State *L);     /* directory(path) -> { name, … } without "." and "..", or nil, reason */
int fn_home(lua_State *L);          /* home() -> the home that the system knows for this user, or nil */

#endif
