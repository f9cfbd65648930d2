/* core.c: docker_watcher.core, which opens the C core proper: native.so, in the folder where this one is.
**
** Lua loads C modules with every symbol bound at once, and libcurl brings thirty libraries with it, most of whose
** functions are never called: binding them was a fifth of the time from the start of a process to its first ping.
** This module is linked to none of them, and opens native.so with symbols bound when they are first used. */

#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#define NATIVE "native.so"
#define OPEN "luaopen_docker_watcher_native"

int luaopen_docker_watcher_core(lua_State *L);

int luaopen_docker_watcher_core(lua_State *L) {
  lua_CFunction open_native;
  Dl_info self;
  const char *slash;
  void *library;
  if (!dladdr((void *)(size_t)luaopen_docker_watcher_core, &self) || !self.dli_fname) {
    return luaL_error(L, "docker_watcher: cannot tell where core.so is");
  }
  slash = strrchr(self.dli_fname, '/');
  lua_pushlstring(L, self.dli_fname, slash ? (size_t)(slash - self.dli_fname) + 1 : 0);
  lua_pushliteral(L, NATIVE);
  lua_concat(L, 2);
  library = dlopen(lua_tostring(L, -1), RTLD_LAZY | RTLD_LOCAL); /* never closed: libraries with threads stay */
  if (!library) return luaL_error(L, "docker_watcher: %s", dlerror());
  *(void **)&open_native = dlsym(library, OPEN);
  if (!open_native) return luaL_error(L, "docker_watcher: %s", dlerror());
  return open_native(L);
}
