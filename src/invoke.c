/* invoke.c: see invoke.h.
**
** Path, query and header parameters go by their names in the row, checked before anything is sent; `body` is a table
** where the operation takes JSON, and the bytes themselves (a tar archive) where it takes a stream. What comes back
** depends on the row's kind of reply; a stream is there as soon as the Engine has accepted the request. */

#include "invoke.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "jsonlua.h"
#include "pullerror.h"
#include "ref.h"
#include "stream.h"

#define TAR_TYPE "application/x-tar"
#define TYPE_HEADER "Content-type" /* as the specification spells it */
#define TYPED_SINCE 42 /* minor of the API version from which on Content-Type tells framed output from bare */

/* Where the arguments of an operation are. */
struct asked {
  const char *who; /* for misuse: "call", or the method of our own that asks */
  int params;      /* stack index of the table, or nil */
};

/* ---- results ---- */

/* Headers are all that a HEAD brings: { ["x-docker-container-path-stat"] = … }. */
static int headers_done(lua_State *L, struct call *k) {
  const char *name, *value;
  size_t at = 0, name_length, length, i;
  lua_newtable(L);
  while (transfer_next_header(k->transfer, &at, &name, &name_length, &value, &length)) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (i = 0; i < name_length; i++) luaL_addchar(&b, name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 32) : name[i]);
    luaL_pushresult(&b);
    lua_pushlstring(L, value, length);
    lua_rawset(L, -3);
  }
  return 1;
}

static int any_done(lua_State *L, struct call *k) {
  if (k->op->verb == VERB_HEAD) return headers_done(L, k);
  if (k->doc.used) {
    jsonlua_push(L, &k->doc, 0);
    if (lua_isnil(L, -1)) jsonlua_pushnull(L);
  } else {
    lua_pushboolean(L, 1);
  }
  return 1;
}

static int has_suffix(const char *text, size_t length, const char *suffix) {
  size_t n = strlen(suffix);
  return length >= n && memcmp(text + length - n, suffix, n) == 0;
}

/* Is output framed? The Content-Type tells, where the Engine is new enough not to call all of it raw; else the option
** `tty` (k->step). */
static enum stream_kind output_kind(const struct call *k) {
  size_t length;
  const char *type = transfer_header(k->transfer, "Content-Type", &length);
  if (call_version(k) >= TYPED_SINCE && type) {
    if (has_suffix(type, length, ".raw-stream")) return STREAM_BARE;
    if (has_suffix(type, length, ".multiplexed-stream")) return STREAM_FRAMES;
  }
  return k->step ? STREAM_BARE : STREAM_FRAMES;
}

static int upgraded(lua_State *L, struct call *k) {
  if (k->status == 101) return stream_take(L, k, output_kind(k));
  transfer_abort(k->transfer);
  return call_fail(L, k, KIND_PROTOCOL, "%s answered %d, where a two-way connection begins with 101: is there a proxy "
                   "before the Engine that lets no connection be upgraded?", k->client->host, k->status);
}

/* The headers are there, and the status is good. */
static int opened(lua_State *L, struct call *k) {
  switch (k->op->reply) {
    case REPLY_FRAMES: return stream_take(L, k, output_kind(k));
    case REPLY_ITEMS: return stream_take(L, k, STREAM_ITEMS);
    case REPLY_PROGRESS: return stream_take(L, k, STREAM_PROGRESS);
    case REPLY_BYTES: return stream_take(L, k, STREAM_BYTES);
    case REPLY_HIJACK: return upgraded(L, k);
    case REPLY_EMPTY:
    case REPLY_JSON:
    case REPLY_TEXT: break;
  }
  return luaL_error(L, "%s is no stream", k->op->id); /* a bug of ours */
}

/* Pulls and pushes pass on what registries say, also before the first byte of progress. */
static int refused(lua_State *L, struct call *k) {
  return pull_refused(L, k, &k->transfer->body);
}

/* ---- parameters ---- */

static int unknown_operation(lua_State *L, const char *who, const char *id) {
  const char *best = NULL, *near;
  size_t i;
  for (i = 0; i < ops_count; i++) {
    const char *one = ops_table[i].id;
    near = lx_nearest(id, &one, 1);
    if (near && !best) best = near;
  }
  if (best) return lx_misuse(L, "%s: unknown operation '%s' (did you mean '%s'?)", who, id, best);
  return lx_misuse(L, "%s: unknown operation '%s' (the specification's operationId is wanted)", who, id);
}

/* The parameter's value at the top of the stack as text for a path or a query; a table is JSON (filters). */
static const char *parameter_text(lua_State *L, struct call *k, const struct asked *a, const char *name,
                                  size_t *length) {
  switch (lua_type(L, -1)) {
    case LUA_TSTRING: break;
    case LUA_TNUMBER: lua_tostring(L, -1); break;
    case LUA_TBOOLEAN:
      *length = lua_toboolean(L, -1) ? 4 : 5;
      return lua_toboolean(L, -1) ? "true" : "false";
    case LUA_TTABLE:
      buf_clear(&k->scratch);
      if (jsonlua_encode(L, -1, &k->scratch) != 0) {
        lx_misuse(L, "%s: %s: %s: %s", a->who, k->op->id, name, lua_tostring(L, -1));
      }
      *length = k->scratch.length;
      return k->scratch.data;
    default:
      lx_misuse(L, "%s: %s: parameter '%s': a %s cannot be sent", a->who, k->op->id, name, luaL_typename(L, -1));
  }
  return lua_tolstring(L, -1, length);
}

/* Images and plugins have slashes in their names. */
static int is_named_by_reference(const struct op *op) {
  return strncmp(op->path, "/images/", 8) == 0 || strncmp(op->path, "/distribution/", 14) == 0 ||
         strncmp(op->path, "/plugins/", 9) == 0;
}

/* Fills in {parameters} from the table. A value that would change the path is refused. */
static void path_parameters(lua_State *L, struct call *k, const struct asked *a) {
  const char *brace;
  while ((brace = strchr(k->rest, '{')) != NULL) {
    char name[64];
    size_t length = (size_t)(strchr(brace, '}') - brace) - 1;
    const char *text;
    if (length >= sizeof name) length = sizeof name - 1;
    memcpy(name, brace + 1, length);
    name[length] = '\0';
    if (lx_option(L, a->params, name) == LUA_TNIL) {
      lx_misuse(L, "%s: %s: parameter '%s' is missing", a->who, k->op->id, name);
    }
    if (is_named_by_reference(k->op)) text = lx_checkimage(L, lua_gettop(L), k->op->id, &length);
    else text = lx_checkid(L, lua_gettop(L), k->op->id, name, &length);
    if (!k->subject[0]) {
      lx_pushexcerpt(L, text, length);
      snprintf(k->subject, sizeof k->subject, "%s", lua_tostring(L, -1));
      lua_pop(L, 1);
    }
    call_path(L, k, text, length);
    lua_pop(L, 1);
  }
}

static int in_path(const struct op *op, const char *name, size_t length) {
  const char *at = op->path;
  while ((at = strchr(at, '{')) != NULL) {
    at++;
    if (strncmp(at, name, length) == 0 && at[length] == '}') return 1;
  }
  return 0;
}

/* A query parameter: text, or an array of texts, which repeats it; any other table is JSON. */
static void query_parameter(lua_State *L, struct call *k, const struct asked *a, const char *name) {
  size_t length;
  const char *text;
  lua_Integer i, count = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    text = parameter_text(L, k, a, name, &length);
    call_query(L, k, name, text, length);
    lua_pop(L, 1);
  }
  if (count) return;
  text = parameter_text(L, k, a, name, &length);
  call_query(L, k, name, text, length);
}

/* X-Registry-Auth is for the registry that the operation's image comes from. */
static void auth_parameter(lua_State *L, struct call *k, const struct asked *a) {
  static const char *const names[] = {"remote", "fromImage", "name"};
  const char *text = NULL, *reason;
  size_t length, i;
  struct ref r;
  for (i = 0; i < sizeof names / sizeof *names && !text; i++) {
    text = lx_option_string(L, a->params, names[i], &length);
  }
  if (text && ref_parse(&r, text, length, &reason) == 0) call_auth(L, k, r.domain.text, r.domain.length);
  else call_auth(L, k, "docker.io", 9);
}

/* X-Registry-Config: a table of registry → { username=, password= }, or the header's text. */
static void header_parameter(lua_State *L, struct call *k, const struct asked *a, const char *name) {
  size_t length;
  const char *text;
  if (strcmp(name, TYPE_HEADER) == 0) return; /* goes with the body */
  if (strcmp(name, "X-Registry-Auth") == 0) {
    lx_misuse(L, "%s: %s: give the credentials as the option 'auth' of the third argument", a->who, k->op->id);
  }
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, -1);
    call_header_json(L, k, name);
    return;
  }
  if (lua_type(L, -1) != LUA_TSTRING) {
    lx_misuse(L, "%s: %s: header '%s': string or table expected, got %s", a->who, k->op->id, name,
              luaL_typename(L, -1));
  }
  text = lua_tolstring(L, -1, &length);
  call_header(L, k, name, text, length);
}

/* Pushes the table of an empty JSON body: those of plugins (privileges, settings) are arrays. */
static void push_empty(lua_State *L, const struct op *op) {
  lua_newtable(L);
  if (strncmp(op->path, "/plugins/", 9) != 0) return;
  jsonlua_pusharray(L);
  lua_setmetatable(L, -2);
}

static int is_empty(lua_State *L, int table) {
  lua_pushnil(L);
  if (lua_next(L, table - 1) == 0) return 1;
  lua_pop(L, 2);
  return 0;
}

/* The value at the top is the parameter `body` (kept there). */
static void body_parameter(lua_State *L, struct call *k, const struct asked *a) {
  const char *type;
  switch (k->op->body) {
    case BODY_JSON:
      if (!lua_istable(L, -1)) {
        lx_misuse(L, "%s: %s: body: table expected, got %s", a->who, k->op->id, luaL_typename(L, -1));
      }
      if (is_empty(L, -1)) push_empty(L, k->op);
      else lua_pushvalue(L, -1);
      call_body(L, k);
      return;
    case BODY_STREAM:
      type = ops_has(k->op->header, TYPE_HEADER, strlen(TYPE_HEADER))
             ? lx_option_string(L, a->params, TYPE_HEADER, NULL) : NULL;
      if (!type) type = TAR_TYPE;
      lua_pushvalue(L, -1);
      if (lua_type(L, -1) == LUA_TSTRING) {
        call_text(L, k, type);
      } else if (!call_source(L, k, type)) {
        lx_misuse(L, "%s: %s: body: string, function or an object with read() expected, got %s", a->who, k->op->id,
                  luaL_typename(L, -1));
      }
      return;
    case BODY_NONE: break;
  }
  lx_misuse(L, "%s: %s takes no body", a->who, k->op->id);
}

static void other_parameters(lua_State *L, struct call *k, const struct asked *a) {
  int top = lua_gettop(L) + 1;
  if (!lua_istable(L, a->params)) return;
  lua_pushnil(L);
  while (lua_next(L, a->params)) {
    size_t length;
    const char *name;
    if (lua_type(L, -2) != LUA_TSTRING) lx_misuse(L, "%s: %s: parameter names are strings", a->who, k->op->id);
    name = lua_tolstring(L, -2, &length);
    if (strcmp(name, "body") == 0) {
      body_parameter(L, k, a);
    } else if (ops_has(k->op->query, name, length)) {
      query_parameter(L, k, a, name);
    } else if (ops_has(k->op->header, name, length)) {
      header_parameter(L, k, a, name);
    } else if (!in_path(k->op, name, length)) {
      lx_misuse(L, "%s: %s: unknown parameter '%s' (it takes: %s%s%s%s%s)", a->who, k->op->id, name, k->op->query,
                k->op->path, k->op->body != BODY_NONE ? " body" : "", k->op->header[0] ? " " : "", k->op->header);
    }
    lua_settop(L, top); /* the parameter's name: lua_next wants it */
  }
}

/* An archive that is the very point of the operation must be there. */
static void check_body(lua_State *L, struct call *k, const struct asked *a) {
  if (k->op->body == BODY_JSON && !k->has_body && k->op->verb == VERB_POST) {
    push_empty(L, k->op);
    call_body(L, k);
  }
  if (k->op->body != BODY_STREAM || k->text || k->upload) return;
  if (strcmp(k->op->id, "ImageCreate") == 0) return; /* a pull */
  if (strcmp(k->op->id, "ImageBuild") == 0 && lx_option_string(L, a->params, "remote", NULL)) return;
  lx_misuse(L, "%s: %s: parameter 'body' is missing", a->who, k->op->id);
}

/* ---- the call ---- */

static const struct lx_option plain_options[] = {
  {"auth", LX_TABLE}, LX_COMMON_OPTIONS
}, stream_options[] = {
  {"auth", LX_TABLE}, {"first_byte_timeout", LX_SECONDS}, {"idle_timeout", LX_SECONDS}, LX_COMMON_OPTIONS
}, output_options[] = {
  {"tty", LX_BOOLEAN}, {"first_byte_timeout", LX_SECONDS}, {"idle_timeout", LX_SECONDS}, LX_COMMON_OPTIONS
}, two_way_options[] = {
  {"tty", LX_BOOLEAN}, {"stdin", LX_ANY}, {"first_byte_timeout", LX_SECONDS}, {"idle_timeout", LX_SECONDS},
  LX_COMMON_OPTIONS
};

static int is_stream(const struct op *op) {
  return op->reply == REPLY_FRAMES || op->reply == REPLY_ITEMS || op->reply == REPLY_PROGRESS ||
         op->reply == REPLY_BYTES || op->reply == REPLY_HIJACK;
}

static const struct lx_option *options_of(const struct op *op) {
  if (op->reply == REPLY_HIJACK) return two_way_options;
  if (op->reply == REPLY_FRAMES) return output_options;
  return is_stream(op) || op->body == BODY_STREAM ? stream_options : plain_options;
}

/* Does the Engine send the headers of a good reply before it does any work? */
static int answers_at_once(const struct op *op) {
  switch (op->reply) {
    case REPLY_FRAMES:
    case REPLY_ITEMS:
    case REPLY_HIJACK: return 1;
    case REPLY_BYTES: return strncmp(op->path, "/containers/", 12) == 0; /* images are gathered first */
    case REPLY_PROGRESS:
    case REPLY_EMPTY:
    case REPLY_JSON:
    case REPLY_TEXT: break;
  }
  return 0;
}

/* Asked of those that are no use to a program in Lua. */
static void check_offered(lua_State *L, const char *who, const struct op *op) {
  if (strcmp(op->id, "Session") == 0) {
    lx_misuse(L, "%s: Session: BuildKit's session protocol is not supported; run the command \"docker buildx build\"",
              who);
  }
  if (strcmp(op->id, "ContainerAttachWebsocket") == 0) {
    lx_misuse(L, "%s: ContainerAttachWebsocket: websockets are not supported; use ContainerAttach, which does the same",
              who);
  }
}

/* An exec that is started detached says no more; else the connection becomes two-way. `stdin` is then written to it
** while it is read. */
static void prepare_output(lua_State *L, struct call *k, const struct asked *a) {
  int body;
  lx_option(L, a->params, "body");
  body = lua_gettop(L);
  k->step = lx_option_boolean(L, k->options, "tty", lx_option_boolean(L, body, "Tty", 0));
  k->upgrade = k->op->reply == REPLY_HIJACK && !lx_option_boolean(L, body, "Detach", 0);
  lua_pop(L, 1);
  if (lx_option(L, k->options, "stdin") == LUA_TNIL) {
    lua_pop(L, 1);
  } else if (!k->upgrade) {
    lx_misuse(L, "%s: %s: option 'stdin': there is none where it is detached", a->who, k->op->id);
  } else if (!call_source(L, k, "")) {
    lx_misuse(L, "%s: %s: option 'stdin': string, function or an object with read() expected, got %s", a->who,
              k->op->id, luaL_typename(L, -1));
  }
}

/* Stack: 1 the client, a->params, and the options at `options`. */
static int invoke(lua_State *L, const char *id, const char *name, const char *subject, const struct asked *a,
                  int options) {
  const struct op *op = ops_find(id);
  struct call *k;
  if (!op) return unknown_operation(L, a->who, id);
  if (!lua_isnil(L, a->params) && !lua_istable(L, a->params)) {
    return lx_misuse(L, "%s: %s: parameters: table expected, got %s", a->who, id, luaL_typename(L, a->params));
  }
  check_offered(L, a->who, op);
  k = call_begin(L, op->id, options, options_of(op), subject);
  if (name) call_name(k, name);
  if (is_stream(op) || op->body == BODY_STREAM) call_stream_timeouts(L, k, answers_at_once(op));
  call_request(L, k, op->id);
  path_parameters(L, k, a);
  other_parameters(L, k, a);
  check_body(L, k, a);
  if (ops_has(op->header, "X-Registry-Auth", 15)) {
    auth_parameter(L, k, a);
  } else if (lx_option(L, k->options, "auth") != LUA_TNIL) {
    return lx_misuse(L, "%s: %s: option 'auth': it takes no X-Registry-Auth", a->who, op->id);
  }
  if (op->reply == REPLY_PROGRESS) k->refused = refused;
  if (op->reply == REPLY_FRAMES || op->reply == REPLY_HIJACK) prepare_output(L, k, a);
  if (op->reply == REPLY_HIJACK && !k->upgrade) return call_run(L, k, any_done);
  if (op->reply == REPLY_TEXT) return call_ping(L, k, client_ping_done);
  return is_stream(op) ? call_run_open(L, k, opened) : call_run(L, k, any_done);
}

int meth_call(lua_State *L) {
  struct asked a = {"call", 3};
  const char *id;
  client_check(L, 1);
  id = luaL_checkstring(L, 2);
  lua_settop(L, 4);
  return invoke(L, id, NULL, NULL, &a, 4);
}

int fn_invoke(lua_State *L) {
  struct asked a = {NULL, 5};
  const char *subject;
  client_check(L, 1);
  a.who = luaL_checkstring(L, 2);
  subject = luaL_optstring(L, 3, NULL);
  lua_settop(L, 6);
  return invoke(L, luaL_checkstring(L, 4), a.who, subject, &a, 6);
}
