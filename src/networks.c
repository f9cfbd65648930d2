/* networks.c: the client's methods about networks: ensure_network, connect_network, disconnect_network.
**
** ensure_network answers one network of that name, whoever else makes it at the same time. It looks first, since
** the network is mostly there. Since API 1.44 the Engine refuses a second network of a name (409), and the first
** one is looked up.
**
** Older Engines keep names apart only when nobody hurries: between the check that CheckDuplicate asks for and the
** moment when the new network can be seen lies the making of the bridge, and whoever asks in between gets a second
** network. To make two and remove one doesn't help: somebody may have been told of the one that is removed. But the
** bridge driver, under its lock, refuses a second network with the same interface name. So for it we choose that
** name ourselves, from the Engine's id and the network's name, and of all who race one wins and the others are told
** so (403). Where another driver is asked for, or another program has made a duplicate meanwhile, the oldest counts
** (by Created, then by Id), and our own is removed if it is not that. */

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "jsonlua.h"
#include "limits.h"
#include "shape.h"

#define SINCE_UNIQUE 44      /* API version: the Engine keeps names unique */
#define BRIDGE_NAME "com.docker.network.bridge.name"
#define BRIDGE_SIZE 16       /* IFNAMSIZ */
#define BRIDGE_HASH 6        /* bytes of the hash in an interface's name: "br-" and 12 digits, as the Engine's own */
#define ATTEMPTS 100         /* so often a network is looked for that is said to exist */
#define PAUSE 0.05           /* seconds before it is looked for again: the winner is still at it */

/* ---- ensure_network: choosing from a list ---- */

/* What ensure_network remembers from one request to the next: a userdata above the call's box. */
struct ensure {
  int attempts;
  char own[128];            /* id of the network that we made; "": none */
  char bridge[BRIDGE_SIZE]; /* name of the interface; "": the Engine may choose */
};

static struct ensure *ensure_of(lua_State *L, const struct call *k) {
  return lua_touserdata(L, k->box + 1);
}

/* An instant, in order: RFC 3339 with any offset and any number of digits behind the second. */
struct instant {
  int64_t seconds;
  long nanoseconds;
};

static struct instant parse_time(const char *text) {
  struct instant t = {INT64_MAX, 0}; /* unknown is the youngest */
  struct tm tm;
  int used = 0, hours = 0, minutes = 0, digits;
  char sign = 0;
  memset(&tm, 0, sizeof tm);
  if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
             &tm.tm_sec, &used) != 6) {
    return t;
  }
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  t.seconds = timegm(&tm);
  text += used;
  if (*text == '.') {
    text++;
    for (digits = 0; *text >= '0' && *text <= '9'; digits++, text++) {
      if (digits < 9) t.nanoseconds = t.nanoseconds * 10 + (*text - '0');
    }
    for (; digits < 9; digits++) t.nanoseconds *= 10;
  }
  if (sscanf(text, "%c%2d:%2d", &sign, &hours, &minutes) == 3 && (sign == '+' || sign == '-')) {
    int64_t offset = (int64_t)hours * 3600 + minutes * 60;
    t.seconds += sign == '+' ? -offset : offset;
  }
  return t;
}

/* Copies a string member into text (cut if longer). */
static void copy_member(struct call *k, uint32_t object, const char *name, char *text, size_t size) {
  size_t length;
  const char *value = json_string(&k->doc, json_get(&k->doc, object, name), &k->scratch, &length);
  if (!value) length = 0;
  if (length >= size) length = size - 1;
  if (length) memcpy(text, value, length);
  text[length] = '\0';
}

/* Of the networks in the reply that have exactly this name, the oldest: its id, or "", goes into k->note. */
static void find_oldest(struct call *k, const char *name) {
  char *id = k->note;
  uint32_t item, i, count = k->doc.nodes[0].count;
  struct instant oldest = {0, 0};
  id[0] = '\0';
  for (i = 0, item = 1; i < count; i++, item = k->doc.nodes[item].next) {
    char this_id[sizeof k->note], created[64];
    struct instant t;
    if (!json_string_is(&k->doc, json_get(&k->doc, item, "Name"), name)) continue;
    copy_member(k, item, "Id", this_id, sizeof this_id);
    copy_member(k, item, "Created", created, sizeof created);
    if (!this_id[0]) continue;
    t = parse_time(created);
    if (!id[0] || t.seconds < oldest.seconds ||
        (t.seconds == oldest.seconds && (t.nanoseconds < oldest.nanoseconds ||
                                         (t.nanoseconds == oldest.nanoseconds && strcmp(this_id, id) < 0)))) {
      oldest = t;
      memcpy(id, this_id, sizeof this_id);
    }
  }
}

static int ensured(lua_State *L, const char *id, int created) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, id);
  lua_setfield(L, -2, "id");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "name");
  lua_pushboolean(L, created);
  lua_setfield(L, -2, "created");
  return 1;
}

/* ---- ensure_network: the requests ---- */

static int look(lua_State *L, struct call *k, call_finish finish);
static int looked_first(lua_State *L, struct call *k);
static int create(lua_State *L, struct call *k);

/* The own network lost and is gone; k->note is the winner's id. */
static int own_removed(lua_State *L, struct call *k) {
  return ensured(L, k->note, 0);
}

/* Behind our own create on an old Engine: has somebody else an older one? */
static int looked_again(lua_State *L, struct call *k) {
  struct ensure *e = ensure_of(L, k);
  int failed = call_expect(L, k, JSON_ARRAY);
  if (failed) return failed;
  find_oldest(k, lua_tostring(L, 2));
  if (!k->note[0] || strcmp(k->note, e->own) == 0) return ensured(L, e->own, 1);
  call_request(L, k, "NetworkDelete");
  call_path(L, k, e->own, strlen(e->own));
  call_accept(k, 404);
  return call_run(L, k, own_removed);
}

static int look_after_pause(lua_State *L, struct call *k) {
  return look(L, k, looked_first);
}

/* Is the refusal about a network of this name, or about its bridge? */
static int is_taken(lua_State *L, struct call *k) {
  const char *message;
  int taken;
  if (k->status == 409) return 1;
  message = call_message(L, k);
  taken = strstr(message, "networks have same bridge name") != NULL;
  lua_pop(L, 1);
  return taken;
}

static int created(lua_State *L, struct call *k) {
  struct ensure *e = ensure_of(L, k);
  int failed;
  if (k->status == 201) {
    failed = call_expect(L, k, JSON_OBJECT);
    if (failed) return failed;
    copy_member(k, 0, "Id", e->own, sizeof e->own);
    if (!e->own[0]) return call_fail(L, k, KIND_PROTOCOL, "the Engine's reply has no network id");
    if (call_version(k) >= SINCE_UNIQUE) return ensured(L, e->own, 1);
    return look(L, k, looked_again);
  }
  if (!is_taken(L, k) || e->attempts >= ATTEMPTS) return call_fail_status(L, k);
  if (e->attempts <= 1) return look(L, k, looked_first);
  return call_pause(L, k, PAUSE, look_after_pause);
}

static int knows_engine(lua_State *L, struct call *k) {
  struct ensure *e = ensure_of(L, k);
  const char *name = lua_tostring(L, 2), *id;
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256_state state;
  size_t length, i;
  id = json_string(&k->doc, k->doc.used ? json_get(&k->doc, 0, "ID") : JSON_NONE, &k->scratch, &length);
  crypto_hash_sha256_init(&state);
  if (id) crypto_hash_sha256_update(&state, (const unsigned char *)id, length);
  crypto_hash_sha256_update(&state, (const unsigned char *)"/", 1); /* in no id and no name */
  crypto_hash_sha256_update(&state, (const unsigned char *)name, strlen(name));
  crypto_hash_sha256_final(&state, hash);
  strcpy(e->bridge, "br-");
  for (i = 0; i < BRIDGE_HASH; i++) snprintf(e->bridge + 3 + 2 * i, 3, "%02x", hash[i]);
  return create(L, k);
}

/* Does the caller want the bridge driver, and leaves the interface's name to us? */
static int may_name_bridge(lua_State *L, struct call *k) {
  const char *driver = lx_option_string(L, k->options, "driver", NULL);
  int ours = !driver || strcmp(driver, "bridge") == 0;
  if (lx_option(L, k->options, "options") == LUA_TTABLE) {
    lua_pushliteral(L, BRIDGE_NAME);
    if (lua_rawget(L, -2) != LUA_TNIL) ours = 0;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return ours;
}

static int looked_first(lua_State *L, struct call *k) {
  struct ensure *e = ensure_of(L, k);
  int failed = call_expect(L, k, JSON_ARRAY);
  if (failed) return failed;
  find_oldest(k, lua_tostring(L, 2));
  if (k->note[0]) return ensured(L, k->note, 0);
  if (call_version(k) < SINCE_UNIQUE && !e->bridge[0] && may_name_bridge(L, k)) {
    call_request(L, k, "SystemInfo");
    return call_run(L, k, knows_engine);
  }
  return create(L, k);
}

/* The name filter is a regular expression: anchored here, and the reply is looked through for the exact name. */
static int look(lua_State *L, struct call *k, call_finish finish) {
  size_t length, i;
  const char *name = lua_tolstring(L, 2, &length);
  luaL_Buffer b;
  call_request(L, k, "NetworkList");
  luaL_buffinit(L, &b);
  luaL_addchar(&b, '^');
  for (i = 0; i < length; i++) {
    if (name[i] > ' ' && strchr(".+*?()[]{}|^$\\", name[i])) luaL_addchar(&b, '\\');
    luaL_addchar(&b, name[i]);
  }
  luaL_addchar(&b, '$');
  luaL_pushresult(&b);
  lua_createtable(L, 1, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "name");
  call_query_json(L, k, "filters");
  return call_run(L, k, finish);
}

/* ---- ensure_network: the body ---- */

/* Sets Options of the body at the top: the caller's, and the bridge's name. */
static void set_driver_options(lua_State *L, struct call *k, const struct ensure *e) {
  int given = lx_option(L, k->options, "options") == LUA_TTABLE;
  if (e->bridge[0]) {
    lua_newtable(L);
    if (given) {
      lua_pushnil(L);
      while (lua_next(L, -3)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
      }
    }
    lua_pushstring(L, e->bridge);
    lua_setfield(L, -2, BRIDGE_NAME);
    lua_remove(L, -2);
  }
  lua_setfield(L, -2, "Options"); /* nil: none */
}

/* Sets IPAM of the body at the top from subnet, gateway and ip_range. */
static void set_ipam(lua_State *L, struct call *k) {
  static const char *const names[][2] = {{"subnet", "Subnet"}, {"gateway", "Gateway"}, {"ip_range", "IPRange"}};
  size_t i;
  lua_newtable(L); /* the one item of Config */
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    lx_option(L, k->options, names[i][0]);
    lua_setfield(L, -2, names[i][1]);
  }
  lua_pushnil(L);
  if (!lua_next(L, -2)) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 2);
  lua_createtable(L, 1, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "Config");
  lua_setfield(L, -2, "IPAM");
}

static int create(lua_State *L, struct call *k) {
  static const char *const names[][2] = {
    {"driver", "Driver"}, {"labels", "Labels"}, {"internal", "Internal"}, {"attachable", "Attachable"},
    {"ipv6", "EnableIPv6"}
  };
  struct ensure *e = ensure_of(L, k);
  size_t i;
  e->attempts++;
  call_request(L, k, "NetworkCreate");
  lua_createtable(L, 0, 8);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "Name");
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    lx_option(L, k->options, names[i][0]);
    lua_setfield(L, -2, names[i][1]);
  }
  lua_pushboolean(L, 1); /* always: the Engine may be an older one by now */
  lua_setfield(L, -2, "CheckDuplicate");
  set_driver_options(L, k, e);
  set_ipam(L, k);
  call_body(L, k);
  call_accept(k, 409);
  call_accept(k, 403);
  return call_run(L, k, created);
}

/* Every key and value of the option's table is a string. */
static void check_strings(lua_State *L, int options, const char *name) {
  if (lx_option(L, options, name) != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      lx_misuse(L, "ensure_network: option '%s': keys are strings, got %s", name, luaL_typename(L, -2));
    }
    if (lua_rawlen(L, -2) == 0) lx_misuse(L, "ensure_network: option '%s': a key is empty", name);
    if (lua_type(L, -1) != LUA_TSTRING) {
      lx_misuse(L, "ensure_network: option '%s': '%s': string expected, got %s", name, lua_tostring(L, -2),
                luaL_typename(L, -1));
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* client:ensure_network(name, { driver=, labels=, internal=, attachable=, ipv6=, subnet=, gateway=, ip_range=,
** options= }) -> { id=, name=, created=true|false }
** A network that exists is taken as it is, whatever its settings. */
static int meth_ensure_network(lua_State *L) {
  static const struct lx_option known[] = {
    {"driver", LX_STRING}, {"labels", LX_TABLE}, {"internal", LX_BOOLEAN}, {"attachable", LX_BOOLEAN},
    {"ipv6", LX_BOOLEAN}, {"subnet", LX_STRING}, {"gateway", LX_STRING}, {"ip_range", LX_STRING}, {"options", LX_TABLE},
    LX_COMMON_OPTIONS
  };
  size_t length;
  const char *name;
  struct call *k;
  lua_settop(L, 3);
  client_check(L, 1);
  name = lx_checkid(L, 2, "ensure_network", "name", &length);
  if (lua_istable(L, 2)) lx_misuse(L, "ensure_network: name: string expected, got table");
  lx_checkoptions(L, 3, "ensure_network", known);
  check_strings(L, 3, "labels");
  check_strings(L, 3, "options");
  k = call_begin(L, "ensure_network", 3, known, name);
  memset(lua_newuserdatauv(L, sizeof(struct ensure), 0), 0, sizeof(struct ensure));
  k->top = lua_gettop(L);
  return look(L, k, looked_first);
}

/* ---- connect, disconnect ---- */

static int changed(lua_State *L, struct call *k) {
  const char *message;
  if (k->status == 200) {
    lua_pushboolean(L, 1);
    return 1;
  }
  message = call_message(L, k);
  if (strstr(message, "already exists in network") || strstr(message, "is already attached to network") ||
      strstr(message, "is not connected to")) {
    return call_fail(L, k, KIND_CONFLICT, "%s", message);
  }
  return call_fail_status(L, k);
}

/* Begins connect or disconnect: arguments network, container, options. Index 3 becomes the container's id or name. */
static struct call *begin_change(lua_State *L, const char *name, const struct lx_option *known) {
  size_t length;
  const char *text, *network;
  lua_settop(L, 4);
  client_check(L, 1);
  text = lx_checkid(L, 3, name, "container", &length);
  lua_pushlstring(L, text, length);
  lua_replace(L, 3);
  network = lx_checkid(L, 2, name, "network", &length);
  return call_begin(L, name, 4, known, network);
}

/* The request itself; the value at the top is the body's field beside Container. */
static int change(lua_State *L, struct call *k, const char *operation, const char *network, const char *field) {
  call_request(L, k, operation);
  call_path(L, k, network, strlen(network));
  call_accept(k, 403);
  call_accept(k, 409);
  call_accept(k, 500);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "Container");
  lua_insert(L, -2);
  lua_setfield(L, -2, field);
  call_body(L, k);
  return call_run(L, k, changed);
}

static int network_known(lua_State *L, struct call *k) {
  int failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  copy_member(k, 0, "Id", k->note, sizeof k->note);
  if (!k->note[0]) return call_fail(L, k, KIND_PROTOCOL, "the Engine's reply has no network id");
  lua_createtable(L, 0, 2); /* EndpointConfig */
  lx_option(L, k->options, "aliases");
  lua_setfield(L, -2, "Aliases");
  if (lx_option(L, k->options, "ipv4") == LUA_TSTRING) {
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_setfield(L, -2, "IPv4Address");
    lua_setfield(L, -2, "IPAMConfig");
  } else {
    lua_pop(L, 1);
  }
  return change(L, k, "NetworkConnect", k->note, "EndpointConfig");
}

/* client:connect_network(network, container, { aliases=, ipv4= }) -> true; kind "conflict" where it is connected
**
** The network is looked up first: the Engine believes any name where the container does not run, and fails at its
** start. (A container that does not run may be connected twice; the last one counts.) */
static int meth_connect_network(lua_State *L) {
  static const struct lx_option known[] = {{"aliases", LX_TABLE}, {"ipv4", LX_STRING}, LX_COMMON_OPTIONS};
  struct call *k = begin_change(L, "connect_network", known);
  lua_Integer i, count;
  if (lx_option(L, k->options, "aliases") == LUA_TTABLE) {
    count = (lua_Integer)lua_rawlen(L, -1);
    for (i = 1; i <= count; i++) {
      if (lua_rawgeti(L, -1, i) != LUA_TSTRING) {
        lx_misuse(L, "connect_network: option 'aliases': item %d: string expected, got %s", (int)i,
                  luaL_typename(L, -1));
      }
      lua_pop(L, 1);
    }
  }
  lua_settop(L, k->top);
  call_request(L, k, "NetworkInspect");
  call_path(L, k, k->subject, strlen(k->subject)); /* an id or name is shorter than LIMIT_ID */
  return call_run(L, k, network_known);
}

/* client:disconnect_network(network, container, { force= }) -> true; kind "conflict" where it is not connected */
static int meth_disconnect_network(lua_State *L) {
  static const struct lx_option known[] = {{"force", LX_BOOLEAN}, LX_COMMON_OPTIONS};
  struct call *k = begin_change(L, "disconnect_network", known);
  lua_pushboolean(L, lx_option_boolean(L, k->options, "force", 0));
  return change(L, k, "NetworkDisconnect", k->subject, "Force");
}

const luaL_Reg network_methods[] = {
  {"ensure_network", meth_ensure_network}, {"connect_network", meth_connect_network},
  {"disconnect_network", meth_disconnect_network}, {NULL, NULL}
};
