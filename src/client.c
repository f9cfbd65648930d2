/* client.c: docker.connect, and the operations that are about the Engine itself: ping, version, info. */

#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "invoke.h"
#include "limits.h"
#include "shape.h"

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
  if (o->key && !o->cert) lx_misuse(L, "connect: option 'tls': 'key' goes with 'cert', which is missing");
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
  c->traces = lx_option(L, 2, "trace") == LUA_TFUNCTION;
  lua_pop(L, 1);
  length = strlen(host);
  if (length > LIMIT_ENDPOINT) return bad_host(L, "", "longer than LIMIT_ENDPOINT allows");
  memcpy(c->host, host, length + 1);
  if (endpoint_parse(&c->endpoint, host, length, o.tls, &reason) != 0) return bad_host(L, host, reason);
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
int client_ping_done(lua_State *L, struct call *k) {
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
  return call_ping(L, call_begin(L, "ping", 2, common_options, NULL), client_ping_done);
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
