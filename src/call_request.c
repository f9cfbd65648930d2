/* call_request.c: fills in the request of a call: a row of the table (ops.h), path, query, headers, body. Misuse that
** shows only here (what is no JSON, what is too long) raises at the caller's line. */

#include <lauxlib.h>
#include <string.h>

#include "auth.h"
#include "call.h"
#include "client.h"
#include "jsonlua.h"
#include "limits.h"

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
  k->has_query = k->has_body = k->resent = 0;
  k->headers[0] = k->headers[1] = NULL;
  call_forget_text(L, k);
  memset(k->accepted, 0, sizeof k->accepted);
  k->opens = 0;
  k->paced = k->upgrade = 0;
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

void call_set_type(lua_State *L, struct call *k, const char *content_type) {
  size_t size = strlen(content_type) + 1;
  check_buf(L, k, size > sizeof k->content_type ? BUF_FULL : BUF_OK, "the body's type", "LIMIT_CONTENT_TYPE");
  memcpy(k->content_type, content_type, size);
}

void call_text(lua_State *L, struct call *k, const char *content_type) {
  call_set_type(L, k, content_type);
  k->text = lua_tolstring(L, -1, &k->text_length);
  lua_setiuservalue(L, k->box, CALL_TEXT);
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


void call_make_request(lua_State *L, struct call *k, struct transfer_request *request) {
  static const enum transfer_method methods[] = {
    [VERB_GET] = TRANSFER_GET, [VERB_HEAD] = TRANSFER_HEAD, [VERB_POST] = TRANSFER_POST, [VERB_PUT] = TRANSFER_PUT,
    [VERB_DELETE] = TRANSFER_DELETE
  };
  int version = k->client->version;
  literal_path(L, k);
  buf_clear(&k->url);
  check_path(L, k, buf_puts(&k->url, "/v1."));
  check_path(L, k, buf_putc(&k->url, (char)('0' + version / 10))); /* two digits: OPS_OLDEST to OPS_NEWEST */
  check_path(L, k, buf_putc(&k->url, (char)('0' + version % 10)));
  check_path(L, k, buf_append(&k->url, k->path.data, k->path.length));
  check_path(L, k, buf_putc(&k->url, '\0'));
  memset(request, 0, sizeof *request);
  request->method = methods[k->op->verb];
  request->url = k->url.data;
  request->headers = k->headers[0] ? k->headers : NULL;
  request->repeatable = k->op->idempotent;
  request->stream = k->feed != NULL || k->opens;
  request->paced = k->paced;
  request->max_body = LIMIT_REPLY;
  request->max_body_name = "LIMIT_REPLY";
  if (k->upgrade) {
    request->upgrade = 1;
  } else if (k->upload) {
    request->upload = 1;
    request->content_type = k->content_type;
  } else if (k->text) {
    request->content_type = k->content_type;
    request->body = k->text;
    request->body_length = k->text_length;
  }
  if (k->has_body) {
    request->content_type = "application/json";
    request->body = k->body.data;
    request->body_length = k->body.length;
  }
}
