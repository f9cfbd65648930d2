/* loop.c: the event loop and waiting (see loop.h).
**
** One libuv loop a Lua state. Its memory is counted: the state's handle holds one reference, each transport another,
** since finalisers run in any order at lua_close. Waits are pooled: their timers belong to the loop and are closed
** with it. A blocking call wakes every LIMIT_BLOCK_TICK to look for Ctrl-C: lua.c answers SIGINT by setting a debug
** hook, which cannot run while C waits, and libuv goes on waiting when a signal arrives. The call then ends with
** WAIT_INTERRUPTED, and the hook raises "interrupted!" as soon as C returns to Lua. */

#include "loop.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "task.h"

#define LOOP_T "docker_watcher.loop"
#define MAX_SECONDS 1e9 /* 30 years: what is longer is for ever */

struct loop {
  uv_loop_t uv;
  uv_timer_t tick;     /* wakes blocking calls */
  int blocked;         /* nesting of blocking calls: tick runs while it is above 0 */
  uv_async_t nudge;    /* once hosted: makes the descriptor readable */
  int hosted;          /* somebody waits for the descriptor */
  unsigned references;
  struct wait *free_waits;
  struct loop_guest *guests;
  struct tasks tasks;
};

/* ---- life ---- */

static void close_handle(uv_handle_t *handle, void *unused) {
  (void)unused;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void loop_free(struct loop *loop) {
  struct wait *w, *next;
  while (loop->guests) loop->guests->end(loop->guests);
  uv_walk(&loop->uv, close_handle, NULL); /* tick and the timers of pooled waits */
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  uv_loop_close(&loop->uv);
  for (w = loop->free_waits; w; w = next) {
    next = w->next;
    free(w);
  }
  free(loop);
}

void loop_ref(struct loop *loop) {
  loop->references++;
}

void loop_unref(struct loop *loop) {
  if (--loop->references == 0) loop_free(loop);
}

void loop_add_guest(struct loop *loop, struct loop_guest *guest) {
  guest->next = loop->guests;
  guest->link = &loop->guests;
  if (guest->next) guest->next->link = &guest->next;
  loop->guests = guest;
}

void loop_remove_guest(struct loop_guest *guest) {
  *guest->link = guest->next;
  if (guest->next) guest->next->link = guest->link;
}

static struct loop *loop_new(lua_State *L) {
  struct loop *loop = calloc(1, sizeof *loop);
  int status = loop ? uv_loop_init(&loop->uv) : UV_ENOMEM;
  if (status != 0) {
    free(loop);
    luaL_error(L, "cannot make an event loop: %s", uv_strerror(status));
    return NULL;
  }
  uv_timer_init(&loop->uv, &loop->tick);
  loop->references = 1;
  loop->tasks.ready_tail = &loop->tasks.ready;
  return loop;
}

static int loop_gc(lua_State *L) {
  struct loop **handle = luaL_checkudata(L, 1, LOOP_T);
  if (*handle) loop_unref(*handle);
  *handle = NULL;
  return 0;
}

struct loop *loop_get(lua_State *L) {
  static const char key = 0;
  struct loop **handle, *loop;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TUSERDATA) {
    handle = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!*handle) luaL_error(L, "the Lua state is being closed"); /* in a __gc that comes later than ours */
    return *handle;
  }
  lua_pop(L, 1);
  handle = lua_newuserdatauv(L, sizeof(struct loop *), 0);
  *handle = NULL;
  luaL_setmetatable(L, LOOP_T);
  *handle = loop = loop_new(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  return loop;
}

uv_loop_t *loop_uv(struct loop *loop) {
  return &loop->uv;
}

struct tasks *loop_tasks(struct loop *loop) {
  return &loop->tasks;
}

/* ---- time ---- */

uint64_t loop_now(struct loop *loop) {
  uv_update_time(&loop->uv);
  return uv_now(&loop->uv);
}

uint64_t loop_deadline(struct loop *loop, double seconds) {
  if (seconds < 0 || seconds > MAX_SECONDS) return LOOP_NEVER;
  return loop_now(loop) + (uint64_t)ceil(seconds * 1000);
}

/* ---- waits ---- */

struct wait *wait_new(struct loop *loop) {
  struct wait *w = loop->free_waits;
  if (w) {
    loop->free_waits = w->next;
    w->next = NULL;
    return w;
  }
  w = calloc(1, sizeof *w);
  if (!w) return NULL;
  w->loop = loop;
  uv_timer_init(&loop->uv, &w->timer);
  w->timer.data = w;
  return w;
}

void wait_free(struct wait *w) {
  if (!w) return;
  wait_end(w);
  w->next = w->loop->free_waits;
  w->loop->free_waits = w;
}

static void on_deadline(uv_timer_t *timer) {
  struct wait *w = timer->data;
  w->has_timer = 0;
  wait_wake(w, WAIT_TIMEOUT);
}

/* The deadline, or the context's own if that is earlier. */
static void arm(struct wait *w, uint64_t deadline) {
  if (w->context) {
    uint64_t own = context_deadline(w->context);
    if (own < deadline) deadline = own;
  }
  if (deadline != LOOP_NEVER) {
    uint64_t now = loop_now(w->loop);
    if (deadline <= now) {
      wait_wake(w, WAIT_TIMEOUT);
    } else {
      uv_timer_start(&w->timer, on_deadline, deadline - now, 0);
      w->has_timer = 1;
    }
  }
}

void wait_begin(struct wait *w, struct context *context, uint64_t deadline) {
  w->verdict = WAIT_PENDING;
  w->task = NULL;
  if (context) context_add(context, w);
  if (task_take_cancel(w->loop) || (context && context_cancelled(context))) w->verdict = WAIT_CANCELLED;
  else arm(w, deadline);
}

void wait_set_deadline(struct wait *w, uint64_t deadline) {
  if (w->has_timer) uv_timer_stop(&w->timer);
  w->has_timer = 0;
  if (w->verdict == WAIT_TIMEOUT) w->verdict = WAIT_PENDING;
  arm(w, deadline);
}

void wait_end(struct wait *w) {
  if (w->has_timer) uv_timer_stop(&w->timer);
  w->has_timer = 0;
  if (w->context) context_remove(w);
  w->task = NULL;
}

void wait_wake(struct wait *w, enum wait_verdict verdict) {
  if (w->verdict == WAIT_PENDING || (w->verdict == WAIT_READY && verdict != WAIT_READY)) w->verdict = verdict;
  if (w->task) {
    struct task *t = w->task;
    w->task = NULL;
    task_ready(t);
  }
}

void wait_rearm(struct wait *w) {
  if (w->verdict == WAIT_READY) w->verdict = WAIT_PENDING;
}

/* ---- blocking ---- */

static void on_tick(uv_timer_t *timer) {
  (void)timer; /* its firing ends uv_run's turn, which is all that is wanted */
}

static lua_State *get_main(lua_State *L) {
  lua_State *main_thread;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  main_thread = lua_tothread(L, -1);
  lua_pop(L, 1);
  return main_thread;
}

/* A hook like lua.c's that is there already counts as none: Ctrl-C came while a coroutine ran Lua code, which the
** main thread's hook does not see. One that asks for everything, after each instruction, is not a debugger's, unless
** debug.sethook was used. */
lua_Hook loop_hook(lua_State *L) {
  const int all = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  lua_State *main_thread = get_main(L);
  if (lua_gethookmask(main_thread) == all && lua_gethookcount(main_thread) == 1) {
    int by_debug = lua_getfield(L, LUA_REGISTRYINDEX, "_HOOKKEY") != LUA_TNIL; /* where ldblib.c keeps its functions */
    lua_pop(L, 1);
    if (!by_debug) return NULL;
  }
  return lua_gethook(main_thread);
}

static void block(struct loop *loop) {
  if (loop->blocked++ == 0) uv_timer_start(&loop->tick, on_tick, LIMIT_BLOCK_TICK, LIMIT_BLOCK_TICK);
}

static void unblock(struct loop *loop) {
  if (--loop->blocked == 0) uv_timer_stop(&loop->tick);
}

void loop_glance(struct loop *loop) {
  block(loop);
  uv_run(&loop->uv, UV_RUN_NOWAIT);
  unblock(loop);
  if (loop_has_work(loop)) loop_nudge(loop); /* it has eaten the events that told of it */
}

int loop_turn(lua_State *L, struct loop *loop, lua_Hook before, int may_block) {
  lua_Hook hook;
  if (may_block) {
    block(loop);
    uv_run(&loop->uv, UV_RUN_ONCE);
    unblock(loop);
  } else {
    loop_glance(loop);
  }
  hook = lua_gethook(get_main(L));
  return hook && hook != before;
}

void loop_wait(lua_State *L, struct wait *w, lua_KContext ctx, lua_KFunction k) {
  struct loop *loop = w->loop;
  lua_Hook before;
  if (task_may_yield(L, loop)) {
    task_sleeps(loop, w);
    lua_yieldk(L, 0, ctx, k); /* does not return */
  }
  before = loop_hook(L);
  block(loop);
  while (w->verdict == WAIT_PENDING) {
    if (loop_turn(L, loop, before, 1)) wait_wake(w, WAIT_INTERRUPTED);
  }
  unblock(loop);
  /* A host's callback has blocked, and what tasks wait for went on meanwhile: the host knows nothing of it yet. */
  if (loop->hosted && !loop->tasks.running && (loop->tasks.live > 0 || loop->tasks.signalled > 0)) {
    loop_glance(loop);
    loop_nudge(loop);
  }
}

/* ---- in somebody else's loop (host.c) ---- */

int loop_has_work(const struct loop *loop) {
  return loop->tasks.ready != NULL || loop->tasks.signalled > 0 || loop->tasks.failed;
}

static void on_nudge(uv_async_t *handle) {
  (void)handle; /* that the descriptor was readable is all that is wanted */
}

int loop_host(struct loop *loop) {
  int status;
  if (loop->hosted) return 0;
  status = uv_async_init(&loop->uv, &loop->nudge, on_nudge);
  if (status != 0) return status;
  uv_unref((uv_handle_t *)&loop->nudge);
  loop->hosted = 1;
  return 0;
}

void loop_nudge(struct loop *loop) {
  if (loop->hosted && !loop->tasks.running && !loop->blocked) uv_async_send(&loop->nudge);
}

void loop_open(lua_State *L) {
  if (luaL_newmetatable(L, LOOP_T)) {
    lua_pushcfunction(L, loop_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
}
