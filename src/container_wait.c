/* container_wait.c: wait_container and wait_healthy.
**
** wait_container is the Engine's own wait. Its headers come at once and its body when the container has ended, and a
** wait that failed is a 200 with Error.Message. To see the end of what is started later, begin to wait before
** starting it (condition "next-exit").
**
** wait_healthy asks until the health check has passed. When it gives up, for a failure or because the time is over,
** it takes up to RESERVE more to fetch the end of the container's log, so that the error says why: err.state,
** err.health, err.exit_code, err.probe (what the last probe printed) and err.log. Where that second does not suffice,
** the log is missing, and nothing else. */

#include <lauxlib.h>
#include <string.h>

#include "containers.h"
#include "frames.h"
#include "limits.h"

#define RESERVE 1.0         /* seconds beyond the deadline for the details of a failure */
#define FIRST_PAUSE 0.05    /* seconds between the first two questions… */
#define PAUSE_GROWTH 1.5    /* …then so many times longer each time… */
#define LONGEST_PAUSE 0.5   /* …up to this */
#define CRASH_LOOP 3        /* restarts after which a container that is not healthy counts as failed */
#define LOG_LINES 20        /* of the log's end that an error carries… */
#define LOG_BYTES 4096      /* …and no more than this */

/* ---- wait_container ---- */

int container_wait_fault(lua_State *L, struct call *k) {
  size_t length;
  const char *text;
  int failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  text = json_string(&k->doc, json_get(&k->doc, json_get(&k->doc, 0, "Error"), "Message"), &k->scratch, &length);
  if (!text || length == 0) return 0;
  lx_pushexcerpt(L, text, length);
  return call_fail(L, k, KIND_ENGINE, "%s", lua_tostring(L, -1));
}

static int wait_done(lua_State *L, struct call *k) {
  uint32_t node;
  int failed = container_wait_fault(L, k);
  if (failed) return failed;
  node = json_get(&k->doc, 0, "StatusCode");
  if (!json_is(&k->doc, node, JSON_INTEGER)) {
    return call_fail(L, k, KIND_PROTOCOL, "the Engine's reply has no StatusCode");
  }
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, json_integer(&k->doc, node, 0));
  lua_setfield(L, -2, "exit_code");
  return 1;
}

/* client:wait_container(id, { condition="not-running"|"next-exit"|"removed" }) -> { exit_code= } */
int meth_wait_container(lua_State *L) {
  static const struct lx_option known[] = {{"condition", LX_STRING}, LX_COMMON_OPTIONS};
  struct call *k = container_begin(L, "wait_container", known);
  const char *condition = lx_option_string(L, k->options, "condition", NULL);
  if (!condition) condition = "not-running";
  if (strcmp(condition, "not-running") != 0 && strcmp(condition, "next-exit") != 0 &&
      strcmp(condition, "removed") != 0) {
    return lx_misuse(L, "wait_container: option 'condition': not-running, next-exit or removed expected, got '%s'",
                     condition);
  }
  call_no_default_timeout(L, k);
  container_request(L, k, "ContainerWait");
  call_query(L, k, "condition", condition, strlen(condition));
  return call_run(L, k, wait_done);
}

/* ---- wait_healthy: what is known so far ----
**
** The stack above the box: DETAILS, the table of the error's fields, then (when giving up) REASON, a sentence.
** k->step: answers so far. k->count: restarts when the wait began; when giving up, the error's kind. k->node: a TTY? */

#define DETAILS(k) ((k)->box + 1)
#define REASON(k) ((k)->box + 2)

/* details[field] = the text at node; nil where it is empty. */
static void set_text(lua_State *L, struct call *k, const char *field, uint32_t node) {
  size_t length;
  const char *text = json_string(&k->doc, node, &k->scratch, &length);
  if (text && length) lua_pushlstring(L, text, length);
  else lua_pushnil(L);
  lua_setfield(L, DETAILS(k), field);
}

/* What the last probe printed, as an excerpt; nothing where there was none. */
static void set_probe(lua_State *L, struct call *k, uint32_t log) {
  const struct json_doc *doc = &k->doc;
  uint32_t i, count = json_is(doc, log, JSON_ARRAY) ? doc->nodes[log].count : 0, item = log + 1;
  size_t length;
  const char *text;
  for (i = 1; i < count; i++) item = doc->nodes[item].next;
  text = count ? json_string(doc, json_get(doc, item, "Output"), &k->scratch, &length) : NULL;
  if (text) lx_pushexcerpt(L, text, length);
  else lua_pushnil(L);
  lua_setfield(L, DETAILS(k), "probe");
}

/* Running: the Engine's own `Running` is also true of what is about to be restarted. */
static int is_up(const struct json_doc *doc, uint32_t state) {
  uint32_t status = json_get(doc, state, "Status");
  return json_string_is(doc, status, "running") || json_string_is(doc, status, "paused");
}

static void set_details(lua_State *L, struct call *k, uint32_t state) {
  const struct json_doc *doc = &k->doc;
  size_t length;
  const char *health = container_health(doc, state, &k->scratch, &length);
  if (health) lua_pushlstring(L, health, length);
  else lua_pushnil(L);
  lua_setfield(L, DETAILS(k), "health");
  set_text(L, k, "state", json_get(doc, state, "Status"));
  if (!is_up(doc, state)) { /* the Engine says 0 of what runs; here the last run's stays */
    lua_pushinteger(L, json_integer(doc, json_get(doc, state, "ExitCode"), 0));
    lua_setfield(L, DETAILS(k), "exit_code");
  }
  set_probe(L, k, json_get(doc, json_get(doc, state, "Health"), "Log"));
  k->node = (uint32_t)json_bool(doc, json_get(doc, json_get(doc, 0, "Config"), "Tty"), 0);
}

/* ---- wait_healthy: giving up ---- */

/* Pushes the last line of text that has something in it, as an excerpt. */
static void push_last_line(lua_State *L, const char *text, size_t length) {
  size_t start;
  while (length && (unsigned char)text[length - 1] <= ' ') length--;
  for (start = length; start && text[start - 1] != '\n'; start--) continue;
  lx_pushexcerpt(L, text + start, length - start);
}

/* The error: the reason, and in short what probe and log say; with all details as fields. */
static int report(lua_State *L, struct call *k) {
  const char *text;
  size_t length;
  if (k->wait->verdict == WAIT_CANCELLED || k->wait->verdict == WAIT_INTERRUPTED) return 2; /* in place of the log */
  lua_pushvalue(L, REASON(k));
  if (lua_getfield(L, DETAILS(k), "probe") == LUA_TSTRING) {
    text = lua_tolstring(L, -1, &length);
    lua_pushfstring(L, length ? "; the last probe printed: %s" : "; the last probe printed nothing", text);
    lua_remove(L, -2);
    lua_concat(L, 2);
  } else {
    lua_pop(L, 1);
  }
  if (lua_getfield(L, DETAILS(k), "log") == LUA_TSTRING) {
    text = lua_tolstring(L, -1, &length);
    push_last_line(L, text, length);
    lua_remove(L, -2);
    if (*lua_tostring(L, -1)) {
      lua_pushfstring(L, "; its log ends: %s", lua_tostring(L, -1));
      lua_remove(L, -2);
      lua_concat(L, 2);
    } else {
      lua_pop(L, 1);
    }
  } else {
    lua_pop(L, 1);
  }
  k->status = 0; /* it is about the container, not about a refusal */
  call_fail(L, k, (enum lx_kind)k->count, "%s", lua_tostring(L, -1));
  lua_pushnil(L);
  while (lua_next(L, DETAILS(k))) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_settable(L, -4);
  }
  return 2;
}

static int gather(void *context, int stream, const char *bytes, size_t count) {
  struct buf *text = context;
  (void)stream;
  return buf_append(text, bytes, count) != BUF_OK;
}

/* The log's end has come; both output streams as one text. */
static int log_done(lua_State *L, struct call *k) {
  const struct buf *body = &k->transfer->body;
  const char *text;
  size_t length;
  buf_clear(&k->scratch);
  if (k->node) {
    gather(&k->scratch, 1, body->data, body->length);
  } else {
    struct frames f;
    frames_init(&f);
    frames_feed(&f, body->data, body->length, gather, &k->scratch);
    frames_free(&f);
  }
  text = k->scratch.data;
  length = k->scratch.length;
  if (length > LOG_BYTES) {
    const char *newline;
    text += length - LOG_BYTES;
    length = LOG_BYTES;
    newline = memchr(text, '\n', length);
    if (newline && newline + 1 < text + length) { /* only whole lines, if there is one */
      length -= (size_t)(newline + 1 - text);
      text = newline + 1;
    }
  }
  lua_pushlstring(L, length ? text : "", length);
  lua_setfield(L, DETAILS(k), "log");
  return report(L, k);
}

/* With the reason at the top. The log is fetched even when the deadline has passed. */
static int give_up(lua_State *L, struct call *k, enum lx_kind kind) {
  lua_replace(L, DETAILS(k) + 1);
  lua_settop(L, REASON(k));
  k->top = REASON(k);
  k->count = (int64_t)kind;
  call_rescue(k, report);
  call_extend(L, k, RESERVE);
  container_request(L, k, "ContainerLogs");
  call_query_boolean(L, k, "stdout", 1);
  call_query_boolean(L, k, "stderr", 1);
  call_query_integer(L, k, "tail", LOG_LINES);
  return call_run(L, k, log_done);
}

/* The rescue of the questions: a deadline that passes gets the details too. */
static int too_late(lua_State *L, struct call *k) {
  const char *state, *health;
  if (k->wait->verdict != WAIT_TIMEOUT || k->step == 0) return 2; /* nothing is known that the error does not say */
  lua_getfield(L, DETAILS(k), "state");
  lua_getfield(L, DETAILS(k), "health");
  state = lua_tostring(L, -2);
  health = lua_tostring(L, -1);
  lua_pushfstring(L, "not healthy within the time allowed: it is %s%s%s", state ? state : "in no known state",
                  health ? ", and its health is " : "", health ? health : "");
  return give_up(L, k, KIND_TIMEOUT);
}

/* ---- wait_healthy: asking ---- */

static int judge(lua_State *L, struct call *k);

static int ask(lua_State *L, struct call *k) {
  container_request(L, k, "ContainerInspect");
  call_accept(k, 404);
  call_rescue(k, too_late);
  return call_run(L, k, judge);
}

static int later(lua_State *L, struct call *k) {
  double pause = FIRST_PAUSE;
  int i;
  for (i = 1; i < k->step && pause < LONGEST_PAUSE; i++) pause *= PAUSE_GROWTH;
  call_rescue(k, too_late);
  return call_pause(L, k, pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE, ask);
}

static int removed(lua_State *L, struct call *k) {
  lua_pushliteral(L, "removed");
  lua_setfield(L, DETAILS(k), "state");
  lua_pushnil(L);
  lua_setfield(L, DETAILS(k), "health");
  lua_pushliteral(L, "the container was removed meanwhile");
  lua_replace(L, REASON(k));
  lua_settop(L, REASON(k));
  k->count = (int64_t)KIND_ENGINE;
  return report(L, k); /* there is no log any more */
}

/* An answer: healthy, failed, or not yet. */
static int judge(lua_State *L, struct call *k) {
  const struct json_doc *doc = &k->doc;
  uint32_t state;
  int64_t restarts, exit_code;
  const char *status, *health;
  int failed;
  call_rescue(k, NULL);
  if (k->status == 404 && k->step == 0) return call_fail_status(L, k);
  if (k->status == 404) {
    lua_pushnil(L); /* REASON's place */
    return removed(L, k);
  }
  failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  state = json_get(doc, 0, "State");
  restarts = json_integer(doc, json_get(doc, 0, "RestartCount"), 0);
  exit_code = json_integer(doc, json_get(doc, state, "ExitCode"), 0);
  set_details(L, k, state);
  if (k->step++ == 0) k->count = restarts;
  lua_getfield(L, DETAILS(k), "state");
  lua_getfield(L, DETAILS(k), "health");
  status = lua_tostring(L, -2) ? lua_tostring(L, -2) : "";
  health = lua_tostring(L, -1);
  if (strcmp(status, "running") == 0 && (!health || strcmp(health, "healthy") == 0)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (health && strcmp(health, "unhealthy") == 0) {
    lua_pushliteral(L, "the container is unhealthy");
    return give_up(L, k, KIND_ENGINE);
  }
  if (restarts - k->count >= CRASH_LOOP || (restarts >= CRASH_LOOP && strcmp(status, "restarting") == 0)) {
    lua_pushfstring(L, "the container was restarted %I times", (LUAI_UACINT)restarts);
    if (lua_getfield(L, DETAILS(k), "exit_code") == LUA_TNUMBER) { /* unknown where no question fell between two runs */
      lua_pushfstring(L, "%s, and exited with status %I", lua_tostring(L, -2), (LUAI_UACINT)lua_tointeger(L, -1));
    } else {
      lua_pop(L, 1);
    }
    return give_up(L, k, KIND_ENGINE);
  }
  if (strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0 ||
      (strcmp(status, "created") == 0 && exit_code != 0)) {
    size_t length;
    const char *error = json_string(doc, json_get(doc, state, "Error"), &k->scratch, &length);
    lua_pushfstring(L, strcmp(status, "created") == 0 ? "the container could not be started (status %I)"
                       : strcmp(status, "dead") == 0 ? "the container is dead (exit status %I)"
                       : "the container exited with status %I", (LUAI_UACINT)exit_code);
    if (error && length) {
      lua_pushliteral(L, ": ");
      lx_pushexcerpt(L, error, length);
      lua_concat(L, 3);
    }
    return give_up(L, k, KIND_ENGINE);
  }
  return later(L, k); /* created, restarting, paused, removing, or starting */
}

/* client:wait_healthy(id, { timeout= }) -> true | nil, err with the fields state, health, exit_code, probe and log. A
** container without a health check is healthy when it runs. The time is the client's default where no timeout is
** given. */
int meth_wait_healthy(lua_State *L) {
  static const struct lx_option known[] = {LX_COMMON_OPTIONS};
  struct call *k = container_begin(L, "wait_healthy", known);
  lua_createtable(L, 0, 5);
  k->top = DETAILS(k);
  return ask(L, k);
}
