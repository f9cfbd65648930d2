/* container_net.c: the options of create_container about the network: ports, network, aliases. See container_body.c.
**
** The Engine's ports are strings, and an empty list of bindings, which means "any free port" today, will mean nothing
** in a later version: so a binding is always sent, with HostPort "" where the Engine shall choose. */

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "containers.h"

#define OPTIONS 2 /* stack index of the options table */

/* ---- ports ---- */

/* "8080/tcp" or "8080" → the whole key, pushed. */
static void push_port_key(lua_State *L, const char *key, size_t length) {
  static const char *const protocols[] = {"tcp", "udp", "sctp"};
  size_t i, digits = strspn(key, "0123456789");
  long port = digits && digits <= 5 ? strtol(key, NULL, 10) : 0;
  if (port < 1 || port > 65535 || (key[digits] != '/' && digits != length)) {
    lx_misuse(L, "create_container: option 'ports': a port (1 to 65535) like \"8080/tcp\" expected, got '%s'", key);
  }
  if (digits == length) {
    lua_pushfstring(L, "%d/tcp", (int)port);
    return;
  }
  for (i = 0; i < sizeof protocols / sizeof *protocols; i++) {
    if (strlen(key) == length && strcmp(key + digits + 1, protocols[i]) == 0) {
      lua_pushfstring(L, "%d/%s", (int)port, protocols[i]);
      return;
    }
  }
  lx_misuse(L, "create_container: option 'ports': '%s': the protocol is tcp, udp or sctp", key);
}

/* The host's port at the top; pushes its text. The Engine wants a string; "" lets it choose. */
static void push_host_port(lua_State *L, const char *key) {
  int exact = 0;
  lua_Integer port = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &exact) : 0;
  if (!exact || port < 1 || port > 65535) {
    luaL_tolstring(L, -1, NULL);
    lx_misuse(L, "create_container: option 'ports': '%s': a host port (1 to 65535) expected, got %s", key,
              lua_tostring(L, -1));
  }
  lua_pushfstring(L, "%I", (LUAI_UACINT)port);
}

/* The binding at the top; pushes { HostIp=, HostPort= }. */
static void push_binding(lua_State *L, const char *key) {
  int value = lua_gettop(L);
  lua_createtable(L, 0, 2);
  if (lua_istable(L, value)) {
    static const struct lx_option known[] = {{"host_ip", LX_STRING}, {"host_port", LX_NUMBER}, {NULL, LX_ANY}};
    lx_checkoptions(L, value, "create_container: option 'ports'", known);
    lx_option(L, value, "host_ip");
    lua_setfield(L, value + 1, "HostIp");
    if (lx_option(L, value, "host_port") == LUA_TNIL) lua_pushliteral(L, "");
    else push_host_port(L, key);
    lua_setfield(L, value + 1, "HostPort");
    lua_settop(L, value + 1);
  } else if (lua_isboolean(L, value) && lua_toboolean(L, value)) {
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "HostPort");
  } else if (lua_type(L, value) == LUA_TNUMBER) {
    lua_pushvalue(L, value);
    push_host_port(L, key);
    lua_setfield(L, value + 1, "HostPort");
    lua_settop(L, value + 1);
  } else {
    lx_misuse(L, "create_container: option 'ports': '%s': true, a host port, { host_ip=, host_port= }, or a list of "
              "those expected, got %s", key, luaL_typename(L, value));
  }
}

/* What the option says about one port, at the top; pushes the list of its bindings, which is never empty. */
static void push_bindings(lua_State *L, const char *key) {
  int value = lua_gettop(L);
  lua_Integer i, n = lua_istable(L, value) ? (lua_Integer)lua_rawlen(L, value) : 0;
  lua_newtable(L);
  for (i = 1; i <= (n ? n : 1); i++) {
    if (n) lua_rawgeti(L, value, i);
    else lua_pushvalue(L, value);
    push_binding(L, key);
    lua_rawseti(L, value + 1, i);
    lua_settop(L, value + 1);
  }
}

static void set_ports(lua_State *L, int body, int host) {
  int top = lua_gettop(L), exposed = top + 2, bindings = top + 3;
  switch (lx_option(L, OPTIONS, "ports")) {
    case LUA_TNIL: break;
    case LUA_TSTRING:
      if (strcmp(lua_tostring(L, -1), "exposed") != 0) {
        lx_misuse(L, "create_container: option 'ports': \"exposed\", or { [\"8080/tcp\"] = … }, expected, got '%s'",
                  lua_tostring(L, -1));
      }
      lua_pushboolean(L, 1);
      lua_setfield(L, host, "PublishAllPorts");
      break;
    default:
      lua_newtable(L);
      lua_newtable(L);
      lua_pushnil(L);
      while (lua_next(L, top + 1)) {
        size_t length;
        const char *key;
        if (lua_type(L, -2) != LUA_TSTRING) container_misuse(L, "ports", "keys like \"8080/tcp\"");
        key = lua_tolstring(L, -2, &length);
        push_bindings(L, key);
        push_port_key(L, key, length);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, bindings) != LUA_TNIL) {
          lx_misuse(L, "create_container: option 'ports': '%s' is there twice", key);
        }
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_newtable(L);
        lua_rawset(L, exposed); /* [key] = {} */
        lua_insert(L, -2);
        lua_rawset(L, bindings);
        lua_pop(L, 1);
      }
      lua_setfield(L, host, "PortBindings");
      lua_setfield(L, body, "ExposedPorts");
  }
  lua_settop(L, top);
}

/* ---- network ---- */

static int is_no_network(const char *mode) {
  return strcmp(mode, "host") == 0 || strcmp(mode, "none") == 0 || strcmp(mode, "default") == 0 ||
         strcmp(mode, "bridge") == 0 || strncmp(mode, "container:", 10) == 0;
}

static void set_network(lua_State *L, int body, int host) {
  int top = lua_gettop(L), has_aliases;
  size_t length;
  const char *network;
  has_aliases = lx_option(L, OPTIONS, "aliases") != LUA_TNIL; /* top + 1 */
  if (lx_option(L, OPTIONS, "network") == LUA_TNIL) {
    if (has_aliases) lx_misuse(L, "create_container: option 'aliases': it needs the option 'network'");
    lua_settop(L, top);
    return;
  }
  network = lx_checkid(L, top + 2, "create_container", "option 'network'", &length);
  lua_pushvalue(L, top + 2);
  lua_setfield(L, host, "NetworkMode");
  if (!is_no_network(network)) {
    lua_newtable(L); /* NetworkingConfig */
    lua_newtable(L); /* EndpointsConfig */
    lua_newtable(L); /* the network's */
    if (has_aliases) {
      lua_pushvalue(L, top + 1);
      container_push_strings(L, "aliases");
      lua_setfield(L, top + 5, "Aliases");
      lua_settop(L, top + 5);
    }
    lua_setfield(L, top + 4, network);
    lua_setfield(L, top + 3, "EndpointsConfig");
    lua_setfield(L, body, "NetworkingConfig");
  } else if (has_aliases) {
    lx_misuse(L, "create_container: option 'aliases': the network '%s' has no names", network);
  }
  lua_settop(L, top);
}

void container_set_net(lua_State *L, int body, int host) {
  set_ports(L, body, host);
  set_network(L, body, host);
}
