/* process.h: programs run to their end, for our own Lua files: core.process.run (see process.c). */

#ifndef DW_PROCESS_H
#define DW_PROCESS_H

#include <lua.h>

int luaopen_process(lua_State *L); /* { run = … } */

#endif
