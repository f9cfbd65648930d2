/* http.c: see http.h.
**
** One transport a Lua state for ordinary requests, made at the first one, and one for each http.client{} with TLS
** settings of its own. Redirects are never followed: the caller sees the 3xx and decides where its credentials may
** go. A body larger than max_body is an error, not a shorter body. */

#include "http.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "limits.h"
#include "lx.h"
#include "transport.h"

#define HTTP_T "docker_watcher.http"
#define EXCHANGE_T "docker_watcher.http.exchange"
#define DEFAULT_TIMEOUT 60.0         /* seconds */
#define DEFAULT_CONNECT_TIMEOUT 10.0
#define DEFAULT_MAX_BODY ((size_t)32 << 20)
#define MAX_HEADERS 64
#define MAX_CONTENT_TYPE 200 /* bytes */
#define POOL_SIZE 32

/* A transport of its own; uservalue 1 is the array of idle exchanges. */
struct http {
  struct loop *loop;
  struct transport *transport; /* NULL: closed */
  int pool;
};

/* One request under way; its uservalue is its http. */
struct exchange {
  struct http *http;
  struct transfer *transfer;
  struct wait *wait;
  struct buf url, body, lines; /* copies: the caller's tables may change while we wait */
  const char *headers[MAX_HEADERS + 1];
  char subject[256];
};

/* ---- exchanges ---- */

static void exchange_free(struct exchange *e) {
  if (e->transfer) transfer_abort(e->transfer);
  wait_free(e->wait); /* before the transfer, which may hold the loop's last reference */
  e->wait = NULL;
  transfer_free(e->transfer);
  e->transfer = NULL;
  buf_free(&e->url);
  buf_free(&e->body);
  buf_free(&e->lines);
}

static int exchange_gc(lua_State *L) {
  exchange_free(luaL_checkudata(L, 1, EXCHANGE_T));
  return 0;
}

/* Pushes one, from the pool of the http at index h or new. */
static struct exchange *push_exchange(lua_State *L, int h) {
  struct http *http = lua_touserdata(L, h);
  struct exchange *e;
  while (http->pool > 0) {
    lua_getiuservalue(L, h, 1);
    lua_rawgeti(L, -1, http->pool);
    lua_pushnil(L);
    lua_rawseti(L, -3, http->pool--);
    lua_remove(L, -2);
    e = lua_touserdata(L, -1);
    if (e->wait) return e;
    lua_pop(L, 1); /* at lua_close it may be finalised before somebody else's __gc asks */
  }
  e = lua_newuserdatauv(L, sizeof *e, 1);
  memset(e, 0, sizeof *e);
  buf_init(&e->url, LIMIT_PATH);
  buf_init(&e->body, LIMIT_REQUEST);
  buf_init(&e->lines, LIMIT_HEADERS);
  luaL_setmetatable(L, EXCHANGE_T);
  lua_pushvalue(L, h);
  lua_setiuservalue(L, -2, 1);
  e->http = http;
  e->wait = wait_new(http->loop);
  e->transfer = transfer_new(http->transport);
  if (!e->wait || !e->transfer) luaL_error(L, "not enough memory");
  return e;
}

/* The exchange at index idx is done with. */
static void release(lua_State *L, int idx) {
  struct exchange *e = lua_touserdata(L, idx);
  transfer_abort(e->transfer);
  wait_end(e->wait);
  buf_shrink(&e->transfer->body, 65536);
  buf_shrink(&e->body, 65536);
  memset(e->lines.data ? e->lines.data : "", 0, e->lines.data ? e->lines.size : 0); /* Authorization */
  buf_clear(&e->lines);
  if (!e->http->transport || e->http->pool >= POOL_SIZE) return;
  lua_getiuservalue(L, idx, 1);
  lua_getiuservalue(L, -1, 1);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, e->http->pool + 1);
  e->http->pool++;
  lua_pop(L, 2);
}

/* ---- the request ---- */

static void check(lua_State *L, int status, const char *what, const char *limit) {
  if (status == BUF_FULL) lx_misuse(L, "request: %s is longer than %s allows", what, limit);
  if (status != BUF_OK) luaL_error(L, "not enough memory");
}

static int is_token(const char *text, size_t length) {
  size_t i;
  for (i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c)) return 0;
  }
  return length > 0;
}

/* { Name = "value" | { "value", … } } becomes "Name: value" lines in e->lines. */
static void read_headers(lua_State *L, struct exchange *e, int options) {
  size_t starts[MAX_HEADERS];
  int count = 0, i;
  buf_clear(&e->lines);
  if (lx_option(L, options, "headers") == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      size_t name_length, length;
      const char *name, *value;
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
        lx_misuse(L, "request: headers: names and values are strings");
      }
      name = lua_tolstring(L, -2, &name_length);
      value = lua_tolstring(L, -1, &length);
      if (!is_token(name, name_length)) lx_misuse(L, "request: headers: a name that is no token");
      if (memchr(value, '\r', length) || memchr(value, '\n', length) || memchr(value, '\0', length)) {
        lx_misuse(L, "request: headers: %s: CR, LF or NUL in the value", name);
      }
      if (strcasecmp(name, "Content-Type") == 0 && length > MAX_CONTENT_TYPE) {
        lx_misuse(L, "request: headers: %s: more than %d bytes", name, MAX_CONTENT_TYPE);
      }
      if (strcasecmp(name, "Content-Type") != 0) {
        if (count == MAX_HEADERS) lx_misuse(L, "request: more than %d headers", MAX_HEADERS);
        starts[count++] = e->lines.length;
        check(L, buf_append(&e->lines, name, name_length), "headers", "LIMIT_HEADERS");
        /* libcurl's word for an empty one is "Name;" */
        check(L, buf_puts(&e->lines, length ? ": " : ";"), "headers", "LIMIT_HEADERS");
        check(L, buf_append(&e->lines, value, length + 1), "headers", "LIMIT_HEADERS");
      }
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  for (i = 0; i < count; i++) e->headers[i] = e->lines.data + starts[i];
  e->headers[count] = NULL;
}

/* The value of the Content-Type header among the options, or NULL. */
static const char *content_type(lua_State *L, int options) {
  const char *found = NULL;
  if (lx_option(L, options, "headers") == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      if (strcasecmp(lua_tostring(L, -2), "Content-Type") == 0) found = lua_tostring(L, -1); /* the table holds it */
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  return found;
}

/* Behind the scheme, user and password of a URL. */
static const char *find_host(const char *url) {
  const char *host = strstr(url, "://") + 3, *end = host + strcspn(host, "/?#"), *at;
  for (at = end; at > host; at--) {
    if (at[-1] == '@') return at;
  }
  return host;
}

/* Are there a host and, where there is a colon, a port? (Else what is behind may be a password with '/' or '?' in
** it.) */
static int has_good_host(const char *url) {
  const char *host = find_host(url), *end = host + strcspn(host, "/?#"), *p;
  p = host + (*host == '[' ? strcspn(host, "]/?#") : strcspn(host, ":/?#"));
  if (p == host) return 0;
  if (*host == '[' && *p++ != ']') return 0;
  if (*p == ':') p += 1 + strspn(p + 1, "0123456789");
  return p == end;
}

/* What errors may say of a URL: no user, password or query. */
static void set_subject(struct exchange *e, const char *url) {
  const char *host = find_host(url);
  size_t length;
  length = strcspn(host, "?#");
  if (length >= sizeof e->subject) length = sizeof e->subject - 1;
  memcpy(e->subject, host, length);
  e->subject[length] = '\0';
}

/* ---- the reply ---- */

/* { name (lower case) = value, or an array of values where there were several } */
static void push_headers(lua_State *L, const struct transfer *x) {
  const char *name, *value;
  size_t at = 0, name_length, length, i;
  int table;
  lua_newtable(L);
  table = lua_gettop(L);
  while (transfer_next_header(x, &at, &name, &name_length, &value, &length)) {
    luaL_Buffer b;
    char *lower = luaL_buffinitsize(L, &b, name_length);
    for (i = 0; i < name_length; i++) lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    luaL_pushresultsize(&b, name_length);
    lua_pushvalue(L, -1);
    switch (lua_rawget(L, table)) {
      case LUA_TNIL:
        lua_pop(L, 1);
        lua_pushlstring(L, value, length);
        lua_rawset(L, table);
        break;
      case LUA_TSTRING:
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
        lua_pushlstring(L, value, length);
        lua_rawseti(L, -2, 2);
        lua_rawset(L, table);
        break;
      default:
        lua_pushlstring(L, value, length);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 2);
    }
  }
}

static int fail_fault(lua_State *L, const struct exchange *e) {
  struct lx_about about = {"request", e->subject, 0};
  const struct transfer *x = e->transfer;
  switch (x->fault) {
    case FAULT_REFUSED: return lx_fail(L, KIND_UNREACHABLE, &about, "connection refused");
    case FAULT_MISSING:
    case FAULT_PERMISSION:
    case FAULT_SSH: /* only an Engine's */
    case FAULT_UNREACHABLE: return lx_fail(L, KIND_UNREACHABLE, &about, "%s", x->fault_text);
    case FAULT_TLS: return lx_fail(L, KIND_UNREACHABLE, &about, "no secure connection: %s", x->fault_text);
    case FAULT_CUT:
      return lx_fail(L, KIND_INTERRUPTED, &about, "the connection ended before the reply did: %s", x->fault_text);
    case FAULT_TOO_LARGE:
      return lx_fail(L, KIND_TOO_LARGE, &about, "the reply is larger than %s allows", x->fault_limit);
    case FAULT_MEMORY: return luaL_error(L, "not enough memory");
    case FAULT_CLOSED: return lx_fail(L, KIND_CANCELLED, &about, "the http client was closed");
    case FAULT_PROTOCOL:
    case FAULT_NONE: break;
  }
  return lx_fail(L, KIND_PROTOCOL, &about, "%s", x->fault_text);
}

static int request_k(lua_State *L, int status, lua_KContext ctx) {
  struct exchange *e = lua_touserdata(L, (int)ctx);
  struct transfer *x = e->transfer;
  struct lx_about about = {"request", e->subject, 0};
  enum wait_verdict verdict;
  int n;
  (void)status;
  while (!x->done && e->wait->verdict == WAIT_PENDING) loop_wait(L, e->wait, ctx, request_k);
  verdict = e->wait->verdict;
  if (x->done && x->wait == e->wait) {
    task_owe_cancel(e->http->loop, e->wait);
    if (x->fault) {
      n = fail_fault(L, e);
    } else {
      lua_createtable(L, 0, 3);
      lua_pushinteger(L, x->status);
      lua_setfield(L, -2, "status");
      push_headers(L, x);
      lua_setfield(L, -2, "headers");
      lua_pushlstring(L, x->body.data ? x->body.data : "", x->body.length);
      lua_setfield(L, -2, "body");
      n = 1;
    }
  } else if (verdict == WAIT_TIMEOUT) {
    n = lx_fail(L, KIND_TIMEOUT, &about, "no answer within the time allowed");
  } else if (verdict == WAIT_INTERRUPTED) {
    n = lx_fail(L, KIND_INTERRUPTED, &about, "interrupted");
  } else {
    const char *reason = e->wait->context ? context_reason(e->wait->context) : "";
    n = lx_fail(L, KIND_CANCELLED, &about, *reason ? "cancelled: %s" : "cancelled", reason);
  }
  release(L, (int)ctx);
  return n;
}

/* The http is at index 1, the options at index 2. */
static int do_request(lua_State *L) {
  static const struct lx_option known[] = {
    {"method", LX_STRING}, {"url", LX_STRING}, {"headers", LX_TABLE}, {"body", LX_BYTES}, {"max_body", LX_INTEGER},
    LX_COMMON_OPTIONS
  };
  static const struct { const char *name; enum transfer_method method; } methods[] = {
    {"GET", TRANSFER_GET}, {"HEAD", TRANSFER_HEAD}, {"POST", TRANSFER_POST}, {"PUT", TRANSFER_PUT},
    {"DELETE", TRANSFER_DELETE}, {"PATCH", TRANSFER_PATCH}
  };
  struct http *http = lua_touserdata(L, 1);
  struct transfer_request r;
  struct exchange *e;
  const char *method, *url, *body;
  size_t i, url_length, body_length;
  lua_Integer max_body;
  if (!http->transport) return lx_misuse(L, "the http client is closed");
  luaL_checktype(L, 2, LUA_TTABLE);
  lx_checkoptions(L, 2, "request", known);
  memset(&r, 0, sizeof r);
  method = lx_option_string(L, 2, "method", NULL);
  if (!method) method = "GET";
  for (i = 0; i < sizeof methods / sizeof *methods && strcmp(method, methods[i].name) != 0; i++) continue;
  if (i == sizeof methods / sizeof *methods) {
    return lx_misuse(L, "request: method: GET, HEAD, POST, PUT, PATCH or DELETE expected");
  }
  r.method = methods[i].method;
  url = lx_option_string(L, 2, "url", &url_length);
  if (!url) return lx_misuse(L, "request: option 'url' is missing");
  if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
    return lx_misuse(L, "request: url: http:// or https:// expected");
  }
  for (i = 0; i < url_length; i++) {
    if ((unsigned char)url[i] <= ' ' || url[i] == 0x7f) {
      return lx_misuse(L, "request: url: a blank or control byte in it");
    }
  }
  if (!has_good_host(url)) return lx_misuse(L, "request: url: its host or port is missing or malformed");
  body = lx_option_string(L, 2, "body", &body_length);
  if (body && (r.method == TRANSFER_GET || r.method == TRANSFER_HEAD)) {
    return lx_misuse(L, "request: %s sends no body", method);
  }
  max_body = lx_option_integer(L, 2, "max_body", (lua_Integer)DEFAULT_MAX_BODY);
  if (max_body < 0) return lx_misuse(L, "request: option 'max_body': bytes (an integer >= 0) expected");
  lua_settop(L, 2);
  e = push_exchange(L, 1); /* index 3 */
  set_subject(e, url);
  buf_clear(&e->url);
  check(L, buf_append(&e->url, url, url_length + 1), "url", "LIMIT_PATH");
  r.url = e->url.data;
  read_headers(L, e, 2);
  r.headers = e->headers[0] ? e->headers : NULL;
  if (body) {
    buf_clear(&e->body);
    check(L, buf_append(&e->body, body, body_length), "body", "LIMIT_REQUEST");
    r.body = e->body.data ? e->body.data : "";
    r.body_length = body_length;
    r.content_type = content_type(L, 2);
    if (!r.content_type) r.content_type = "application/octet-stream";
  }
  r.repeatable = r.method != TRANSFER_POST && r.method != TRANSFER_PATCH;
  r.max_body = (size_t)max_body;
  r.max_body_name = "max_body";
  r.keep_error_body = 1;
  lx_option(L, 2, "ctx");
  wait_begin(e->wait, context_test(L, -1),
             loop_deadline(http->loop, lx_option_number(L, 2, "timeout", DEFAULT_TIMEOUT)));
  lua_pop(L, 1);
  e->transfer->done = 0;
  e->transfer->wait = NULL;
  if (e->wait->verdict == WAIT_PENDING) transfer_start(e->transfer, &r, e->wait);
  return request_k(L, LUA_OK, 3);
}

/* ---- clients ---- */

static int http_close(lua_State *L) {
  struct http *http = luaL_checkudata(L, 1, HTTP_T);
  struct transport *t = http->transport;
  if (!t) return 0;
  http->transport = NULL;
  lua_getiuservalue(L, 1, 1);
  for (; http->pool > 0; http->pool--) { /* the collector skips what finalisers have made at lua_close */
    lua_rawgeti(L, -1, http->pool);
    exchange_free(lua_touserdata(L, -1));
    lua_pop(L, 1);
  }
  transport_close(t);
  return 0;
}

static struct http *push_http(lua_State *L, const struct transport_options *o) {
  struct http *http = lua_newuserdatauv(L, sizeof *http, 1);
  memset(http, 0, sizeof *http);
  luaL_setmetatable(L, HTTP_T);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  http->loop = loop_get(L);
  http->transport = transport_new(http->loop, o);
  if (!http->transport) luaL_error(L, "not enough memory");
  return http;
}

/* http.request{ method=, url=, headers=, body=, max_body=, timeout=, ctx= } -> { status=, headers=, body= } | nil,
** err */
static int fn_request(lua_State *L) {
  static const char key = 0;
  lua_settop(L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) != LUA_TUSERDATA) {
    struct transport_options o;
    memset(&o, 0, sizeof o);
    o.connect_timeout = DEFAULT_CONNECT_TIMEOUT;
    lua_pop(L, 1);
    push_http(L, &o);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  lua_insert(L, 1);
  return do_request(L);
}

static int meth_request(lua_State *L) {
  luaL_checkudata(L, 1, HTTP_T);
  return do_request(L);
}

/* http.client{ ca=, cert=, key=, verify=, connect_timeout= } -> client with request and close, and TLS settings of
** its own */
static int fn_client(lua_State *L) {
  static const struct lx_option known[] = {
    {"ca", LX_STRING}, {"cert", LX_STRING}, {"key", LX_STRING}, {"verify", LX_BOOLEAN}, {"connect_timeout", LX_SECONDS},
    {NULL, LX_ANY}
  };
  struct transport_options o;
  memset(&o, 0, sizeof o);
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TTABLE);
  lx_checkoptions(L, 1, "http.client", known);
  o.ca = lx_option_string(L, 1, "ca", NULL);
  o.cert = lx_option_string(L, 1, "cert", NULL);
  o.key = lx_option_string(L, 1, "key", NULL);
  o.insecure = !lx_option_boolean(L, 1, "verify", 1);
  o.connect_timeout = lx_option_number(L, 1, "connect_timeout", DEFAULT_CONNECT_TIMEOUT);
  push_http(L, &o);
  return 1;
}

int luaopen_http(lua_State *L) {
  static const luaL_Reg functions[] = {{"request", fn_request}, {"client", fn_client}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"request", meth_request}, {"close", http_close}, {NULL, NULL}};
  if (luaL_newmetatable(L, HTTP_T)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, http_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, http_close);
    lua_setfield(L, -2, "__close");
  }
  if (luaL_newmetatable(L, EXCHANGE_T)) {
    lua_pushcfunction(L, exchange_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 2);
  luaL_newlib(L, functions);
  return 1;
}
