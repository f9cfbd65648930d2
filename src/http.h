/* http.h: docker_watcher.http: requests to any http(s) URL over the project's own transport, for registries. */

#ifndef DW_HTTP_H
#define DW_HTTP_H

#include <lua.h>

int luaopen_http(lua_State *L); /* { request = fn, client = fn } */

#endif
