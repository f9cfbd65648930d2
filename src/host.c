/* host.c: our tasks in somebody else's event loop: luv's, cqueues', or a poll() of the program's own.
**
** The host does this, for ever: step(); then wait until fd() is readable or next_timeout() seconds have passed,
** together with whatever else it waits for. Two things hold, so that it may do just that and no more:
**
** - The descriptor is libuv's own (epoll, kqueue), level-triggered: readable as long as there is an event that step()
**   has not looked at. What is no event of the kernel's makes it readable as well, by loop_nudge: a task that was
**   spawned, woken or cancelled by the host's callbacks, tasks that step() left to run, the count that a step() which
**   raised could not answer, a timer that is due sooner than next_timeout() said, and what a blocking call in a host's
**   callback brought about.
** - libuv tells the kernel what it watches, and looks at the time, only while it runs. So each function here ends with a
**   glance: events without waiting. */

#include <lauxlib.h>

#include "lx.h"
#include "task.h"

/* loop.fd() -> a descriptor that polls readable when step() has work */
int fn_fd(lua_State *L) {
  struct loop *loop = loop_get(L);
  int status = loop_host(loop);
  if (status != 0) return luaL_error(L, "fd: %s", uv_strerror(status));
  loop_glance(loop);
  lua_pushinteger(L, uv_backend_fd(loop_uv(loop)));
  return 1;
}

/* loop.next_timeout() -> seconds until step() must be called, or nil: only when fd() is readable */
int fn_next_timeout(lua_State *L) {
  struct loop *loop = loop_get(L);
  int ms;
  loop_glance(loop);
  ms = loop_has_work(loop) ? 0 : uv_backend_timeout(loop_uv(loop));
  /* Where nothing is alive, libuv says 0, "don't wait". */
  if (ms < 0 || (ms == 0 && !loop_has_work(loop) && !uv_loop_alive(loop_uv(loop)))) lua_pushnil(L);
  else lua_pushnumber(L, ms / 1000.0);
  return 1;
}

static int step_body(lua_State *L) {
  struct loop *loop = loop_get(L);
  if (task_run_ready(L, loop)) return lua_error(L);
  loop_glance(loop);
  if (task_run_ready(L, loop)) return lua_error(L);
  lua_pushinteger(L, (lua_Integer)loop_tasks(loop)->live);
  return 1;
}

/* loop.step() -> number of tasks that live. Does what can be done now; never waits. Raises a task's error. */
int fn_step(lua_State *L) {
  struct loop *loop = loop_get(L);
  struct tasks *all = loop_tasks(loop);
  int status;
  if (all->running) return lx_misuse(L, "step: the loop is running already");
  all->running = 1;
  lua_settop(L, 0);
  lua_pushcfunction(L, step_body);
  status = lua_pcall(L, 0, 1, 0);
  all->running = 0;
  all->failed = status != LUA_OK;
  loop_glance(loop); /* also behind an error: what the tasks wait for now, and what else is there to do */
  if (status != LUA_OK) return lua_error(L);
  return 1;
}
