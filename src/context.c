/* context.c: docker.context: one handle that cancels, or bounds in time, all the calls it was given to.
**
** A context is a userdata; its waits and its children stand in lists, so that cancel reaches all of them at once. It
** only sets verdicts: the calls end themselves when their turn comes, and free their transfers. */

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "loop.h"
#include "lx.h"

struct context {
  struct loop *loop; /* NULL: finalised, but not yet out of reach of other finalisers */
  int cancelled;
  uint64_t deadline; /* its own or its parent's, the earlier; LOOP_NEVER */
  char reason[256];  /* cut if longer */
  struct wait *waits;
  struct context *children, *sibling, **link; /* link: what points at this one in its parent's list */
};

struct context *context_test(lua_State *L, int idx) {
  return luaL_testudata(L, idx, CONTEXT_T);
}

uint64_t context_deadline(const struct context *c) {
  return c->deadline;
}

int context_cancelled(const struct context *c) {
  return c->cancelled;
}

const char *context_reason(const struct context *c) {
  return c->reason;
}

void context_add(struct context *c, struct wait *w) {
  if (!c->loop) return; /* it may be gone before the wait is */
  w->context = c;
  w->context_next = c->waits;
  w->context_link = &c->waits;
  if (c->waits) c->waits->context_link = &w->context_next;
  c->waits = w;
}

void context_remove(struct wait *w) {
  *w->context_link = w->context_next;
  if (w->context_next) w->context_next->context_link = w->context_link;
  w->context = NULL;
}

static void leave_parent(struct context *c) {
  if (!c->link) return;
  *c->link = c->sibling;
  if (c->sibling) c->sibling->link = c->link;
  c->link = NULL;
  c->sibling = NULL;
}

/* And all below it, which then need their parents no more. Not recursive: nobody bounds how deep they are nested. */
static void cancel(struct context *c, const char *reason) {
  struct context *todo = NULL;
  while (c) {
    struct wait *w;
    if (!c->cancelled) {
      c->cancelled = 1;
      snprintf(c->reason, sizeof c->reason, "%s", reason);
      for (w = c->waits; w; w = w->context_next) wait_wake(w, WAIT_CANCELLED);
    }
    while (c->children) {
      struct context *child = c->children;
      leave_parent(child);
      child->sibling = todo;
      todo = child;
    }
    c = todo;
    if (c) {
      todo = c->sibling;
      c->sibling = NULL;
    }
  }
}

/* ctx:cancel(reason) */
static int meth_cancel(lua_State *L) {
  struct context *c = luaL_checkudata(L, 1, CONTEXT_T);
  cancel(c, luaL_optstring(L, 2, ""));
  return 0;
}

/* ctx:done() -> boolean, reason */
static int meth_done(lua_State *L) {
  struct context *c = luaL_checkudata(L, 1, CONTEXT_T);
  if (c->cancelled) {
    lua_pushboolean(L, 1);
    lua_pushstring(L, c->reason[0] ? c->reason : "cancelled");
    return 2;
  }
  if (c->loop && c->deadline != LOOP_NEVER && loop_now(c->loop) >= c->deadline) {
    lua_pushboolean(L, 1);
    lua_pushliteral(L, "timeout");
    return 2;
  }
  lua_pushboolean(L, 0);
  return 1;
}

static int meth_tostring(lua_State *L) {
  struct context *c = luaL_checkudata(L, 1, CONTEXT_T);
  lua_pushfstring(L, "docker context (%s)", c->cancelled ? "cancelled" : "open");
  return 1;
}

static int context_gc(lua_State *L) {
  struct context *c = luaL_checkudata(L, 1, CONTEXT_T);
  c->loop = NULL;
  while (c->waits) context_remove(c->waits);
  while (c->children) leave_parent(c->children); /* they live on, without a parent */
  leave_parent(c);
  return 0;
}

int fn_context(lua_State *L) {
  static const struct lx_option known[] = {
    {"timeout", LX_SECONDS}, {"parent", LX_CONTEXT}, {NULL, LX_ANY}
  };
  struct context *c, *parent;
  lua_settop(L, 1);
  if (!lua_isnil(L, 1) && !lua_istable(L, 1)) {
    lx_misuse(L, "context: options table expected, got %s", luaL_typename(L, 1));
  }
  lx_checkoptions(L, 1, "context", known);
  lx_option(L, 1, "parent"); /* index 2 */
  parent = context_test(L, 2);
  c = lua_newuserdatauv(L, sizeof *c, 1);
  memset(c, 0, sizeof *c);
  c->loop = loop_get(L);
  c->deadline = LOOP_NEVER;
  luaL_setmetatable(L, CONTEXT_T);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1); /* keeps the parent alive */
  c->deadline = loop_deadline(c->loop, lx_option_number(L, 1, "timeout", -1));
  if (parent && parent->deadline < c->deadline) c->deadline = parent->deadline;
  if (parent && parent->cancelled) {
    cancel(c, parent->reason);
  } else if (parent && parent->loop) {
    c->sibling = parent->children;
    c->link = &parent->children;
    if (c->sibling) c->sibling->link = &c->sibling;
    parent->children = c;
  }
  return 1;
}

void context_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"cancel", meth_cancel}, {"done", meth_done}, {NULL, NULL}};
  if (luaL_newmetatable(L, CONTEXT_T)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, meth_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, context_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
}
