/* call.c: see call.h.
**
** A call's state is in its box (a userdata, so that an error or an abandoned coroutine lets the collector abort the
** transfer), never in C locals: call_k runs again and again, as a plain loop for blocking callers and as a
** continuation in tasks. Boxes are pooled in the client: a call on a warm client allocates nothing but its result. */

#define _GNU_SOURCE /* memmem */
#include "call.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "client.h"
#include "jsonlua.h"
#include "limits.h"

#define CALL_T "docker_watcher.call"
#define POOL_SIZE 32        /* idle calls that a client keeps */
#define KEEP_BYTES 65536    /* memory that an idle call keeps of each buffer */
#define KEEP_NODES 8192     /* … and of its JSON nodes */
#define NEGOTIATIONS 2      /* at the first call, and once more when the version is refused */

/* ---- boxes ---- */

void call_free(struct call *k) {
  if (k->transfer) transfer_abort(k->transfer);
  wait_free(k->wait); /* before the transfer, which may hold the loop's last reference */
  k->wait = NULL;
  transfer_free(k->transfer);
  k->transfer = NULL;
  buf_free(&k->path);
  buf_free(&k->body);
  auth_wipe(&k->auth);
  buf_free(&k->url);
  buf_free(&k->scratch);
  json_free(&k->doc);
  k->state = CALL_FREE;
}

static int call_gc(lua_State *L) {
  call_free(luaL_checkudata(L, 1, CALL_T));
  return 0;
}

static struct call *new_box(lua_State *L, struct client *c) {
  struct call *k = lua_newuserdatauv(L, sizeof *k, 2);
  memset(k, 0, sizeof *k);
  buf_init(&k->path, LIMIT_PATH);
  buf_init(&k->body, LIMIT_REQUEST);
  buf_init(&k->auth, LIMIT_PATH);
  buf_init(&k->url, LIMIT_PATH);
  buf_init(&k->scratch, LIMIT_REPLY);
  luaL_setmetatable(L, CALL_T);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, CALL_CLIENT);
  k->client = c;
  k->wait = wait_new(c->loop);
  k->transfer = transfer_new(c->transport);
  if (!k->wait || !k->transfer) luaL_error(L, "not enough memory");
  return k;
}

/* Pushes a box of the pool, or nothing: NULL. At lua_close those in it may be finalised before somebody else's __gc calls. */
static struct call *take_box(lua_State *L, struct client *c) {
  while (c->pool > 0) {
    struct call *k;
    lua_getiuservalue(L, 1, CLIENT_POOL);
    lua_rawgeti(L, -1, c->pool);
    lua_pushnil(L);
    lua_rawseti(L, -3, c->pool--);
    lua_remove(L, -2);
    k = lua_touserdata(L, -1);
    if (k->wait) return k;
    lua_pop(L, 1);
  }
  return NULL;
}

struct call *call_begin(lua_State *L, const char *name, int options, const struct lx_option *known,
                        const char *subject) {
  struct client *c = client_check(L, 1);
  struct call *k;
  int has_options = options && lua_istable(L, options);
  if (options) {
    lx_checkoptions(L, options, name, known);
    if (lua_gettop(L) < options) lua_settop(L, options);
  }
  k = take_box(L, c);
  if (!k) k = new_box(L, c);
  k->box = k->top = lua_gettop(L);
  k->op = NULL;
  k->feed = NULL;
  k->rescue = NULL;
  k->refused = NULL;
  k->first_byte = k->idle = -1;
  k->phase = NULL;
  luaL_checkstack(L, 20, NULL);
  k->state = CALL_BEGUN;
  k->name = name;
  k->options = has_options ? options : 0;
  k->timeout = c->timeout;
  if (has_options) k->timeout = lx_option_number(L, options, "timeout", c->timeout);
  k->inside = k->waiting = k->negotiations = k->by_get = k->failed = k->told = k->step = 0;
  k->count = 0;
  k->node = JSON_NONE;
  k->note[0] = '\0';
  k->status = 0;
  snprintf(k->subject, sizeof k->subject, "%s", subject ? subject : "");
  return k;
}

void call_no_default_timeout(lua_State *L, struct call *k) {
  k->timeout = k->options ? lx_option_number(L, k->options, "timeout", -1) : -1;
}

void call_stream_timeouts(lua_State *L, struct call *k, int at_once) {
  k->first_byte = at_once ? k->client->timeout : -1;
  k->timeout = -1;
  if (!k->options) return;
  k->timeout = lx_option_number(L, k->options, "timeout", -1);
  k->first_byte = lx_option_number(L, k->options, "first_byte_timeout", k->first_byte);
  k->idle = lx_option_number(L, k->options, "idle_timeout", -1);
}

void call_name(struct call *k, const char *name) {
  snprintf(k->called, sizeof k->called, "%s", name);
  k->name = k->called;
}

void call_rescue(struct call *k, call_finish rescue) {
  k->rescue = rescue;
  k->failed = 0;
}

void call_add_timeout(struct call *k, double seconds) {
  if (k->timeout >= 0) k->timeout += seconds;
}

static void forget_text(lua_State *L, struct call *k) {
  if (!k->text) return;
  k->text = NULL;
  lua_pushnil(L);
  lua_setiuservalue(L, k->box, CALL_TEXT);
}

void call_release(lua_State *L, struct call *k) {
  struct client *c = k->client;
  if (k->state == CALL_FREE) return;
  transfer_abort(k->transfer);
  wait_end(k->wait);
  k->waiting = 0;
  k->state = CALL_FREE;
  auth_wipe(&k->auth);
  forget_text(L, k);
  buf_shrink(&k->transfer->body, KEEP_BYTES);
  buf_shrink(&k->body, KEEP_BYTES);
  buf_shrink(&k->scratch, KEEP_BYTES);
  if (k->doc.size > KEEP_NODES) json_free(&k->doc);
  if (!c->transport || c->pool >= POOL_SIZE) return; /* the collector takes it */
  lua_getiuservalue(L, k->box, CALL_CLIENT);
  lua_getiuservalue(L, -1, CLIENT_POOL);
  lua_pushvalue(L, k->box);
  lua_rawseti(L, -2, c->pool + 1);
  c->pool++;
  lua_pop(L, 2);
}

/* ---- failures ---- */

static int fail_top(lua_State *L, struct call *k, enum lx_kind kind) {
  struct lx_about about = {k->name, k->subject, k->status >= 300 ? k->status : 0};
  k->failed = 1;
  lx_pusherror(L, kind, &about);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

int call_fail(lua_State *L, struct call *k, enum lx_kind kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  return fail_top(L, k, kind);
}

int call_fail_verdict(lua_State *L, struct call *k) {
  struct context *context;
  const char *reason = "";
  switch (k->wait->verdict) {
    case WAIT_TIMEOUT:
      if (k->phase && k->phase_until < k->deadline && loop_now(k->client->loop) >= k->phase_until) {
        return call_fail(L, k, KIND_TIMEOUT, "nothing came from %s for as long as %s allows", k->client->host,
                         k->phase);
      }
      return call_fail(L, k, KIND_TIMEOUT, "no answer within the time allowed");
    case WAIT_INTERRUPTED: return call_fail(L, k, KIND_INTERRUPTED, "interrupted");
    case WAIT_CANCELLED:
    case WAIT_READY:
    case WAIT_PENDING: break;
  }
  k->told = 1;
  context = k->wait->context;
  if (context) reason = context_reason(context);
  if (*reason) return call_fail(L, k, KIND_CANCELLED, "cancelled: %s", reason);
  return call_fail(L, k, KIND_CANCELLED, "cancelled");
}

int call_fail_fault(lua_State *L, struct call *k) {
  const struct transfer *x = k->transfer;
  const char *host = k->client->host;
  switch (x->fault) {
    case FAULT_MISSING:
      return call_fail(L, k, KIND_UNREACHABLE, "no Docker Engine at %s: the socket does not exist. Start the Engine "
                       "(systemctl start docker), or set DOCKER_HOST to where it is", host);
    case FAULT_REFUSED:
      return call_fail(L, k, KIND_UNREACHABLE, "no Docker Engine at %s: connection refused, nobody listens there. "
                       "Start the Engine (systemctl start docker), or set DOCKER_HOST to where it is", host);
    case FAULT_PERMISSION:
      return call_fail(L, k, KIND_UNREACHABLE, "no permission to use the Docker Engine at %s. Run as root, or as a "
                       "member of the group that owns the socket (usually docker)", host);
    case FAULT_UNREACHABLE:
      return call_fail(L, k, KIND_UNREACHABLE, "cannot reach the Docker Engine at %s: %s", host, x->fault_text);
    case FAULT_TLS: return call_fail(L, k, KIND_UNREACHABLE, "no secure connection to %s: %s", host, x->fault_text);
    case FAULT_SSH:
      lx_pushexcerpt(L, x->fault_text, strlen(x->fault_text));
      return call_fail(L, k, KIND_UNREACHABLE, "cannot reach the Docker Engine at %s: %s. %s", host,
                       lua_tostring(L, -1), x->fault_advice);
    case FAULT_CUT:
      lx_pushexcerpt(L, x->fault_text, strlen(x->fault_text)); /* it may be ssh's */
      return call_fail(L, k, KIND_INTERRUPTED, "the connection to %s ended before the reply did: %s", host,
                       lua_tostring(L, -1));
    case FAULT_TOO_LARGE:
      return call_fail(L, k, KIND_TOO_LARGE, "the reply of %s is larger than %s allows", host, x->fault_limit);
    case FAULT_MEMORY: return luaL_error(L, "not enough memory");
    case FAULT_CLOSED: return call_fail(L, k, KIND_CANCELLED, "the client was closed");
    case FAULT_PROTOCOL:
    case FAULT_NONE: break;
  }
  return call_fail(L, k, KIND_PROTOCOL, "%s does not answer as a Docker Engine does: %s%s", host, x->fault_text,
                   k->client->endpoint.kind == ENDPOINT_SSH ? ". Does a shell's start-up file print something there?"
                                                            : "");
}

const char *call_message(lua_State *L, struct call *k) {
  const struct buf *body = &k->transfer->body;
  uint32_t node = k->doc.used ? json_get(&k->doc, 0, "message") : JSON_NONE;
  size_t length;
  const char *text = json_string(&k->doc, node, &k->scratch, &length);
  if (text) lx_pushexcerpt(L, text, length);
  else if (body->length) lx_pushexcerpt(L, body->data, body->length);
  else lua_pushliteral(L, "");
  return lua_tostring(L, -1);
}

int call_fail_status(lua_State *L, struct call *k) {
  enum lx_kind kind;
  const char *message = call_message(L, k);
  switch (k->status) {
    case 400: kind = KIND_INVALID; break;
    case 401: kind = KIND_UNAUTHORIZED; break;
    case 403: kind = KIND_FORBIDDEN; break;
    case 404: kind = KIND_NOT_FOUND; break;
    case 409: kind = KIND_CONFLICT; break;
    case 413: kind = KIND_TOO_LARGE; break;
    case 429: kind = KIND_RATE_LIMITED; break;
    default: kind = k->status >= 500 ? KIND_ENGINE : KIND_PROTOCOL;
  }
  if (!*message) return call_fail(L, k, kind, "the Engine answered with status %d", k->status);
  if (k->doc.used) return call_fail(L, k, kind, "%s", message);
  return call_fail(L, k, kind, "the Engine answered with status %d: %s", k->status, message);
}

int call_expect(lua_State *L, struct call *k, enum json_type type) {
  if (k->doc.used && k->doc.nodes[0].type == type) return 0;
  return call_fail(L, k, KIND_PROTOCOL, "the Engine's reply is no JSON %s", type == JSON_ARRAY ? "array" : "object");
}

/* ---- versions ---- */

int call_version(const struct call *k) {
  return k->client->version;
}

int call_needs(lua_State *L, struct call *k, const char *what, int since) {
  if (k->client->version >= since) return 0;
  return call_fail(L, k, KIND_VERSION, "%s needs API version 1.%d; the version in use with %s is 1.%d", what, since,
                   k->client->host, k->client->version);
}

/* "1.41" → 41; 0 if it is no version. */
static int parse_version(const char *text, size_t length) {
  int minor = 0;
  size_t i;
  if (length < 3 || length > 6 || memcmp(text, "1.", 2) != 0) return 0;
  for (i = 2; i < length; i++) {
    if (text[i] < '0' || text[i] > '9') return 0;
    minor = minor * 10 + (text[i] - '0');
  }
  return minor;
}

/* Reads the Api-Version header of the reply and settles the version; 0, or the results of a failure. */
static int settle_version(lua_State *L, struct call *k) {
  struct client *c = k->client;
  size_t length;
  const char *text = transfer_header(k->transfer, "Api-Version", &length);
  int newest = text ? parse_version(text, length) : 0;
  if (!newest) {
    return call_fail(L, k, KIND_PROTOCOL, "%s does not answer as a Docker Engine does: no Api-Version header", c->host);
  }
  c->server_newest = newest;
  if (c->pinned) {
    c->version = c->pinned;
  } else if (newest < OPS_OLDEST) {
    return call_fail(L, k, KIND_VERSION, "the Engine at %s speaks API version 1.%d at most; this library needs 1.%d at "
                     "least (Docker 20.10)", c->host, newest, OPS_OLDEST);
  } else {
    c->version = newest < OPS_NEWEST ? newest : OPS_NEWEST;
  }
  return 0;
}

/* Was the request refused for its version only? */
static int version_refused(const struct call *k) {
  const struct buf *body = &k->transfer->body;
  static const char words[] = "client version ";
  if (k->status != 400 || !body->length) return 0;
  return memmem(body->data, body->length, words, sizeof words - 1) != NULL;
}

/* ---- filling in a request ---- */

static void check_buf(lua_State *L, struct call *k, int status, const char *what, const char *limit) {
  if (status == BUF_FULL) lx_misuse(L, "%s: %s is longer than %s allows", k->name, what, limit);
  if (status != BUF_OK) luaL_error(L, "not enough memory");
}

static void check_path(lua_State *L, struct call *k, int status) {
  check_buf(L, k, status, "the request's path", "LIMIT_PATH");
}

void call_request(lua_State *L, struct call *k, const char *operation_id) {
  k->op = ops_find(operation_id);
  if (!k->op) luaL_error(L, "no such operation: %s", operation_id); /* a bug of ours: meth_call looks first */
  buf_clear(&k->path);
  buf_clear(&k->body);
  k->rest = k->op->path;
  k->has_query = k->has_body = 0;
  k->headers[0] = k->headers[1] = NULL;
  forget_text(L, k);
  memset(k->accepted, 0, sizeof k->accepted);
  k->opens = 0;
  k->paced = 0;
  k->feed = NULL;
}

/* Writes the literal part of the path up to the next parameter, or all the rest. */
static void literal_path(lua_State *L, struct call *k) {
  const char *brace = strchr(k->rest, '{');
  size_t length = brace ? (size_t)(brace - k->rest) : strlen(k->rest);
  check_path(L, k, buf_append(&k->path, k->rest, length));
  k->rest += length;
}

void call_path(lua_State *L, struct call *k, const char *text, size_t length) {
  literal_path(L, k);
  check_path(L, k, buf_percent(&k->path, text, length, "/:@"));
  k->rest = strchr(k->rest, '}') + 1;
}

static void query_name(lua_State *L, struct call *k, const char *name) {
  literal_path(L, k);
  check_path(L, k, buf_putc(&k->path, k->has_query ? '&' : '?'));
  check_path(L, k, buf_puts(&k->path, name));
  check_path(L, k, buf_putc(&k->path, '='));
  k->has_query = 1;
}

void call_query(lua_State *L, struct call *k, const char *name, const char *text, size_t length) {
  query_name(L, k, name);
  check_path(L, k, buf_percent(&k->path, text, length, "/:"));
}

void call_query_integer(lua_State *L, struct call *k, const char *name, lua_Integer value) {
  query_name(L, k, name);
  check_path(L, k, buf_printf(&k->path, "%lld", (long long)value));
}

void call_query_boolean(lua_State *L, struct call *k, const char *name, int value) {
  query_name(L, k, name);
  check_path(L, k, buf_puts(&k->path, value ? "true" : "false"));
}

void call_query_json(lua_State *L, struct call *k, const char *name) {
  buf_clear(&k->scratch);
  if (jsonlua_encode(L, -1, &k->scratch) != 0) lx_misuse(L, "%s: %s: %s", k->name, name, lua_tostring(L, -1));
  call_query(L, k, name, k->scratch.data, k->scratch.length);
  lua_pop(L, 1);
}

void call_body(lua_State *L, struct call *k) {
  buf_clear(&k->body);
  if (jsonlua_encode(L, -1, &k->body) != 0) lx_misuse(L, "%s: %s", k->name, lua_tostring(L, -1));
  lua_pop(L, 1);
  k->has_body = 1;
}

void call_text(lua_State *L, struct call *k, const char *content_type) {
  k->text = lua_tolstring(L, -1, &k->text_length);
  lua_setiuservalue(L, k->box, CALL_TEXT);
  if (strlen(content_type) >= sizeof k->content_type) lx_misuse(L, "%s: the body's type is too long", k->name);
  strcpy(k->content_type, content_type);
}

void call_header(lua_State *L, struct call *k, const char *name, const char *value, size_t length) {
  size_t i;
  for (i = 0; i < length; i++) {
    if ((unsigned char)value[i] < ' ' || value[i] == 0x7f) lx_misuse(L, "%s: %s: holds a control byte", k->name, name);
  }
  auth_wipe(&k->auth);
  check_path(L, k, buf_reserve(&k->auth, strlen(name) + length + 3)); /* all at once: no copy is left behind */
  check_path(L, k, buf_puts(&k->auth, name));
  check_path(L, k, buf_puts(&k->auth, ": "));
  check_path(L, k, buf_append(&k->auth, value, length));
  check_path(L, k, buf_putc(&k->auth, '\0'));
  k->headers[0] = k->auth.data;
}

void call_header_json(lua_State *L, struct call *k, const char *name) {
  size_t room = strlen(name) + 3;
  int status = BUF_FULL;
  auth_wipe(&k->auth);
  auth_wipe(&k->scratch);
  check_path(L, k, buf_reserve(&k->scratch, LIMIT_HEADERS)); /* both grow once: no copy is left behind */
  check_path(L, k, buf_reserve(&k->auth, LIMIT_HEADERS));
  if (jsonlua_encode(L, -1, &k->scratch) != 0) {
    auth_wipe(&k->scratch);
    lx_misuse(L, "%s: %s: %s", k->name, name, lua_tostring(L, -1));
  }
  lua_pop(L, 1);
  check_path(L, k, buf_puts(&k->auth, name));
  check_path(L, k, buf_puts(&k->auth, ": "));
  if (k->scratch.length / 3 * 4 + room + 4 < LIMIT_HEADERS) status = auth_put_base64(&k->auth, &k->scratch);
  auth_wipe(&k->scratch);
  check_buf(L, k, status, name, "LIMIT_HEADERS");
  check_path(L, k, buf_putc(&k->auth, '\0'));
  k->headers[0] = k->auth.data;
}

void call_auth(lua_State *L, struct call *k, const char *domain, size_t length) {
  static const struct lx_option known[] = {
    {"username", LX_STRING}, {"password", LX_STRING}, {"identitytoken", LX_STRING}, {"registrytoken", LX_STRING},
    {"serveraddress", LX_STRING}, {"email", LX_STRING}, {NULL, LX_ANY}
  };
  struct auth a;
  int status;
  memset(&a, 0, sizeof a);
  auth_wipe(&k->auth);
  check_path(L, k, buf_puts(&k->auth, "X-Registry-Auth: "));
  if (lx_option(L, k->options, "auth") == LUA_TTABLE) {
    int table = lua_gettop(L);
    lx_checkoptions(L, table, "auth", known);
    a.username = lx_option_string(L, table, "username", &a.username_length);
    a.password = lx_option_string(L, table, "password", &a.password_length);
    a.identitytoken = lx_option_string(L, table, "identitytoken", &a.identitytoken_length);
    a.registrytoken = lx_option_string(L, table, "registrytoken", &a.registrytoken_length);
    a.serveraddress = lx_option_string(L, table, "serveraddress", &a.serveraddress_length);
    if (!a.identitytoken && !a.registrytoken && !(a.username && a.password)) {
      lx_misuse(L, "%s: option 'auth': username and password, or identitytoken, or registrytoken expected", k->name);
    }
    if (!a.serveraddress) a.serveraddress = auth_server(domain, length, &a.serveraddress_length);
  }
  status = auth_encode(&k->auth, &a);
  if (status == JSON_BAD_UTF8) lx_misuse(L, "%s: option 'auth': not valid UTF-8", k->name);
  check_buf(L, k, status, "option 'auth'", "LIMIT_PATH");
  check_path(L, k, buf_putc(&k->auth, '\0'));
  lua_pop(L, 1);
  k->headers[0] = k->auth.data;
}

void call_accept(struct call *k, int status) {
  size_t i;
  for (i = 0; i < sizeof k->accepted / sizeof *k->accepted; i++) {
    if (k->accepted[i] == 0) {
      k->accepted[i] = status;
      return;
    }
  }
}

/* ---- sending ---- */

static void begin_wait(lua_State *L, struct call *k, uint64_t deadline) {
  struct context *context = NULL;
  if (k->options) {
    lx_option(L, k->options, "ctx");
    context = context_test(L, -1);
    lua_pop(L, 1); /* the options table still holds it */
  }
  wait_begin(k->wait, context, deadline);
  k->waiting = 1;
}

void call_phase(struct call *k, double seconds, const char *option) {
  uint64_t until = seconds >= 0 ? loop_deadline(k->client->loop, seconds) : LOOP_NEVER;
  if (seconds < 0 && !k->phase) return;
  k->phase = seconds >= 0 ? option : NULL;
  k->phase_until = until;
  wait_set_deadline(k->wait, until < k->deadline ? until : k->deadline);
}

void call_extend(lua_State *L, struct call *k, double seconds) {
  k->deadline = loop_deadline(k->client->loop, seconds);
  wait_end(k->wait);
  begin_wait(L, k, k->deadline);
}

static void start(lua_State *L, struct call *k, struct transfer_request *request) {
  if (!k->waiting) {
    k->deadline = loop_deadline(k->client->loop, k->timeout);
    begin_wait(L, k, k->deadline);
  }
  wait_rearm(k->wait);
  if (k->first_byte >= 0) call_phase(k, k->first_byte, "first_byte_timeout");
  k->status = 0;
  k->doc.used = 0;
  if (k->wait->verdict == WAIT_PENDING) transfer_start(k->transfer, request, k->wait);
}

static void send_ping(lua_State *L, struct call *k) {
  struct transfer_request request = {
    .method = k->by_get ? TRANSFER_GET : TRANSFER_HEAD, .url = "/_ping", .repeatable = 1,
    .max_body = LIMIT_ERROR_BODY, .max_body_name = "LIMIT_ERROR_BODY"
  };
  k->state = CALL_NEGOTIATING;
  if (!k->by_get) k->negotiations++;
  start(L, k, &request);
}

/* CALL_AGAIN, or the results of a refusal before anything is sent. */
static int send_request(lua_State *L, struct call *k) {
  static const enum transfer_method methods[] = {
    [VERB_GET] = TRANSFER_GET, [VERB_HEAD] = TRANSFER_HEAD, [VERB_POST] = TRANSFER_POST, [VERB_PUT] = TRANSFER_PUT,
    [VERB_DELETE] = TRANSFER_DELETE
  };
  struct transfer_request request = {
    .method = methods[k->op->verb], .repeatable = k->op->idempotent, .stream = k->feed != NULL || k->opens,
    .paced = k->paced,
    .max_body = LIMIT_REPLY, .max_body_name = "LIMIT_REPLY"
  };
  struct client *c = k->client;
  if (k->op->since > c->version) return call_needs(L, k, k->op->id, k->op->since);
  literal_path(L, k);
  buf_clear(&k->url);
  check_path(L, k, buf_puts(&k->url, "/v1."));
  check_path(L, k, buf_putc(&k->url, (char)('0' + c->version / 10))); /* two digits: OPS_OLDEST to OPS_NEWEST */
  check_path(L, k, buf_putc(&k->url, (char)('0' + c->version % 10)));
  check_path(L, k, buf_append(&k->url, k->path.data, k->path.length));
  check_path(L, k, buf_putc(&k->url, '\0'));
  request.url = k->url.data;
  request.headers = k->headers[0] ? k->headers : NULL;
  if (k->text) {
    request.content_type = k->content_type;
    request.body = k->text;
    request.body_length = k->text_length;
  } else if (k->has_body) {
    request.content_type = "application/json";
    request.body = k->body.data;
    request.body_length = k->body.length;
  }
  k->state = k->opens ? CALL_OPEN : CALL_SENT;
  start(L, k, &request);
  return CALL_AGAIN;
}

static int is_good(const struct call *k) {
  size_t i;
  for (i = 0; i < 4; i++) {
    if (k->status == k->op->good[i] || (k->accepted[i] && k->status == k->accepted[i])) return k->status != 0;
  }
  return 0;
}

/* ---- replies ---- */

static void parse_error_body(struct call *k) {
  const struct buf *body = &k->transfer->body;
  struct json_fault fault;
  k->doc.used = 0;
  if (body->length && json_parse(&k->doc, body->data, body->length, &fault) != 0) k->doc.used = 0;
}

static int negotiated(lua_State *L, struct call *k) {
  int n;
  if (k->transfer->fault) return call_fail_fault(L, k);
  k->status = k->transfer->status;
  if (k->status != 200 && !k->by_get) { /* an old Engine or a proxy that knows no HEAD */
    k->by_get = 1;
    send_ping(L, k);
    return CALL_AGAIN;
  }
  k->by_get = 0;
  if (k->status != 200) {
    parse_error_body(k);
    return call_fail_status(L, k);
  }
  n = settle_version(L, k);
  if (n != 0) return n;
  if (!k->op) return k->finish(L, k); /* call_negotiate */
  return send_request(L, k);
}

/* The whole reply is there. */
static int replied(lua_State *L, struct call *k) {
  struct transfer *x = k->transfer;
  int good;
  k->status = x->status;
  good = is_good(k);
  if (x->fault && !(good && (k->feed || k->state == CALL_OPEN))) return call_fail_fault(L, k);
  if (!good) {
    parse_error_body(k);
    if (version_refused(k)) {
      size_t length;
      const char *newest = transfer_header(k->transfer, "Api-Version", &length);
      if (!k->client->pinned && k->negotiations < NEGOTIATIONS && newest && parse_version(newest, length)) {
        int before = k->client->version, n = settle_version(L, k);
        if (n != 0) return n;
        k->negotiations++;
        if (k->client->version != before) return send_request(L, k);
      }
      return call_fail(L, k, KIND_VERSION, "the Engine at %s refuses API version 1.%d: %s", k->client->host,
                       k->client->version, call_message(L, k));
    }
    return k->refused ? k->refused(L, k) : call_fail_status(L, k);
  }
  if (k->feed) {
    int n = k->feed(L, k, &x->body, x->fault == FAULT_NONE);
    if (n != CALL_AGAIN) return n;
    if (x->fault) return call_fail_fault(L, k);
  } else if (k->op->reply == REPLY_JSON && !x->body.length && (k->status == 200 || k->status == 201)) {
    return call_fail(L, k, KIND_PROTOCOL, "the reply of %s is empty where JSON was expected", k->client->host);
  } else if (k->op->reply == REPLY_JSON && x->body.length) {
    struct json_fault fault;
    if (k->status >= 300) { /* an accepted refusal */
      parse_error_body(k);
    } else if (json_parse(&k->doc, x->body.data, x->body.length, &fault) != 0) {
      k->doc.used = 0;
      lx_pushexcerpt(L, x->body.data, x->body.length);
      return call_fail(L, k, KIND_PROTOCOL, "the reply of %s is not JSON (%s at byte %d): %s", k->client->host,
                       fault.reason, (int)fault.offset, lua_tostring(L, -1));
    }
  } else if (k->status >= 300) {
    parse_error_body(k);
  }
  return k->finish(L, k);
}

static int rescue(lua_State *L, struct call *k) {
  call_finish todo = k->rescue;
  call_rescue(k, NULL);
  return todo(L, k);
}

/* Does what can be done now: CALL_AGAIN where the wait is still pending, else the number of results. */
static int call_step(lua_State *L, struct call *k) {
  struct transfer *x = k->transfer;
  for (;;) {
    enum wait_verdict verdict = k->wait->verdict;
    int n = CALL_AGAIN;
    if (k->state == CALL_BEGUN) { /* nothing to ask (call_negotiate), or the end of a pause */
      n = k->finish(L, k);
    } else if (k->state == CALL_PAUSING) {
      if (verdict == WAIT_PENDING) return CALL_AGAIN;
      if (verdict != WAIT_TIMEOUT || loop_now(k->client->loop) >= k->deadline) {
        n = call_fail_verdict(L, k);
      } else {
        wait_end(k->wait);
        begin_wait(L, k, k->deadline);
        k->state = CALL_BEGUN;
      }
    } else if (x->done && (k->waiting && x->wait == k->wait)) {
      x->wait = NULL; /* seen */
      if (k->state == CALL_NEGOTIATING) n = negotiated(L, k);
      else n = replied(L, k);
    } else if (verdict == WAIT_PENDING) {
      return CALL_AGAIN;
    } else if (verdict != WAIT_READY) {
      transfer_abort(x);
      n = call_fail_verdict(L, k);
    } else {
      wait_rearm(k->wait);
      k->status = x->status;
      if (k->state == CALL_OPEN && x->headers_done && is_good(k)) {
        n = k->finish(L, k);
      } else if (k->state == CALL_SENT && k->feed && x->headers_done && x->body.length && is_good(k)) {
        n = k->feed(L, k, &x->body, 0);
        if (n == CALL_AGAIN) transfer_consumed(x);
      }
    }
    if (n != CALL_AGAIN && k->failed && k->rescue) n = rescue(L, k);
    if (n != CALL_AGAIN) return n;
    lua_settop(L, k->top);
  }
}

static int call_k(lua_State *L, int status, lua_KContext ctx) {
  struct call *k = (struct call *)ctx; /* its box is on this stack, at k->box */
  int n;
  (void)status;
  for (;;) {
    k->inside = 1;
    n = call_step(L, k);
    k->inside = 0;
    if (n != CALL_AGAIN) break;
    lua_settop(L, k->top);
    loop_wait(L, k->wait, ctx, call_k);
  }
  if (!k->told) task_owe_cancel(k->client->loop, k->wait);
  if (k->state != CALL_TAKEN) call_release(L, k);
  return n;
}

static int go(lua_State *L, struct call *k) {
  return k->inside ? CALL_AGAIN : call_k(L, LUA_OK, (lua_KContext)k);
}

int call_run(lua_State *L, struct call *k, call_finish finish) {
  int n;
  k->finish = finish;
  if (k->client->version == 0) {
    send_ping(L, k);
    n = CALL_AGAIN;
  } else {
    n = send_request(L, k);
  }
  if (n == CALL_AGAIN) return go(L, k);
  if (!k->inside) call_release(L, k);
  return n;
}

int call_run_stream(lua_State *L, struct call *k, call_feed feed, call_finish finish) {
  k->feed = feed;
  return call_run(L, k, finish);
}

int call_run_open(lua_State *L, struct call *k, call_finish finish) {
  k->feed = NULL;
  k->opens = 1;
  return call_run(L, k, finish);
}

int call_ping(lua_State *L, struct call *k, call_finish finish) {
  k->finish = finish;
  k->op = NULL;
  send_ping(L, k);
  return go(L, k);
}

int call_negotiate(lua_State *L, struct call *k, call_finish finish) {
  if (k->client->version == 0) return call_ping(L, k, finish);
  k->finish = finish;
  k->op = NULL;
  k->state = CALL_BEGUN;
  return go(L, k);
}

int call_pause(lua_State *L, struct call *k, double seconds, call_finish finish) {
  uint64_t until = loop_deadline(k->client->loop, seconds);
  if (!k->waiting) k->deadline = loop_deadline(k->client->loop, k->timeout);
  k->finish = finish;
  k->state = CALL_PAUSING;
  wait_end(k->wait);
  begin_wait(L, k, until < k->deadline ? until : k->deadline);
  return go(L, k);
}

void call_open(lua_State *L) {
  if (luaL_newmetatable(L, CALL_T)) {
    lua_pushcfunction(L, call_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
}
