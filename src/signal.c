/* signal.c: loop.signal: a task for each signal that arrives.
**
** libuv catches the signal; its callback only counts. The loop then starts the tasks from run() or step(), outside of
** all callbacks (signal_deliver). A watch lives until it is closed, whether the program holds it or not: the registry
** has its userdata. It does not keep run() from ending. */

#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>

#include "task.h"

#define SIGNAL_T "docker_watcher.signal"

struct signal_watch {
  struct loop *loop;
  uv_signal_t handle;
  size_t pending;      /* arrived and not yet handled */
  int closed;
  struct signal_watch *next;
};

static void on_signal(uv_signal_t *handle, int number) {
  struct signal_watch *s = handle->data;
  (void)number;
  s->pending++;
  loop_tasks(s->loop)->signalled++;
}

void signal_deliver(lua_State *L, struct loop *loop) {
  struct tasks *all = loop_tasks(loop);
  struct signal_watch *s;
  if (all->signalled == 0) return;
  for (s = all->signals; s; s = s->next) {
    while (s->pending > 0 && !s->closed) {
      s->pending--;
      all->signalled--;
      lua_rawgetp(L, LUA_REGISTRYINDEX, s);
      lua_getiuservalue(L, -1, 1);
      task_new(L, loop, 0);
      lua_pop(L, 2);
    }
  }
}

static void free_signal(uv_handle_t *handle) {
  free(handle->data);
}

static int signal_close(lua_State *L) {
  struct signal_watch **box = luaL_checkudata(L, 1, SIGNAL_T), **link;
  struct signal_watch *s = *box;
  if (!s) return 0;
  lua_pushnil(L); /* before anything is undone: it may raise */
  lua_rawsetp(L, LUA_REGISTRYINDEX, s);
  *box = NULL;
  s->closed = 1;
  loop_tasks(s->loop)->signalled -= s->pending;
  for (link = &loop_tasks(s->loop)->signals; *link; link = &(*link)->next) {
    if (*link == s) {
      *link = s->next;
      break;
    }
  }
  uv_close((uv_handle_t *)&s->handle, free_signal);
  return 0;
}

/* loop.signal(name, fn) -> handle: fn runs as a task of the loop each time the signal arrives, until handle:close().
** It changes the process's handling of that signal, so only programs call it, never this library by itself. */
int fn_signal(lua_State *L) {
  static const char *const names[] = {"SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", NULL};
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
  int number = numbers[luaL_checkoption(L, 1, NULL, names)];
  struct loop *loop = loop_get(L);
  struct signal_watch **box, *s;
  int status;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  box = lua_newuserdatauv(L, sizeof(struct signal_watch *), 1);
  *box = NULL;
  luaL_setmetatable(L, SIGNAL_T);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  s = calloc(1, sizeof *s);
  if (!s) return luaL_error(L, "out of memory");
  s->loop = loop;
  s->handle.data = s;
  status = uv_signal_init(loop_uv(loop), &s->handle);
  if (status != 0) {
    free(s);
    return luaL_error(L, "signal: %s", uv_strerror(status));
  }
  s->next = loop_tasks(loop)->signals;
  loop_tasks(loop)->signals = s;
  *box = s; /* from here __gc copes */
  uv_unref((uv_handle_t *)&s->handle);
  status = uv_signal_start(&s->handle, on_signal, number);
  if (status != 0) return luaL_error(L, "signal: %s", uv_strerror(status));
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, s); /* a watch lives until it is closed */
  return 1;
}

void signal_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", signal_close}, {NULL, NULL}};
  if (luaL_newmetatable(L, SIGNAL_T)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, signal_close);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
}
