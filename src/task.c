/* task.c: docker_watcher.loop for Lua: tasks (coroutines that our loop resumes), run, spawn, join, sleep.
**
** A task is a userdata that owns its coroutine. While it lives it is anchored in a table of the registry, so that
** nothing it waits for can outlive it. A task sleeps in exactly one wait; whoever wakes that wait puts the task on
** the ready list, and run() or step() resume it from there, outside all callbacks.
**
** Errors: a task's error goes to whoever joins it; if nobody is joining, run() cancels the other tasks, lets them end
** and raises it. A cancelled task is told once: the wait it is in, or its next one, gives nil, err with kind
** "cancelled"; it may then clean up with further calls. While run() ends because of an error, sleep and join are
** refused as cancelled, also to tasks that are only then spawned, and a task that has asked or was resumed
** LIMIT_CANCELLED_WAITS times is ended where it stands (its to-be-closed variables are closed), so that a loop that
** ignores errors ends as well; nor are more tasks than that spawned then. */

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "lx.h"
#include "task.h"

#define TASK_T "docker_watcher.task"
#define SLEEP_T "docker_watcher.sleep"

enum task_state { TASK_READY, TASK_RUNNING, TASK_SLEEPING, TASK_DONE, TASK_FAILED, TASK_GONE /* with the Lua state */ };

struct task {
  struct loop *loop;
  enum task_state state;
  int started;
  int queued;          /* on the ready list */
  int cancelled;       /* to be told at its next wait */
  int ending;          /* refused waits since run() began to end because of an error, plus 1; 0: it does not */
  int arguments;       /* on the coroutine's stack before the start */
  struct wait *wait;   /* sleeps in it */
  struct wait *joiners;
  struct task *next;   /* ready list */
};

static const char tasks_key = 0; /* registry: task* → userdata of the living tasks */

static int has_ended(const struct task *t) {
  return t->state == TASK_DONE || t->state == TASK_FAILED || t->state == TASK_GONE;
}

/* ---- the ready list ---- */

void task_ready(struct task *t) {
  struct tasks *all = loop_tasks(t->loop);
  if (t->queued || has_ended(t)) return;
  t->queued = 1;
  t->next = NULL;
  *all->ready_tail = t;
  all->ready_tail = &t->next;
  loop_nudge(t->loop);
}

static struct task *take_ready(struct tasks *all) {
  struct task *t = all->ready;
  if (!t) return NULL;
  all->ready = t->next;
  if (!all->ready) all->ready_tail = &all->ready;
  t->queued = 0;
  t->next = NULL;
  return t;
}

int task_may_yield(lua_State *L, struct loop *loop) {
  struct tasks *all = loop_tasks(loop);
  return all->current && all->current_thread == L && lua_isyieldable(L);
}

void task_sleeps(struct loop *loop, struct wait *w) {
  struct task *t = loop_tasks(loop)->current;
  t->state = TASK_SLEEPING;
  t->wait = w;
  w->task = t;
}

int task_take_cancel(struct loop *loop) {
  struct task *t = loop_tasks(loop)->current;
  if (!t) return 0;
  if (!t->cancelled) return 0;
  t->cancelled = 0;
  return 1;
}

/* The wait it is in gets the verdict; or, where that has another one or there is none, its next. */
static void task_cancel(struct task *t) {
  if (has_ended(t)) return;
  if (t->state == TASK_SLEEPING && t->wait) {
    struct wait *w = t->wait;
    wait_wake(w, WAIT_CANCELLED);
    if (w->verdict == WAIT_CANCELLED) return;
  }
  t->cancelled = 1;
}

void task_owe_cancel(struct loop *loop, const struct wait *w) {
  struct task *t = loop_tasks(loop)->current;
  if (!t || w->verdict != WAIT_CANCELLED) return;
  if (w->context && context_cancelled(w->context)) return; /* the next call with it will see */
  t->cancelled = 1;
}

/* ---- one task ---- */

/* Pushes the userdata of a living task, and its coroutine; answers the latter. */
static lua_State *push_task(lua_State *L, struct task *t) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tasks_key);
  lua_rawgetp(L, -1, t);
  lua_remove(L, -2);
  lua_getiuservalue(L, -1, 1);
  return lua_tothread(L, -1);
}

static void forget_task(lua_State *L, struct task *t) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tasks_key);
  lua_pushnil(L);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

/* The error at the top of co becomes a message with a traceback, if it is text. */
static void add_traceback(lua_State *L, lua_State *co) {
  if (lua_type(co, -1) == LUA_TSTRING) {
    luaL_traceback(L, co, lua_tostring(co, -1), 0);
    lua_pop(co, 1);
    lua_xmove(L, co, 1);
  }
}

static void end_task(lua_State *L, struct task *t, enum task_state state) {
  t->state = state;
  loop_tasks(t->loop)->live--;
  while (t->joiners) {
    struct wait *w = t->joiners;
    t->joiners = w->next;
    w->next = NULL;
    wait_wake(w, WAIT_READY);
  }
  forget_task(L, t);
}

static int push_verdict(lua_State *L, enum wait_verdict verdict, const char *op);

/* The coroutine of t has failed, its error is at the top of co; or, where it yielded, it has to end. What it left open
** is closed. 1: nobody is joining it, and run() is not ending anyway; its error is then at the stack's top. The task
** has ended before anything here may raise for want of memory. */
static int fail_task(lua_State *L, struct task *t, lua_State *co) {
  int orphan = t->joiners == NULL && !t->ending, status = lua_status(co);
  end_task(L, t, TASK_FAILED);
  if (status == LUA_YIELD) {
    lua_resetthread(co);
    lua_settop(co, 0);
    lua_pushnil(co);
    push_verdict(L, WAIT_CANCELLED, "loop"); /* nil, err */
    lua_settop(co, 0);
    lua_xmove(L, co, 1);
    lua_pop(L, 1);
  } else {
    if (status != LUA_ERRMEM) add_traceback(L, co);
    lua_resetthread(co); /* leaves the error, or that of a __close */
  }
  lua_pushvalue(co, -1); /* one stays, for join */
  lua_xmove(co, L, 1);
  if (!orphan) lua_pop(L, 1);
  return orphan;
}

/* Resumes t. 1: it failed and nobody is joining it; its error is then at the stack's top. */
static int resume_task(lua_State *L, struct task *t) {
  struct tasks *all = loop_tasks(t->loop);
  lua_State *co = push_task(L, t); /* task, coroutine */
  int count, status, orphan = 0;
  t->state = TASK_RUNNING;
  t->wait = NULL;
  if (t->ending) t->ending++;
  all->current = t;
  all->current_thread = co;
  status = lua_resume(co, L, t->started ? 0 : t->arguments, &count);
  all->current = NULL;
  all->current_thread = NULL;
  t->started = 1;
  if (status == LUA_OK) {
    end_task(L, t, TASK_DONE);
  } else if (status != LUA_YIELD || t->ending > LIMIT_CANCELLED_WAITS) {
    if (t->wait) t->wait->task = NULL;
    t->wait = NULL;
    orphan = fail_task(L, t, co);
  } else if (t->state == TASK_RUNNING) { /* the program's own yield: let the others run */
    lua_pop(co, count);
    t->state = TASK_READY;
    task_ready(t);
  }
  lua_remove(L, -2 - orphan);
  lua_remove(L, -1 - orphan);
  return orphan;
}

static int meth_join_k(lua_State *L, int status, lua_KContext ctx);

static void leave_joiners(struct task *t, struct wait *w) {
  struct wait **link;
  for (link = &t->joiners; *link; link = &(*link)->next) {
    if (*link == w) {
      *link = w->next;
      w->next = NULL;
      return;
    }
  }
}

/* A wait that a userdata owns: sleep's and join's. Its uservalue is the task that is joined. */
struct sleep {
  struct wait *wait;
  struct task *joins; /* NULL: it just sleeps */
};

static void sleep_end(struct sleep *s) {
  if (s->joins && s->wait) leave_joiners(s->joins, s->wait);
  s->joins = NULL;
  wait_free(s->wait);
  s->wait = NULL;
}

static int sleep_gc(lua_State *L) {
  sleep_end(luaL_checkudata(L, 1, SLEEP_T));
  return 0;
}

static struct sleep *push_sleep(lua_State *L, struct loop *loop, struct task *joins) {
  struct sleep *s = lua_newuserdatauv(L, sizeof *s, 1);
  s->wait = NULL;
  s->joins = NULL;
  luaL_setmetatable(L, SLEEP_T);
  lua_pushvalue(L, 1); /* join: the task lives as long as its list may hold our wait */
  lua_setiuservalue(L, -2, 1);
  s->wait = wait_new(loop);
  if (!s->wait) luaL_error(L, "out of memory");
  if (joins) {
    s->joins = joins;
    s->wait->next = joins->joiners;
    joins->joiners = s->wait;
  }
  return s;
}

static int push_verdict(lua_State *L, enum wait_verdict verdict, const char *op) {
  struct lx_about about = {op, NULL, 0};
  switch (verdict) {
    case WAIT_CANCELLED: return lx_fail(L, KIND_CANCELLED, &about, "cancelled");
    case WAIT_INTERRUPTED: return lx_fail(L, KIND_INTERRUPTED, &about, "interrupted");
    case WAIT_TIMEOUT: return lx_fail(L, KIND_TIMEOUT, &about, "timed out");
    case WAIT_READY:
    case WAIT_PENDING: break;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* While a failing run() ends, tasks may still talk to engines, to clean up, but not sleep or join: 1 if so. A task that
** will not see it is not heard again: the yield ends in fail_task. */
static int must_end(lua_State *L, struct loop *loop) {
  struct task *t = loop_tasks(loop)->current;
  if (!t || !t->ending) return 0;
  if (t->ending++ > LIMIT_CANCELLED_WAITS) {
    if (task_may_yield(L, loop)) lua_yield(L, 0);
    push_verdict(L, WAIT_CANCELLED, "loop");
    lua_error(L);
  }
  return 1;
}

/* ---- methods of tasks ---- */

/* task:join() -> what its function returned; raises its error. */
static int meth_join(lua_State *L) {
  struct task *t = luaL_checkudata(L, 1, TASK_T);
  struct loop *loop = t->loop;
  lua_settop(L, 1);
  if (t->state == TASK_GONE) return lx_misuse(L, "join: the Lua state is being closed");
  if (!has_ended(t)) {
    struct sleep *s;
    if (!loop_tasks(loop)->running) return lx_misuse(L, "join: the task has not ended and the loop is not running");
    if (loop_tasks(loop)->current == t) return lx_misuse(L, "join: a task cannot join itself");
    if (!task_may_yield(L, loop)) return lx_misuse(L, "join: only inside a task, and not across a C call");
    if (must_end(L, loop)) return push_verdict(L, WAIT_CANCELLED, "join");
    s = push_sleep(L, loop, t);
    wait_begin(s->wait, NULL, LOOP_NEVER);
  }
  return meth_join_k(L, LUA_OK, 0);
}

static int meth_join_k(lua_State *L, int status, lua_KContext ctx) {
  struct task *t = lua_touserdata(L, 1);
  struct sleep *s = lua_gettop(L) > 1 ? lua_touserdata(L, 2) : NULL;
  lua_State *co;
  int i, count;
  (void)status;
  while (s && s->wait->verdict == WAIT_PENDING) loop_wait(L, s->wait, ctx, meth_join_k);
  if (s) {
    enum wait_verdict verdict = s->wait->verdict;
    sleep_end(s);
    if (verdict != WAIT_READY) return push_verdict(L, verdict, "join");
  }
  lua_getiuservalue(L, 1, 1);
  co = lua_tothread(L, -1);
  if (t->state == TASK_FAILED) {
    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
    return lua_error(L);
  }
  count = lua_gettop(co);
  luaL_checkstack(L, count, "too many results");
  if (!lua_checkstack(co, count)) return luaL_error(L, "too many results");
  for (i = 1; i <= count; i++) lua_pushvalue(co, i);
  lua_xmove(co, L, count);
  return count;
}

static int meth_cancel(lua_State *L) {
  task_cancel(luaL_checkudata(L, 1, TASK_T));
  return 0;
}

static int meth_tostring(lua_State *L) {
  static const char *const states[] = {"ready", "running", "sleeping", "done", "failed", "gone"};
  struct task *t = luaL_checkudata(L, 1, TASK_T);
  lua_pushfstring(L, "task (%s)", states[t->state]);
  return 1;
}

/* Only at the end of the state, or when nobody can reach it any more: then it has ended. The loop may be finalised
** before those who still use the task. */
static int task_gc(lua_State *L) {
  struct task *t = luaL_checkudata(L, 1, TASK_T);
  if (!has_ended(t)) t->state = TASK_GONE;
  t->joiners = NULL;
  if (t->wait) t->wait->task = NULL;
  t->wait = NULL;
  return 0;
}

/* ---- functions of the module ---- */

struct task *task_new(lua_State *L, struct loop *loop, int arguments) {
  struct tasks *all = loop_tasks(loop);
  struct task *t = lua_newuserdatauv(L, sizeof *t, 1);
  lua_State *co;
  memset(t, 0, sizeof *t);
  t->loop = loop;
  t->state = TASK_DONE; /* until it is complete */
  luaL_setmetatable(L, TASK_T);
  co = lua_newthread(L);
  lua_setiuservalue(L, -2, 1);
  if (!lua_checkstack(co, arguments + 2)) luaL_error(L, "too many arguments");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tasks_key); /* anchor it, before it is on any list */
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
  lua_insert(L, -(arguments + 2));
  lua_xmove(L, co, arguments + 1);
  t->arguments = arguments;
  t->state = TASK_READY;
  t->ending = t->cancelled = all->ending > 0;
  all->live++;
  task_ready(t);
  return t;
}

/* loop.spawn(fn, …) -> task: starts at the loop's next turn. */
static int fn_spawn(lua_State *L) {
  struct loop *loop = loop_get(L);
  struct tasks *all = loop_tasks(loop);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (all->ending && all->ending++ > LIMIT_CANCELLED_WAITS) { /* tasks that replace each other would go on for ever */
    push_verdict(L, WAIT_CANCELLED, "spawn");
    return lua_error(L);
  }
  task_new(L, loop, lua_gettop(L) - 1);
  return 1;
}

/* run() ends: every task is told, and those that come. */
static void cancel_all(lua_State *L, struct loop *loop) {
  loop_tasks(loop)->ending = 1;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tasks_key);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    struct task *t = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!t->ending) {
      task_cancel(t);
      t->ending = 1;
    }
  }
  lua_pop(L, 1);
}

int task_run_ready(lua_State *L, struct loop *loop) {
  struct tasks *all = loop_tasks(loop);
  struct task *t;
  size_t turns = all->live;
  signal_deliver(L, loop);
  while (turns-- > 0 && (t = take_ready(all)) != NULL) {
    if (resume_task(L, t)) return 1;
  }
  return 0;
}

static int run_body(lua_State *L) {
  struct loop *loop = loop_get(L);
  struct tasks *all = loop_tasks(loop);
  struct task *first = task_new(L, loop, lua_gettop(L) - 1); /* index 1 */
  lua_Hook before = loop_hook(L);
  int failed = 0, interrupted = 0, i, count;
  lua_State *co;
  while (all->live > 0) {
    if (task_run_ready(L, loop)) {
      if (failed || interrupted) { /* the first error counts; Ctrl-C's is lua.c's to raise */
        lua_pop(L, 1);
      } else {
        failed = 1;
        lua_replace(L, 1);
        cancel_all(L, loop);
      }
    } else if (all->live > 0 && loop_turn(L, loop, before, all->ready == NULL) && !interrupted) {
      interrupted = 1;
      cancel_all(L, loop);
    }
  }
  if (failed) {
    lua_settop(L, 1);
    return lua_error(L);
  }
  if (interrupted) return push_verdict(L, WAIT_INTERRUPTED, "run"); /* lua.c's hook raises "interrupted!" now */
  lua_getiuservalue(L, 1, 1);
  co = lua_tothread(L, -1);
  count = first->state == TASK_DONE ? lua_gettop(co) : 0;
  luaL_checkstack(L, count, "too many results");
  for (i = 0; i < count; i++) lua_pushnil(L);
  lua_settop(L, 1);
  luaL_checkstack(L, count, "too many results");
  lua_xmove(co, L, count);
  return count;
}

/* loop.run(fn, …) -> what fn returns, when fn and all tasks have ended. */
static int fn_run(lua_State *L) {
  struct loop *loop = loop_get(L);
  struct tasks *all = loop_tasks(loop);
  int status;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (all->running) return lx_misuse(L, "run: the loop is running already (use spawn)");
  all->running = 1;
  all->ending = 0;
  lua_pushcfunction(L, run_body);
  lua_insert(L, 1);
  status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (all->live > 0) cancel_all(L, loop); /* for want of memory it could not wait for them: the next run() does */
  all->running = all->ending = 0;
  loop_nudge(loop);
  if (status != LUA_OK) return lua_error(L);
  return lua_gettop(L);
}

static int sleep_k(lua_State *L, int status, lua_KContext ctx) {
  struct sleep *s = lua_touserdata(L, 2);
  enum wait_verdict verdict;
  (void)status;
  while (s->wait->verdict == WAIT_PENDING) loop_wait(L, s->wait, ctx, sleep_k);
  verdict = s->wait->verdict;
  sleep_end(s);
  if (verdict == WAIT_TIMEOUT) verdict = WAIT_READY; /* it is what a sleeper waits for */
  return push_verdict(L, verdict, "sleep");
}

/* loop.sleep(seconds) -> true | nil, err */
static int fn_sleep(lua_State *L) {
  struct loop *loop = loop_get(L);
  lua_Number seconds = luaL_checknumber(L, 1);
  struct sleep *s;
  if (!(seconds >= 0)) return lx_misuse(L, "sleep: seconds (a number >= 0) expected, got %f", seconds);
  if (must_end(L, loop)) return push_verdict(L, WAIT_CANCELLED, "sleep");
  lua_settop(L, 1);
  s = push_sleep(L, loop, NULL);
  wait_begin(s->wait, NULL, loop_deadline(loop, seconds));
  if (s->wait->verdict == WAIT_TIMEOUT && task_may_yield(L, loop)) { /* no time at all: the others' turn */
    return lua_yieldk(L, 0, 0, sleep_k);
  }
  return sleep_k(L, LUA_OK, 0);
}

/* loop.now() -> monotonic seconds */
static int fn_now(lua_State *L) {
  (void)loop_get(L);
  lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e9);
  return 1;
}

/* ---- opening ---- */

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc) {
  if (luaL_newmetatable(L, name)) {
    if (methods) {
      lua_newtable(L);
      luaL_setfuncs(L, methods, 0);
      lua_setfield(L, -2, "__index");
    }
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
}

int luaopen_loop(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"run", fn_run}, {"spawn", fn_spawn}, {"sleep", fn_sleep}, {"now", fn_now}, {"fd", fn_fd},
    {"next_timeout", fn_next_timeout}, {"step", fn_step}, {"signal", fn_signal}, {NULL, NULL}
  };
  static const luaL_Reg task_methods[] = {{"join", meth_join}, {"cancel", meth_cancel}, {NULL, NULL}};
  make_type(L, TASK_T, task_methods, task_gc);
  luaL_getmetatable(L, TASK_T);
  lua_pushcfunction(L, meth_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
  make_type(L, SLEEP_T, NULL, sleep_gc);
  signal_open(L);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tasks_key);
  luaL_newlib(L, functions);
  return 1;
}
