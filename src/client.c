/* client.c: docker.connect, and the operations that are about the Engine itself: ping, version, info, and call, which
** does any operation of the Engine's specification by its operationId. */

#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jsonlua.h"
#include "limits.h"
#include "ref.h"
#include "shape.h"
#include "stream.h"

#define DEFAULT_HOST "unix:///var/run/docker.sock"
#define DEFAULT_TIMEOUT 60.0         /* seconds, of calls that don't wait by their nature */
#define DEFAULT_CONNECT_TIMEOUT 10.0 /* seconds */

struct client *client_check(lua_State *L, int idx) {
  struct client *c = luaL_checkudata(L, idx, CLIENT_T);
  if (!c->transport) lx_misuse(L, "the client is closed");
  return c;
}

/* ---- connect ---- */

/* "1.41" → 41; raises where it is none, or one that we don't speak. */
static int check_version(lua_State *L, const char *text, const char *source) {
  size_t digits = strncmp(text, "1.", 2) == 0 ? strspn(text + 2, "0123456789") : 0;
  int minor = digits > 0 && digits <= 3 && text[2 + digits] == '\0' ? atoi(text + 2) : 0;
  if (minor < 1) {
    lx_misuse(L, "connect: %s: a version like \"1.%d\" expected, got \"%s\"", source, OPS_NEWEST, text);
  }
  if (minor < OPS_OLDEST || minor > OPS_NEWEST) {
    lx_misuse(L, "connect: %s: 1.%d to 1.%d expected, got \"%s\"", source, OPS_OLDEST, OPS_NEWEST, text);
  }
  return minor;
}

static void read_tls(lua_State *L, struct transport_options *o) {
  static const struct lx_option known[] = {
    {"ca", LX_STRING}, {"cert", LX_STRING}, {"key", LX_STRING}, {"verify", LX_BOOLEAN}, {NULL, LX_ANY}
  };
  if (lx_option(L, 1, "tls") != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  lx_checkoptions(L, lua_gettop(L), "connect: tls", known);
  o->tls = 1;
  o->ca = lx_option_string(L, -1, "ca", NULL);
  o->cert = lx_option_string(L, -1, "cert", NULL);
  o->key = lx_option_string(L, -1, "key", NULL);
  o->insecure = !lx_option_boolean(L, -1, "verify", 1);
  lua_pop(L, 1); /* the options table still holds the strings */
}

/* An option that is no address is misuse. One that stands in the environment or in a context is not the caller's
** slip: the field `source` of connect's second argument then says where. */
static int bad_host(lua_State *L, const char *host, const char *reason) {
  static const struct lx_about about = {"connect", NULL, 0};
  const char *source = lx_option_string(L, 2, "source", NULL);
  int shown = *host && !strchr(host, '@'); /* what stands before it may be a password */
  lua_pushfstring(L, shown ? "host '%s'" : "host%s", shown ? host : "");
  host = lua_tostring(L, -1);
  if (source) return lx_fail(L, KIND_INVALID, &about, "%s (of %s): %s", host, source, reason);
  return lx_misuse(L, "connect: %s: %s", host, reason);
}

int fn_connect(lua_State *L) {
  static const struct lx_option known[] = {
    {"host", LX_STRING}, {"tls", LX_TABLE}, {"api_version", LX_STRING}, {"timeout", LX_SECONDS},
    {"connect_timeout", LX_SECONDS}, {NULL, LX_ANY}
  };
  struct transport_options o;
  struct lx_about about = {"connect", NULL, 0};
  struct client *c;
  const char *host, *version, *reason, *source = "option 'api_version'";
  size_t length;
  memset(&o, 0, sizeof o);
  lua_settop(L, 2);
  if (!lua_isnil(L, 1) && !lua_istable(L, 1)) {
    lx_misuse(L, "connect: options table expected, got %s", luaL_typename(L, 1));
  }
  lx_checkoptions(L, 1, "connect", known);
  host = lx_option_string(L, 1, "host", NULL);
  if (!host) host = DEFAULT_HOST;
  version = lx_option_string(L, 1, "api_version", NULL);
  if (!version) {
    version = getenv("DOCKER_API_VERSION");
    if (version && !*version) version = NULL;
    source = "DOCKER_API_VERSION";
  }
  read_tls(L, &o);
  o.connect_timeout = lx_option_number(L, 1, "connect_timeout", DEFAULT_CONNECT_TIMEOUT);

  c = lua_newuserdatauv(L, sizeof *c, 2); /* index 3 */
  memset(c, 0, sizeof *c);
  luaL_setmetatable(L, CLIENT_T); /* born closed: from here __gc copes */
  lua_newtable(L);
  lua_setiuservalue(L, 3, CLIENT_POOL);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, CLIENT_DATA);
  length = strlen(host);
  if (length > LIMIT_ENDPOINT) return bad_host(L, "", "longer than LIMIT_ENDPOINT allows");
  memcpy(c->host, host, length + 1);
  if (endpoint_parse(&c->endpoint, host, length, o.tls, &reason) != 0) return bad_host(L, host, reason);
  if (c->endpoint.kind == ENDPOINT_SSH) {
    return lx_fail(L, KIND_UNREACHABLE, &about, "ssh:// hosts are not supported yet; forward the socket "
                   "(ssh -L ./docker.sock:/var/run/docker.sock HOST) and connect to unix://./docker.sock");
  }
  if (strncmp(host, "https://", 8) == 0) o.tls = 1;
  if (version) c->version = c->pinned = check_version(L, version, source);
  c->timeout = lx_option_number(L, 1, "timeout", DEFAULT_TIMEOUT);
  c->loop = loop_get(L);
  o.endpoint = &c->endpoint;
  c->transport = transport_new(c->loop, &o);
  if (!c->transport) return luaL_error(L, "not enough memory");
  return 1;
}

/* close, __close and __gc; harmless when repeated. Calls that run in other tasks end with kind "cancelled". */
static int meth_close(lua_State *L) {
  struct client *c = luaL_checkudata(L, 1, CLIENT_T);
  struct transport *t = c->transport;
  if (!t) return 0;
  c->transport = NULL;
  lua_getiuservalue(L, 1, CLIENT_POOL);
  for (; c->pool > 0; c->pool--) { /* the collector skips what finalisers have made at lua_close */
    lua_rawgeti(L, -1, c->pool);
    call_free(lua_touserdata(L, -1));
    lua_pop(L, 1);
  }
  transport_close(t);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, CLIENT_POOL);
  return 0;
}

static int meth_tostring(lua_State *L) {
  struct client *c = luaL_checkudata(L, 1, CLIENT_T);
  if (!c->transport) lua_pushliteral(L, "docker client (closed)");
  else if (c->version) lua_pushfstring(L, "docker client (%s, API 1.%d)", c->host, c->version);
  else lua_pushfstring(L, "docker client (%s)", c->host);
  return 1;
}

/* client:connections() -> number of connections that are open now */
static int meth_connections(lua_State *L) {
  struct client *c = luaL_checkudata(L, 1, CLIENT_T);
  lua_pushinteger(L, c->transport ? (lua_Integer)transport_connections(c->transport) : 0);
  return 1;
}

/* ---- ping, version, info ---- */

static const struct lx_option common_options[] = {LX_COMMON_OPTIONS};

/* One pass over the headers: this is the smallest call, and most of what it costs beyond libcurl would be looking
** them up. */
static int ping_done(lua_State *L, struct call *k) {
  static const struct { const char *header; size_t length; const char *field; } fields[] = {
    {"Api-Version", 11, "api_version"}, {"Ostype", 6, "os"}, {"Builder-Version", 15, "builder_version"}
  };
  const char *name, *value;
  size_t at = 0, name_length, length, i;
  lua_createtable(L, 0, 3);
  while (transfer_next_header(k->transfer, &at, &name, &name_length, &value, &length)) {
    for (i = 0; i < sizeof fields / sizeof *fields; i++) {
      if (fields[i].length == name_length && strncasecmp(name, fields[i].header, name_length) == 0) {
        lua_pushlstring(L, value, length);
        lua_setfield(L, -2, fields[i].field);
      }
    }
  }
  return 1;
}

/* client:ping() -> { api_version="1.41", os="linux", builder_version="2" } */
static int meth_ping(lua_State *L) {
  return call_ping(L, call_begin(L, "ping", 2, common_options, NULL), ping_done);
}

static int version_done(lua_State *L, struct call *k) {
  static const struct shape_field fields[] = {
    {"version", "Version", SHAPE_STRING}, {"api_version", "ApiVersion", SHAPE_STRING},
    {"min_api_version", "MinAPIVersion", SHAPE_STRING}, {"os", "Os", SHAPE_STRING},
    {"architecture", "Arch", SHAPE_STRING},
    {"kernel_version", "KernelVersion", SHAPE_STRING}, {"git_commit", "GitCommit", SHAPE_STRING},
    {"go_version", "GoVersion", SHAPE_STRING}, {"build_time", "BuildTime", SHAPE_STRING}, {NULL, NULL, SHAPE_STRING}
  };
  return shape_reply(L, k, fields);
}

static int meth_version(lua_State *L) {
  struct call *k = call_begin(L, "version", 2, common_options, NULL);
  call_request(L, k, "SystemVersion");
  return call_run(L, k, version_done);
}

static int info_done(lua_State *L, struct call *k) {
  static const struct shape_field fields[] = {
    {"id", "ID", SHAPE_STRING}, {"name", "Name", SHAPE_STRING}, {"server_version", "ServerVersion", SHAPE_STRING},
    {"os", "OSType", SHAPE_STRING}, {"architecture", "Architecture", SHAPE_STRING},
    {"operating_system", "OperatingSystem", SHAPE_STRING}, {"kernel_version", "KernelVersion", SHAPE_STRING},
    {"driver", "Driver", SHAPE_STRING}, {"root_dir", "DockerRootDir", SHAPE_STRING}, {"cpus", "NCPU", SHAPE_INTEGER},
    {"memory", "MemTotal", SHAPE_INTEGER}, {"containers", "Containers", SHAPE_INTEGER},
    {"containers_running", "ContainersRunning", SHAPE_INTEGER},
    {"containers_paused", "ContainersPaused", SHAPE_INTEGER},
    {"containers_stopped", "ContainersStopped", SHAPE_INTEGER}, {"images", "Images", SHAPE_INTEGER},
    {"live_restore", "LiveRestoreEnabled", SHAPE_BOOLEAN}, {NULL, NULL, SHAPE_STRING}
  };
  return shape_reply(L, k, fields);
}

static int meth_info(lua_State *L) {
  struct call *k = call_begin(L, "info", 2, common_options, NULL);
  call_request(L, k, "SystemInfo");
  return call_run(L, k, info_done);
}

/* ---- call ---- */

static int any_done(lua_State *L, struct call *k) {
  if (k->op->reply == REPLY_TEXT) {
    lua_pushlstring(L, k->transfer->body.data ? k->transfer->body.data : "", k->transfer->body.length);
  } else if (k->doc.used) {
    jsonlua_push(L, &k->doc, 0);
    if (lua_isnil(L, -1)) jsonlua_pushnull(L);
  } else {
    lua_pushboolean(L, 1);
  }
  return 1;
}

static int unknown_operation(lua_State *L, const char *id) {
  const char *best = NULL, *near;
  size_t i;
  for (i = 0; i < ops_count; i++) {
    const char *one = ops_table[i].id;
    near = lx_nearest(id, &one, 1);
    if (near && !best) best = near;
  }
  if (best) return lx_misuse(L, "call: unknown operation '%s' (did you mean '%s'?)", id, best);
  return lx_misuse(L, "call: unknown operation '%s' (the specification's operationId is wanted)", id);
}

/* The parameter's value at the top of the stack as text for a path or a query; a table is JSON (filters). */
static const char *parameter_text(lua_State *L, struct call *k, const char *name, size_t *length) {
  switch (lua_type(L, -1)) {
    case LUA_TSTRING: break;
    case LUA_TNUMBER: lua_tostring(L, -1); break;
    case LUA_TBOOLEAN:
      *length = lua_toboolean(L, -1) ? 4 : 5;
      return lua_toboolean(L, -1) ? "true" : "false";
    case LUA_TTABLE:
      buf_clear(&k->scratch);
      if (jsonlua_encode(L, -1, &k->scratch) != 0) {
        lx_misuse(L, "call: %s: %s: %s", k->op->id, name, lua_tostring(L, -1));
      }
      *length = k->scratch.length;
      return k->scratch.data;
    default: lx_misuse(L, "call: %s: parameter '%s': a %s cannot be sent", k->op->id, name, luaL_typename(L, -1));
  }
  return lua_tolstring(L, -1, length);
}

/* Fills in {parameters} from the table at index 3. A value that would change the path is refused. */
static void path_parameters(lua_State *L, struct call *k) {
  const char *brace;
  while ((brace = strchr(k->rest, '{')) != NULL) {
    char name[64];
    size_t length = (size_t)(strchr(brace, '}') - brace) - 1;
    const char *text;
    if (length >= sizeof name) length = sizeof name - 1;
    memcpy(name, brace + 1, length);
    name[length] = '\0';
    if (lx_option(L, 3, name) == LUA_TNIL) lx_misuse(L, "call: %s: parameter '%s' is missing", k->op->id, name);
    if (strncmp(k->op->path, "/images/", 8) == 0 || strncmp(k->op->path, "/distribution/", 14) == 0 ||
        strncmp(k->op->path, "/plugins/", 9) == 0) {
      text = lx_checkimage(L, lua_gettop(L), k->op->id, &length); /* these have slashes in their names */
    } else {
      text = lx_checkid(L, lua_gettop(L), k->op->id, name, &length);
    }
    if (!k->subject[0]) lx_pushexcerpt(L, text, length);
    if (!k->subject[0]) {
      strncpy(k->subject, lua_tostring(L, -1), sizeof k->subject - 1);
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
static void query_parameter(lua_State *L, struct call *k, const char *name) {
  size_t length;
  const char *text;
  lua_Integer i, count = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    text = parameter_text(L, k, name, &length);
    call_query(L, k, name, text, length);
    lua_pop(L, 1);
  }
  if (count) return;
  text = parameter_text(L, k, name, &length);
  call_query(L, k, name, text, length);
}

/* X-Registry-Auth is for the registry that the operation's image (`name`, `remote`) comes from. */
static void call_auth_parameter(lua_State *L, struct call *k) {
  static const char *const names[] = {"remote", "name"};
  const char *text = NULL, *reason;
  size_t length, i;
  struct ref r;
  for (i = 0; i < 2 && !text; i++) text = lx_option_string(L, 3, names[i], &length);
  if (text && ref_parse(&r, text, length, &reason) == 0) call_auth(L, k, r.domain.text, r.domain.length);
  else call_auth(L, k, "docker.io", 9);
}

static void other_parameters(lua_State *L, struct call *k) {
  if (!lua_istable(L, 3)) return;
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    size_t length;
    const char *name;
    if (lua_type(L, -2) != LUA_TSTRING) lx_misuse(L, "call: %s: parameter names are strings", k->op->id);
    name = lua_tolstring(L, -2, &length);
    if (strcmp(name, "body") == 0 && k->op->body == BODY_JSON) {
      if (!lua_istable(L, -1)) lx_misuse(L, "call: %s: body: table expected, got %s", k->op->id, luaL_typename(L, -1));
      lua_pushvalue(L, -1);
      call_body(L, k);
    } else if (ops_has(k->op->query, name, length)) {
      query_parameter(L, k, name);
    } else if (strcmp(name, "X-Registry-Auth") == 0 && ops_has(k->op->header, name, length)) {
      lx_misuse(L, "call: %s: give the credentials as the option 'auth' of the third argument", k->op->id);
    } else if (!in_path(k->op, name, length)) {
      lx_misuse(L, "call: %s: unknown parameter '%s' (it takes: %s%s%s)", k->op->id, name, k->op->query,
                k->op->path, k->op->body == BODY_JSON ? " body" : "");
    }
    lua_pop(L, 1);
  }
}

/* client:call(operation_id, params, options) -> the reply's JSON as a table, text, or true | nil, err */
static int meth_call(lua_State *L) {
  static const struct lx_option known[] = {{"auth", LX_TABLE}, LX_COMMON_OPTIONS};
  const char *id = luaL_checkstring(L, 2);
  const struct op *op = ops_find(id);
  struct call *k;
  if (!op) return unknown_operation(L, id);
  if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
  if (op->reply == REPLY_STREAM || op->reply == REPLY_HIJACK || op->body == BODY_STREAM) {
    return lx_misuse(L, "call: %s is a stream; use the method of the client for it, where there is one", id);
  }
  if (lua_gettop(L) < 4) lua_settop(L, 4);
  k = call_begin(L, id, 4, known, NULL);
  call_request(L, k, id);
  path_parameters(L, k);
  other_parameters(L, k);
  if (op->body == BODY_JSON && !k->has_body && op->verb == VERB_POST) {
    lua_newtable(L);
    call_body(L, k);
  }
  if (ops_has(op->header, "X-Registry-Auth", 15)) call_auth_parameter(L, k);
  if (op->reply == REPLY_TEXT) return call_ping(L, k, ping_done);
  return call_run(L, k, any_done);
}

/* ---- metatable ---- */

void client_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"close", meth_close}, {"ping", meth_ping}, {"version", meth_version}, {"info", meth_info}, {"call", meth_call},
    {"connections", meth_connections}, {NULL, NULL}
  };
  static const luaL_Reg meta[] = {
    {"__gc", meth_close}, {"__close", meth_close}, {"__tostring", meth_tostring}, {NULL, NULL}
  };
  if (luaL_newmetatable(L, CLIENT_T)) {
    luaL_setfuncs(L, meta, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    luaL_setfuncs(L, image_methods, 0);
    luaL_setfuncs(L, container_methods, 0);
    luaL_setfuncs(L, network_methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}
