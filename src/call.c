/* call.c: see call.h.
**
** A call's state is in its box (a userdata, so that an error or an abandoned coroutine lets the collector abort the
** transfer), never in C locals: call_k runs again and again, as a plain loop for blocking callers and as a
** continuation in tasks. Boxes are pooled in the client: a call on a warm client allocates nothing but its result. */

#define _GNU_SOURCE /* memmem */
#include "call.h"

#include <lauxlib.h>
#include <string.h>

#include "client.h"
#include "jsonlua.h"
#include "limits.h"
#include "trace.h"

#define NEGOTIATIONS 2 /* at the first call, and once more when the version is refused */

/* ---- versions ---- */

int call_version(const struct call *k) {
  return k->client->version;
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
  if (k->first_byte >= 0 && !k->upload) call_phase(k, k->first_byte, "first_byte_timeout");
  k->status = 0;
  k->doc.used = 0;
  if (k->wait->verdict != WAIT_PENDING) return;
  trace_begin(k);
  transfer_start(k->transfer, request, k->wait);
}

static void send_ping(lua_State *L, struct call *k) {
  struct transfer_request request = {
    .method = k->by_get ? TRANSFER_GET : TRANSFER_HEAD, .url = "/_ping", .repeatable = 1,
    .max_body = LIMIT_ERROR_BODY, .max_body_name = "LIMIT_ERROR_BODY"
  };
  trace_end(L, k, 0);
  k->state = CALL_NEGOTIATING;
  if (!k->by_get) k->negotiations++;
  start(L, k, &request);
}

/* CALL_AGAIN, or the results of a refusal before anything is sent. */
static int send_request(lua_State *L, struct call *k) {
  struct transfer_request request;
  const char *what = k->op->since >= k->needed ? k->op->id : k->needed_what;
  int since = k->op->since >= k->needed ? k->op->since : k->needed;
  if (since > k->client->version) {
    if (k->negotiations || k->client->pinned) return call_needs(L, k, what, since);
    send_ping(L, k); /* another Engine may be there by now */
    return CALL_AGAIN;
  }
  trace_end(L, k, 0);
  k->version = k->client->version;
  call_make_request(L, k, &request);
  k->state = k->opens ? CALL_OPEN : CALL_SENT;
  start(L, k, &request);
  if (k->upload && !k->upgrade) k->upload = UPLOAD_OPEN;
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
      int may_repeat = !k->client->pinned && k->negotiations < NEGOTIATIONS && k->upload <= UPLOAD_READY;
      if (may_repeat && newest && parse_version(newest, length)) {
        int n = settle_version(L, k);
        if (n != 0) return n;
        k->negotiations++;
        k->resent++;
        if (k->client->version != k->version) return send_request(L, k);
      }
      return call_fail(L, k, KIND_VERSION, "the Engine at %s refuses API version 1.%d: %s", k->client->host,
                       k->version, call_message(L, k));
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
        if (n == CALL_AGAIN) transfer_needs_more(x);
      }
    }
    if (n != CALL_AGAIN && k->failed && k->rescue) {
      trace_end(L, k, n);
      n = rescue(L, k);
    }
    if (n != CALL_AGAIN) return n;
    if (x->done) trace_end(L, k, 0); /* else it goes on, or another one does */
    lua_settop(L, k->top);
  }
}

static int call_k(lua_State *L, int status, lua_KContext ctx) {
  struct call *k = (struct call *)ctx; /* its box is on this stack, at k->box */
  int n;
  for (;;) {
    n = k->upload == UPLOAD_ASKING ? call_upload_take(L, k, status) : CALL_AGAIN;
    if (n == CALL_AGAIN) {
      k->inside = 1;
      n = call_step(L, k);
      k->inside = 0;
    }
    if (n != CALL_AGAIN) break;
    lua_settop(L, k->top);
    if (k->upload) {
      if (call_upload_send(L, k)) {
        status = call_upload_ask(L, k, ctx, call_k);
        continue;
      }
      if (k->upload == UPLOAD_OPEN && k->idle >= 0) call_phase(k, k->idle, "idle_timeout");
    }
    loop_wait(L, k->wait, ctx, call_k);
  }
  if (!k->told) task_owe_cancel(k->client->loop, k->wait);
  if (k->state != CALL_TAKEN) {
    trace_end(L, k, n);
    call_release(L, k);
  }
  return n == CALL_RAISE ? lua_error(L) : n;
}

static int go(lua_State *L, struct call *k) {
  return k->inside ? CALL_AGAIN : call_k(L, LUA_OK, (lua_KContext)k);
}

int call_run(lua_State *L, struct call *k, call_finish finish) {
  int n;
  k->finish = finish;
  /* What is uploaded can't be sent again for another version. */
  if (k->client->version == 0 || (k->upload && !k->upgrade && !k->client->pinned)) {
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

int call_negotiate(lua_State *L, struct call *k, int since, call_finish finish) {
  int version = k->client->version;
  if (version == 0 || (version < since && !k->client->pinned)) return call_ping(L, k, finish);
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

