/* bridge.h: what the Lua half of the client (lua/docker_watcher/docker.lua and docker/) asks of the C half: the same
** checks of arguments, with the same messages at the same line (the caller's), and the table that goes with a
** client. */

#ifndef DW_BRIDGE_H
#define DW_BRIDGE_H

#include <lua.h>

/* check_options(op, options, spec, position?) -> options: raises unless options (nil is an empty table) has only keys of
** spec ({ tail = "integer" }), each with a value of its type; timeout and ctx are always allowed. position is the
** argument's number for the message (default 2). The types: boolean string integer number table function seconds
** string_or_table string_or_function number_or_string context bytes any. */
int fn_check_options(lua_State *L);
int fn_check_id(lua_State *L);    /* check_id(op, what, value) -> id: see lx_checkid */
int fn_check_image(lua_State *L); /* check_image(op, value) -> reference or id: see lx_checkimage */
int fn_misuse(lua_State *L);      /* misuse(message): raises it at the line of whoever called the Lua half */
int fn_data(lua_State *L);        /* data(client) -> the table given to connect as its second argument, or nil */

#endif
