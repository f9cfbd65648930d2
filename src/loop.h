/* loop.h: the one event loop of a Lua state (libuv), and the one function that blocks or yields.
**
** Whoever waits for something has a `struct wait`: the thing waited for calls wait_wake, a deadline or a cancelled
** context does so too, with another verdict. loop_wait then either yields the task's coroutine (inside a task that
** our loop started) or runs the loop until the wait is over (anywhere else), driving transfers and timers, never
** other tasks. Callbacks of libuv and libcurl only set verdicts; Lua runs when they have returned. */

#ifndef DW_LOOP_H
#define DW_LOOP_H

#include <lua.h>
#include <stdint.h>
#include <uv.h>

struct loop;
struct task;
struct context;

enum wait_verdict {
  WAIT_PENDING,
  WAIT_READY,      /* what was waited for is there */
  WAIT_TIMEOUT,    /* the deadline passed */
  WAIT_CANCELLED,  /* the context or the task was cancelled */
  WAIT_INTERRUPTED /* Ctrl-C: a signal handler of the host (lua.c) has set a debug hook */
};

#define LOOP_NEVER UINT64_MAX /* a deadline that never comes */

struct wait {
  struct loop *loop;
  struct task *task; /* the sleeping task; NULL: nobody, or a blocking call */
  enum wait_verdict verdict;
  uv_timer_t timer;  /* the deadline's; active only while waiting */
  int has_timer;
  struct context *context; /* NULL: none */
  struct wait *context_next, **context_link; /* in the context's list */
  struct wait *next; /* free list, or a task's list of joiners */
};

/* The Lua state's loop, made at the first use and closed with the state. Raises for want of memory. */
struct loop *loop_get(lua_State *L);
uv_loop_t *loop_uv(struct loop *loop);
/* References keep the loop's memory past lua_close until the last transport is gone. */
void loop_ref(struct loop *loop);
void loop_unref(struct loop *loop);

/* Who has handles in the loop that nobody else will close when it goes. */
struct loop_guest {
  void (*end)(struct loop_guest *guest); /* the loop goes: leaves it, and closes its handles */
  void *owner;
  struct loop_guest *next, **link;
};
void loop_add_guest(struct loop *loop, struct loop_guest *guest);
void loop_remove_guest(struct loop_guest *guest);

/* Monotonic milliseconds; `seconds` from now as a deadline (negative: LOOP_NEVER). */
uint64_t loop_now(struct loop *loop);
uint64_t loop_deadline(struct loop *loop, double seconds);

/* A wait from the loop's pool; NULL: no memory. wait_free ends it and gives it back. */
struct wait *wait_new(struct loop *loop);
void wait_free(struct wait *w);
/* Starts to wait: verdict PENDING, or at once CANCELLED or TIMEOUT where that holds already. The context's own deadline
** counts too. */
void wait_begin(struct wait *w, struct context *context, uint64_t deadline);
/* Another deadline, while it waits; a TIMEOUT of the former one is forgotten. */
void wait_set_deadline(struct wait *w, uint64_t deadline);
void wait_end(struct wait *w); /* lets timer and context go; the verdict stays */
/* Gives a verdict. READY never replaces another one; the others replace PENDING and READY. */
void wait_wake(struct wait *w, enum wait_verdict verdict);
void wait_rearm(struct wait *w); /* READY → PENDING, to wait for the next event */

/* Blocks until w has a verdict; or, in a task, yields and never returns: then k(L, LUA_YIELD, ctx) is called when it
** has one. Use: while (w->verdict == WAIT_PENDING) loop_wait(L, w, ctx, k); */
void loop_wait(lua_State *L, struct wait *w, lua_KContext ctx, lua_KFunction k);

void loop_open(lua_State *L);       /* metatables */
int luaopen_loop(lua_State *L);     /* the table of task.c: run spawn sleep now fd next_timeout step signal */

/* The running task's wait w brought what it was for although the task was cancelled meanwhile: its next wait tells
** it. */
void task_owe_cancel(struct loop *loop, const struct wait *w);

/* For what changes a timer of the loop outside of all waits: a loop of somebody else's that waits for ours (host.c)
** is woken, to ask anew how long it may. */
void loop_nudge(struct loop *loop);

/* Contexts (context.c). */
#define CONTEXT_T "docker_watcher.context"
struct context *context_test(lua_State *L, int idx); /* NULL if the value is none */
uint64_t context_deadline(const struct context *c);
int context_cancelled(const struct context *c);
const char *context_reason(const struct context *c); /* "" where none was given */
void context_add(struct context *c, struct wait *w);
void context_remove(struct wait *w);
int fn_context(lua_State *L); /* docker.context{ timeout=, parent= } */
void context_open(lua_State *L);

#endif
