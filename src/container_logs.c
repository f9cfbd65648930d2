/* container_logs.c: logs, a stream of chunks.
**
** A container without a TTY sends frames (stdout and stderr), one with a TTY bare bytes. From API 1.42 on the reply's
** Content-Type says which; before, and where a proxy has changed it, the container's configuration does. Never
** guessed from the bytes. */

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "containers.h"
#include "stream.h"

#define TYPED_SINCE 42        /* minor of the API version from which on the Content-Type tells */
#define LATEST 9007199254740992.0 /* 2^53 seconds: beyond, a double has no fractions and means nothing */

enum { TTY_NO, TTY_YES, TTY_UNKNOWN }; /* k->step */

/* Unix seconds, with nine decimals where there is a fraction. Not by printf's %f: that asks the locale for its
** point. */
static void query_time(lua_State *L, struct call *k, const char *name, const char *option) {
  char text[40];
  int length;
  if (lx_option(L, k->options, option) == LUA_TNUMBER) {
    double value = lua_tonumber(L, -1), whole = floor(value), nanos = floor((value - whole) * 1e9 + 0.5);
    if (nanos >= 1e9) whole += 1, nanos = 0;
    if (nanos > 0) length = snprintf(text, sizeof text, "%lld.%09lld", (long long)whole, (long long)nanos);
    else length = snprintf(text, sizeof text, "%lld", (long long)whole);
    call_query(L, k, name, text, (size_t)length);
  }
  lua_pop(L, 1);
}

static int opened(lua_State *L, struct call *k);

static int send_logs(lua_State *L, struct call *k) {
  container_request(L, k, "ContainerLogs");
  call_query_boolean(L, k, "stdout", lx_option_boolean(L, k->options, "stdout", 1));
  call_query_boolean(L, k, "stderr", lx_option_boolean(L, k->options, "stderr", 1));
  if (lx_option_boolean(L, k->options, "follow", 0)) call_query_boolean(L, k, "follow", 1);
  if (lx_option_boolean(L, k->options, "timestamps", 0)) call_query_boolean(L, k, "timestamps", 1);
  if (lx_option(L, k->options, "tail") == LUA_TNUMBER) {
    call_query_integer(L, k, "tail", lx_option_integer(L, k->options, "tail", 0));
  }
  lua_pop(L, 1);
  query_time(L, k, "since", "since");
  query_time(L, k, "until", "until_");
  return call_run_open(L, k, opened);
}

/* The container's configuration. */
static int inspected(lua_State *L, struct call *k) {
  int failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  k->step = json_bool(&k->doc, json_get(&k->doc, json_get(&k->doc, 0, "Config"), "Tty"), 0) ? TTY_YES : TTY_NO;
  return send_logs(L, k);
}

static int inspect_first(lua_State *L, struct call *k) {
  container_request(L, k, "ContainerInspect");
  return call_run(L, k, inspected);
}

static int has_suffix(const char *text, size_t length, const char *suffix) {
  size_t n = strlen(suffix);
  return length >= n && memcmp(text + length - n, suffix, n) == 0;
}

/* The headers are there. */
static int opened(lua_State *L, struct call *k) {
  size_t length;
  const char *type;
  if (k->step == TTY_UNKNOWN) {
    type = transfer_header(k->transfer, "Content-Type", &length);
    if (type && has_suffix(type, length, ".raw-stream")) k->step = TTY_YES;
    else if (type && has_suffix(type, length, ".multiplexed-stream")) k->step = TTY_NO;
  }
  if (k->step == TTY_UNKNOWN) {
    transfer_abort(k->transfer);
    return inspect_first(L, k);
  }
  return stream_take(L, k, k->step == TTY_YES ? STREAM_BARE : STREAM_FRAMES);
}

static int version_known(lua_State *L, struct call *k) {
  k->step = TTY_UNKNOWN;
  return call_version(k) >= TYPED_SINCE ? send_logs(L, k) : inspect_first(L, k);
}

static void check_options(lua_State *L, struct call *k) {
  static const char *const times[] = {"since", "until_"};
  size_t i;
  if (!lx_option_boolean(L, k->options, "stdout", 1) && !lx_option_boolean(L, k->options, "stderr", 1)) {
    lx_misuse(L, "logs: options 'stdout' and 'stderr': one of them must be wanted");
  }
  for (i = 0; i < sizeof times / sizeof *times; i++) {
    if (lx_option_number(L, k->options, times[i], 0) >= LATEST) {
      lx_misuse(L, "logs: option '%s': Unix seconds expected, got %f", times[i],
                lx_option_number(L, k->options, times[i], 0));
    }
  }
  switch (lx_option(L, k->options, "tail")) {
    case LUA_TNIL: break;
    case LUA_TNUMBER:
      if (lx_option_integer(L, k->options, "tail", -1) < 0) {
        lx_misuse(L, "logs: option 'tail': a number of lines (an integer >= 0), or \"all\", expected, got %f",
                  lua_tonumber(L, -1));
      }
      break;
    default:
      if (strcmp(lua_tostring(L, -1), "all") != 0) {
        lx_misuse(L, "logs: option 'tail': a number of lines (an integer >= 0), or \"all\", expected, got '%s'",
                  lua_tostring(L, -1));
      }
  }
  lua_pop(L, 1);
}

/* client:logs(id, { follow=false, stdout=true, stderr=true, tail="all"|n, since=, until_=, timestamps=false, first_byte_timeout=,
** idle_timeout= }) -> stream of chunk, "stdout"|"stderr". There is no default timeout; one that is given bounds the
** stream's whole life. */
int meth_logs(lua_State *L) {
  static const struct lx_option known[] = {
    {"follow", LX_BOOLEAN}, {"stdout", LX_BOOLEAN}, {"stderr", LX_BOOLEAN}, {"tail", LX_NUMBER_OR_STRING},
    {"since", LX_SECONDS}, {"until_", LX_SECONDS}, {"timestamps", LX_BOOLEAN},
    {"first_byte_timeout", LX_SECONDS}, {"idle_timeout", LX_SECONDS}, LX_COMMON_OPTIONS
  };
  struct call *k = container_begin(L, "logs", known);
  check_options(L, k);
  call_stream_timeouts(L, k, 1);
  return call_negotiate(L, k, 0, version_known);
}
