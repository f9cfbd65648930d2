/* containers.c: the container operations that change a state: start, stop, restart, remove; and the list of all
** methods.
**
** The state that was asked for counts, not who brought it about: starting what runs and stopping what is stopped is
** success (the Engine answers 304), and so is removing what somebody else is removing: then the call waits until it
** is gone. */

#include "containers.h"

#include <lauxlib.h>
#include <string.h>

#include "client.h"
#include "ref.h"

#define DEFAULT_STOP_TIMEOUT 10 /* seconds, the Engine's own */
#define SIGNAL_SINCE 42         /* API version: stop and restart take a signal */

/* ---- shared by the container files ---- */

struct call *container_begin(lua_State *L, const char *name, const struct lx_option *known) {
  size_t length;
  const char *id;
  (void)client_check(L, 1);
  id = lx_checkid(L, 2, name, "container", &length);
  return call_begin(L, name, 3, known, id); /* an id is shorter than a subject may be */
}

void container_request(lua_State *L, struct call *k, const char *operation_id) {
  call_request(L, k, operation_id);
  call_path(L, k, k->subject, strlen(k->subject));
}

const char *container_label_option(lua_State *L, int options, const char *op, const char *name, size_t *length) {
  const char *text = lx_option_string(L, options, name, length);
  if (text && !ref_is_label_name(text, *length)) {
    lx_pushexcerpt(L, text, *length);
    lx_misuse(L, "%s: option '%s': lower-case letters, digits, '_' and '-' expected, the first a letter or digit, got "
              "'%s'", op, name, lua_tostring(L, -1));
  }
  return text;
}

static int true_done(lua_State *L, struct call *k) {
  (void)k;
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- start ---- */

/* client:start_container(id) -> true */
static int meth_start_container(lua_State *L) {
  static const struct lx_option known[] = {LX_COMMON_OPTIONS};
  struct call *k = container_begin(L, "start_container", known);
  container_request(L, k, "ContainerStart"); /* 304, it runs already, is good in the row */
  return call_run(L, k, true_done);
}

/* ---- stop and restart ---- */

enum { STOP, RESTART };

/* The request, from the options. k->step: which of them. */
static int send_stop(lua_State *L, struct call *k) {
  size_t length;
  const char *signal;
  container_request(L, k, k->step == RESTART ? "ContainerRestart" : "ContainerStop");
  if (lx_option(L, k->options, "stop_timeout") != LUA_TNIL) {
    call_query_integer(L, k, "t", lx_option_integer(L, k->options, "stop_timeout", DEFAULT_STOP_TIMEOUT));
  }
  lua_pop(L, 1);
  signal = lx_option_string(L, k->options, "signal", &length);
  if (signal) call_query(L, k, "signal", signal, length);
  return call_run(L, k, true_done);
}

static int version_known(lua_State *L, struct call *k) {
  int failed = call_needs(L, k, "option 'signal'", SIGNAL_SINCE);
  return failed ? failed : send_stop(L, k);
}

static int stop(lua_State *L, const char *name, int which) {
  static const struct lx_option known[] = {{"stop_timeout", LX_INTEGER}, {"signal", LX_STRING}, LX_COMMON_OPTIONS};
  struct call *k = container_begin(L, name, known);
  lua_Integer seconds = lx_option_integer(L, k->options, "stop_timeout", DEFAULT_STOP_TIMEOUT);
  size_t length;
  const char *signal = lx_option_string(L, k->options, "signal", &length);
  if (seconds < -1 || seconds > INT32_MAX) {
    return lx_misuse(L, "%s: option 'stop_timeout': seconds (an integer >= 0), or -1 for no limit, expected, got %I",
                     name, (LUAI_UACINT)seconds);
  }
  if (signal && length == 0) return lx_misuse(L, "%s: option 'signal': it is empty", name);
  k->step = which;
  if (seconds < 0) call_no_default_timeout(L, k); /* as long as it takes */
  else call_add_timeout(k, (double)seconds);
  return signal ? call_negotiate(L, k, SIGNAL_SINCE, version_known) : send_stop(L, k);
}

/* client:stop_container(id, { stop_timeout=10, signal="SIGTERM" }) -> true */
static int meth_stop_container(lua_State *L) {
  return stop(L, "stop_container", STOP);
}

/* client:restart_container(id, { stop_timeout=10, signal="SIGTERM" }) -> true */
static int meth_restart_container(lua_State *L) {
  return stop(L, "restart_container", RESTART);
}

/* ---- remove ---- */

/* The end of waiting for somebody else's removal; 404: it had gone before. */
static int gone(lua_State *L, struct call *k) {
  int failed = k->status == 404 ? 0 : container_wait_fault(L, k);
  return failed ? failed : true_done(L, k);
}

static int remove_done(lua_State *L, struct call *k) {
  if (k->status != 409) return true_done(L, k);
  if (!strstr(call_message(L, k), "already in progress")) return call_fail_status(L, k); /* it runs, or is paused */
  container_request(L, k, "ContainerWait");
  call_query(L, k, "condition", "removed", 7);
  call_accept(k, 404);
  return call_run(L, k, gone);
}

/* client:remove_container(id, { force=, volumes= }) -> true */
static int meth_remove_container(lua_State *L) {
  static const struct lx_option known[] = {{"force", LX_BOOLEAN}, {"volumes", LX_BOOLEAN}, LX_COMMON_OPTIONS};
  struct call *k = container_begin(L, "remove_container", known);
  container_request(L, k, "ContainerDelete");
  if (lx_option_boolean(L, k->options, "force", 0)) call_query_boolean(L, k, "force", 1);
  if (lx_option_boolean(L, k->options, "volumes", 0)) call_query_boolean(L, k, "v", 1);
  call_accept(k, 409);
  return call_run(L, k, remove_done);
}

const luaL_Reg container_methods[] = {
  {"create_container", meth_create_container}, {"start_container", meth_start_container},
  {"stop_container", meth_stop_container}, {"restart_container", meth_restart_container},
  {"remove_container", meth_remove_container}, {"list_containers", meth_list_containers},
  {"inspect_container", meth_inspect_container}, {"wait_container", meth_wait_container},
  {"wait_healthy", meth_wait_healthy}, {"logs", meth_logs}, {NULL, NULL}
};
