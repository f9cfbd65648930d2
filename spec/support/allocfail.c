/* allocfail: runs a Lua program again and again, and lets another one of its memory allocations fail each time.
**
**   allocfail once|persistent PROGRAM.lua ARGUMENT…
**
** The program returns two functions. The first is called with the allocator failing: at its Nth allocation only (once; Lua then
** collects its garbage and tries again), or from its Nth allocation on (persistent). It may succeed, raise, or answer nil, err. The
** second is called with memory again, and must not raise: what the first one used still works. Then the state is closed, and all
** memory must have been given back. N goes up from 1 until the first function makes fewer allocations.
**
** Prints how many points were tried and how many of them were errors; exits with 1, and the reason, at the first that went wrong. */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memory {
  size_t live;
  long count; /* allocations since failing began */
  long fail;  /* the one that fails; 0: none */
  int once;
};

static void *allocate(void *user, void *block, size_t old, size_t size) {
  struct memory *m = user;
  void *result;
  if (!block) old = 0; /* it is a type then */
  if (size == 0) {
    m->live -= old;
    free(block);
    return NULL;
  }
  if (m->fail && (!block || size > old)) {
    m->count++;
    if (m->once ? m->count == m->fail : m->count >= m->fail) return NULL;
  }
  result = realloc(block, size);
  if (result) m->live += size - old;
  return result;
}

static void silent(void *user, const char *message, int more) {
  (void)user, (void)message, (void)more; /* warnings: errors in finalisers that met no memory */
}

static int give_up(lua_State *L, long fail, const char *what) {
  fprintf(stderr, "allocation %ld: %s: %s\n", fail, what, L ? luaL_tolstring(L, -1, NULL) : "");
  return 1;
}

/* One state's life. -1: the first function was done before its Nth allocation; 0, 1: how it ended; 2: wrong. */
static int try_point(long fail, int once, char **argv) {
  struct memory m = {0, 0, 0, once};
  lua_State *L = lua_newstate(allocate, &m);
  int i, status, reached;
  if (!L) return 2;
  lua_setwarnf(L, silent, NULL);
  luaL_openlibs(L);
  if (luaL_loadfile(L, argv[0]) != LUA_OK) return give_up(L, fail, "load"), 2;
  for (i = 1; argv[i]; i++) lua_pushstring(L, argv[i]);
  if (lua_pcall(L, i - 1, 2, 0) != LUA_OK) return give_up(L, fail, "set up"), 2;
  lua_pushvalue(L, -2);
  m.fail = fail;
  status = lua_pcall(L, 0, 1, 0);
  m.fail = 0;
  reached = m.count >= fail;
  if (!reached && status != LUA_OK) return give_up(L, fail, "no allocation failed, but"), 2;
  i = status != LUA_OK || !lua_toboolean(L, -1);
  if (i && status == LUA_OK && !reached) return give_up(L, fail, "no allocation failed, but it answered"), 2;
  lua_pop(L, 1);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) return give_up(L, fail, "afterwards"), 2;
  lua_close(L);
  if (m.live != 0) return give_up(NULL, fail, "not all memory was given back"), 2;
  return reached ? i : -1;
}

int main(int argc, char **argv) {
  long fail, errors = 0;
  if (argc < 3) {
    fprintf(stderr, "usage: allocfail once|persistent PROGRAM.lua ARGUMENT...\n");
    return 2;
  }
  for (fail = 1;; fail++) {
    int result = try_point(fail, strcmp(argv[1], "once") == 0, argv + 2);
    if (result == 2) return 1;
    if (result < 0) break;
    errors += result;
  }
  printf("%ld points, %ld errors\n", fail - 1, errors);
  return 0;
}
