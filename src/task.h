/* task.h: what loop.c, task.c, signal.c and host.c know of each other. Everybody else needs loop.h only.
**
** The scheduler is a ready list. loop.c wakes waits, which puts their tasks on it; task.c resumes them from there, in
** run() or in step(); signal.c adds a task for each signal that has arrived; host.c is step() and all that a loop of
** somebody else's needs to call it in time. */

#ifndef DW_TASK_H
#define DW_TASK_H

#include "loop.h"

struct signal_watch;

struct tasks { /* the scheduler's part of a loop */
  struct task *ready, **ready_tail;
  struct task *current;     /* runs now, in current_thread */
  lua_State *current_thread;
  size_t live;              /* tasks not yet ended */
  int running;              /* inside run() or step() */
  int ending;               /* 0; while run() ends on an error or Ctrl-C: 1, and how many tasks were spawned since */
  int failed;               /* step() has raised: its caller does not know how many live until the next one */
  struct signal_watch *signals;
  size_t signalled;         /* signals that arrived and have no task yet */
};

/* loop.c */
struct tasks *loop_tasks(struct loop *loop);
/* One turn of the loop, blocking for LIMIT_BLOCK_TICK at most, or not at all; 1 if Ctrl-C was seen. */
int loop_turn(lua_State *L, struct loop *loop, lua_Hook before, int block);
lua_Hook loop_hook(lua_State *L); /* the main thread's hook now, for loop_turn */
/* Looks at events without waiting, also where nothing but signals is watched; has the descriptor know what is waited
** for now. */
void loop_glance(struct loop *loop);
int loop_has_work(const struct loop *loop); /* would step() do anything at once? */
int loop_host(struct loop *loop); /* loop_nudge works from here on; 0, or libuv's error */

/* task.c */
int task_may_yield(lua_State *L, struct loop *loop);       /* is L the coroutine of the task that runs now? */
void task_sleeps(struct loop *loop, struct wait *w);       /* the running task waits for w */
void task_ready(struct task *t);
int task_take_cancel(struct loop *loop);                   /* was the running task cancelled? Forgets it. */
/* Makes a task of a function and so many arguments, which it takes from the stack's top, and leaves its userdata
** there. */
struct task *task_new(lua_State *L, struct loop *loop, int arguments);
/* Resumes what is ready now (not what becomes ready meanwhile). 1: a task failed; its error is at the top. */
int task_run_ready(lua_State *L, struct loop *loop);

/* signal.c */
void signal_open(lua_State *L);
void signal_deliver(lua_State *L, struct loop *loop); /* starts a task for each signal that has arrived */
int fn_signal(lua_State *L);

/* host.c */
int fn_fd(lua_State *L);
int fn_next_timeout(lua_State *L);
int fn_step(lua_State *L);

#endif
