/* allocfail: runs a Lua program again and again, and lets another one of its memory allocations fail each time.
**
**   allocfail once|persistent PROGRAM.lua ARGUMENT…
**
** The program returns two functions. The first is called with the allocator failing: at its Nth allocation only (once;
** Lua then collects its garbage and tries again), or from its Nth allocation on (persistent). It may succeed, raise, or
** answer nil, err. The second is called with memory again, and must not raise: what the first one used still works. Then
** the state is closed, and all of Lua's memory must have been given back. N goes up from 1 until the first function
** makes fewer allocations.
**
** Prints how many points were tried and how many of them were errors; exits with 1, and the reason, at the first that
** went wrong.
**
** Built with -DC_HEAP it is not Lua's allocations that fail but everybody else's: ours, libcurl's, the C library's. Only
** libuv's succeed, since it answers some failures with abort(). (Not beside sanitizers, which bring their own malloc.) */

#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  long count; /* allocations since failing began */
  long fail;  /* the one that fails; 0: none */
  int once;
} now;

static int fails_now(void) {
  if (!now.fail) return 0;
  now.count++;
  return now.once ? now.count == now.fail : now.count >= now.fail;
}

#ifdef C_HEAP
extern void *__libc_malloc(size_t size), *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);

/* The caller's allocation: is it libuv's? */
static int fails_for(const void *caller) {
  Dl_info info;
  if (!now.fail) return 0;
  if (dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libuv")) return 0;
  return fails_now();
}

void *malloc(size_t size) {
  return fails_for(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  return fails_for(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  return fails_for(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}

#define LUA_FAILS 0
#define lua_realloc __libc_realloc
#else
#define LUA_FAILS fails_now()
#define lua_realloc realloc
#endif

/* Lua's allocator; user counts the bytes that are in use. */
static void *allocate(void *user, void *block, size_t old, size_t size) {
  size_t *live = user;
  void *result;
  if (!block) old = 0; /* it is a type then */
  if (size == 0) {
    *live -= old;
    free(block);
    return NULL;
  }
  if ((!block || size > old) && LUA_FAILS) return NULL;
  result = lua_realloc(block, size);
  if (result) *live += size - old;
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
  size_t live = 0;
  lua_State *L = lua_newstate(allocate, &live);
  int i, status, reached;
  if (!L) return 2;
  lua_setwarnf(L, silent, NULL);
  luaL_openlibs(L);
  if (luaL_loadfile(L, argv[0]) != LUA_OK) return give_up(L, fail, "load"), 2;
  for (i = 1; argv[i]; i++) lua_pushstring(L, argv[i]);
  if (lua_pcall(L, i - 1, 2, 0) != LUA_OK) return give_up(L, fail, "set up"), 2;
  lua_pushvalue(L, -2);
  now.count = 0;
  now.once = once;
  now.fail = fail;
  status = lua_pcall(L, 0, 1, 0);
  now.fail = 0;
  reached = now.count >= fail;
  if (!reached && status != LUA_OK) return give_up(L, fail, "no allocation failed, but"), 2;
  i = status != LUA_OK || !lua_toboolean(L, -1);
  if (i && status == LUA_OK && !reached) return give_up(L, fail, "no allocation failed, but it answered"), 2;
  lua_pop(L, 1);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) return give_up(L, fail, "afterwards"), 2;
  lua_close(L);
  if (live != 0) return give_up(NULL, fail, "not all memory was given back"), 2;
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
