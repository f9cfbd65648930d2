/* names.h: docker.container_name and docker.parse_reference. */

#ifndef DW_NAMES_H
#define DW_NAMES_H

#include <lua.h>

int fn_container_name(lua_State *L);
int fn_parse_reference(lua_State *L);

#endif
