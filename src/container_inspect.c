/* container_inspect.c: what a container looks like: inspect_container.
**
** Fields mean the same in every API version. Addresses are read from NetworkSettings.Networks only, since the ones
** beside it are gone from 1.52 on; `health` is given only while the container runs; a port that is exposed but not
** published has an empty list. */

#include <lauxlib.h>
#include <string.h>

#include "containers.h"
#include "jsonlua.h"
#include "shape.h"

#define PORT_DIGITS 5

void container_push_name(lua_State *L, const struct json_doc *doc, uint32_t node) {
  const char *text;
  size_t length;
  jsonlua_pushstring(L, doc, node);
  text = lua_tolstring(L, -1, &length);
  if (!text || *text != '/') return;
  lua_pushlstring(L, text + 1, length - 1);
  lua_remove(L, -2);
}

const char *container_health(const struct json_doc *doc, uint32_t state, struct buf *scratch, size_t *length) {
  uint32_t node = json_get(doc, json_get(doc, state, "Health"), "Status");
  if (!json_string_is(doc, json_get(doc, state, "Status"), "running")) return NULL;
  if (json_string_is(doc, node, "none") || json_string_is(doc, node, "")) return NULL;
  return json_string(doc, node, scratch, length);
}

/* The node of the object's first name, and how many members it has. */
static uint32_t members(const struct json_doc *doc, uint32_t object, uint32_t *count) {
  *count = json_is(doc, object, JSON_OBJECT) ? doc->nodes[object].count : 0;
  return object + 1;
}

static void set_string(lua_State *L, const char *field, const struct json_doc *doc, uint32_t node) {
  jsonlua_pushstring(L, doc, node);
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else lua_setfield(L, -2, field);
}

/* "32768" → 32768; pushes nil where it is no port. */
static void push_host_port(lua_State *L, const struct json_doc *doc, uint32_t node) {
  const struct json_node *n;
  lua_Integer port = 0;
  uint32_t i;
  if (json_is(doc, node, JSON_STRING)) {
    n = &doc->nodes[node];
    for (i = 0; i < n->count && n->count <= PORT_DIGITS; i++) {
      char c = doc->text[n->offset + i];
      if (c < '0' || c > '9') break;
      port = port * 10 + (c - '0');
    }
    if (i == n->count && i > 0 && port > 0) {
      lua_pushinteger(L, port);
      return;
    }
  }
  lua_pushnil(L);
}

/* { ["8080/tcp"] = { { host_ip=, host_port= }, … } } */
static void push_ports(lua_State *L, const struct json_doc *doc, uint32_t node) {
  uint32_t count, i, at = members(doc, node, &count);
  lua_createtable(L, 0, (int)count);
  for (i = 0; i < count; i++) {
    uint32_t list = at + 1, n = json_is(doc, list, JSON_ARRAY) ? doc->nodes[list].count : 0, j, item = list + 1;
    jsonlua_pushstring(L, doc, at);
    if (lua_isnil(L, -1)) lua_pushliteral(L, ""), lua_replace(L, -2);
    lua_createtable(L, (int)n, 0);
    for (j = 1; j <= n; j++) {
      lua_createtable(L, 0, 2);
      set_string(L, "host_ip", doc, json_get(doc, item, "HostIp"));
      push_host_port(L, doc, json_get(doc, item, "HostPort"));
      lua_setfield(L, -2, "host_port");
      lua_rawseti(L, -2, j);
      item = doc->nodes[item].next;
    }
    lua_rawset(L, -3);
    at = doc->nodes[list].next;
  }
}

/* { name = { id=, ip=, gateway=, aliases={}, mac= } } */
static void push_networks(lua_State *L, const struct json_doc *doc, uint32_t node) {
  static const struct shape_field fields[] = {
    {"id", "NetworkID", SHAPE_STRING}, {"ip", "IPAddress", SHAPE_STRING}, {"gateway", "Gateway", SHAPE_STRING},
    {"aliases", "Aliases", SHAPE_TABLE}, {"mac", "MacAddress", SHAPE_STRING}, {NULL, NULL, SHAPE_STRING}
  };
  uint32_t count, i, at = members(doc, node, &count);
  lua_createtable(L, 0, (int)count);
  for (i = 0; i < count; i++) {
    jsonlua_push(L, doc, at);
    shape_new(L, fields, 0);
    shape_set(L, doc, at + 1, fields);
    lua_rawset(L, -3);
    at = doc->nodes[at + 1].next;
  }
}

static int inspect_done(lua_State *L, struct call *k) {
  static const struct shape_field fields[] = {
    {"id", "Id", SHAPE_STRING}, {"image_id", "Image", SHAPE_STRING}, {"restart_count", "RestartCount", SHAPE_INTEGER},
    {"created", "Created", SHAPE_TIME}, {NULL, NULL, SHAPE_STRING}
  };
  static const struct shape_field state_fields[] = {
    {"state", "Status", SHAPE_STRING}, {"exit_code", "ExitCode", SHAPE_INTEGER}, {"error", "Error", SHAPE_STRING},
    {"started_at", "StartedAt", SHAPE_TIME}, {"finished_at", "FinishedAt", SHAPE_TIME}, {NULL, NULL, SHAPE_STRING}
  };
  static const struct shape_field config_fields[] = {
    {"image", "Image", SHAPE_STRING}, {"labels", "Labels", SHAPE_TABLE}, {NULL, NULL, SHAPE_STRING}
  };
  const struct json_doc *doc = &k->doc;
  uint32_t state, config, settings;
  const char *health;
  size_t length;
  int meta, failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  state = json_get(doc, 0, "State");
  config = json_get(doc, 0, "Config");
  settings = json_get(doc, 0, "NetworkSettings");
  record_document(L, doc);
  meta = lua_gettop(L);
  lua_createtable(L, 0, 16);
  shape_set(L, doc, 0, fields);
  shape_set(L, doc, state, state_fields);
  shape_set(L, doc, config, config_fields);
  container_push_name(L, doc, json_get(doc, 0, "Name"));
  lua_setfield(L, -2, "name");
  health = container_health(doc, state, &k->scratch, &length);
  if (health) {
    lua_pushlstring(L, health, length);
    lua_setfield(L, -2, "health");
  }
  shape_push_env(L, doc, json_get(doc, config, "Env"));
  lua_setfield(L, -2, "env");
  push_ports(L, doc, json_get(doc, settings, "Ports"));
  lua_setfield(L, -2, "ports");
  push_networks(L, doc, json_get(doc, settings, "Networks"));
  lua_setfield(L, -2, "networks");
  record_attach(L, meta, doc, 0);
  return 1;
}

/* client:inspect_container(id) -> { id=, name=, image=, image_id=, state=, health=, exit_code=, error=, started_at=,
** finished_at=, created=, restart_count=, labels=, env=, ports=, networks=, raw= } */
int meth_inspect_container(lua_State *L) {
  static const struct lx_option known[] = {LX_COMMON_OPTIONS};
  struct call *k = container_begin(L, "inspect_container", known);
  container_request(L, k, "ContainerInspect");
  return call_run(L, k, inspect_done);
}
