/* call_fail.c: the errors of a call: nil, err that name the operation, what it was about, and what would help. */

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

#include "call.h"
#include "client.h"

#define NOT_PLAIN "Client sent an HTTP request to an HTTPS server"

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

int call_fail_wait(lua_State *L, struct call *k, const struct wait *w) {
  const char *reason = "";
  switch (w->verdict) {
    case WAIT_TIMEOUT:
      if (w == k->wait && k->phase && k->phase_until < k->deadline && loop_now(k->client->loop) >= k->phase_until) {
        return call_fail(L, k, KIND_TIMEOUT, "nothing came from %s for as long as %s allows", k->client->host,
                         k->phase);
      }
      return call_fail(L, k, KIND_TIMEOUT, "no answer within the time allowed");
    case WAIT_INTERRUPTED: return call_fail(L, k, KIND_INTERRUPTED, "interrupted");
    case WAIT_CANCELLED:
    case WAIT_READY:
    case WAIT_PENDING: break;
  }
  if (w->context) reason = context_reason(w->context);
  if (*reason) return call_fail(L, k, KIND_CANCELLED, "cancelled: %s", reason);
  return call_fail(L, k, KIND_CANCELLED, "cancelled");
}

int call_fail_verdict(lua_State *L, struct call *k) {
  if (k->wait->verdict != WAIT_TIMEOUT && k->wait->verdict != WAIT_INTERRUPTED) k->told = 1;
  return call_fail_wait(L, k, k->wait);
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
    case FAULT_TLS:
      return call_fail(L, k, KIND_UNREACHABLE, "no secure connection to %s: %s%s%s", host, x->fault_text,
                       x->fault_advice ? ". " : "", x->fault_advice ? x->fault_advice : "");
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
  if (k->status == 400 && strncmp(message, NOT_PLAIN, sizeof NOT_PLAIN - 1) == 0) { /* what Go's server says */
    return call_fail(L, k, KIND_UNREACHABLE, "the Engine at %s takes TLS connections only. Give the option tls, or set "
                     "DOCKER_TLS_VERIFY and DOCKER_CERT_PATH", k->client->host);
  }
  if (k->doc.used) return call_fail(L, k, kind, "%s", message);
  return call_fail(L, k, kind, "the Engine answered with status %d: %s", k->status, message);
}

int call_expect(lua_State *L, struct call *k, enum json_type type) {
  if (k->doc.used && k->doc.nodes[0].type == type) return 0;
  return call_fail(L, k, KIND_PROTOCOL, "the Engine's reply is no JSON %s", type == JSON_ARRAY ? "array" : "object");
}

int call_needs(lua_State *L, struct call *k, const char *what, int since) {
  if (k->client->version >= since) {
    if (since > k->needed) k->needed = since, k->needed_what = what;
    return 0;
  }
  return call_fail(L, k, KIND_VERSION, "%s needs API version 1.%d; the version in use with %s is 1.%d", what, since,
                   k->client->host, k->client->version);
}
