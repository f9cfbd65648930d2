/* container_list.c: list_containers.
**
** The Engine's name filter is an unanchored regular expression: here a name is anchored, escaped, and compared again
** in the reply. The rows are made in one walk over each object's members. The field names lie on the Lua stack, and a
** text that stood at the same place in the row before (a label's name, the state, an address) is that Lua string
** again: nothing is hashed twice. */

#include <lauxlib.h>
#include <string.h>

#include "containers.h"
#include "jsonlua.h"

/* ---- the request ---- */

/* Appends the value at the top (popped) to the list filters[key]. */
static void add_filter(lua_State *L, int filters, const char *key) {
  lua_pushstring(L, key);
  if (lua_rawget(L, filters) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushstring(L, key);
    lua_pushvalue(L, -2);
    lua_rawset(L, filters);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

/* The value at the top as a filter's text; it stays. */
static void check_filter_value(lua_State *L, const char *key) {
  switch (lua_type(L, -1)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
    case LUA_TBOOLEAN: luaL_tolstring(L, -1, NULL); break;
    default:
      lx_misuse(L, "list_containers: option 'filters': '%s': a string, or a list of strings, expected, got %s", key,
                luaL_typename(L, -1));
  }
}

/* The Engine's own filters: key = value, {values} or {value=true}, as its documentation has them. */
static void add_raw_filters(lua_State *L, int filters) {
  if (lx_option(L, 2, "filters") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const char *key;
    if (lua_type(L, -2) != LUA_TSTRING) {
      lx_misuse(L, "list_containers: option 'filters': names are strings, got a key of type %s", luaL_typename(L, -2));
    }
    key = lua_tostring(L, -2);
    if (lua_istable(L, -1)) {
      lua_pushnil(L);
      while (lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_isboolean(L, -1) && lua_toboolean(L, -1)) {
          lua_pushvalue(L, -2);
        } else if (lua_isinteger(L, -2)) {
          check_filter_value(L, key);
        } else {
          lx_misuse(L, "list_containers: option 'filters': '%s': a string, or a list of strings, expected", key);
        }
        add_filter(L, filters, key);
        lua_pop(L, 1);
      }
    } else {
      check_filter_value(L, key);
      add_filter(L, filters, key);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* labels = { k = v | true } */
static void add_labels(lua_State *L, int filters) {
  if (lx_option(L, 2, "labels") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const char *name;
    size_t length;
    if (lua_type(L, -2) != LUA_TSTRING) {
      lx_misuse(L, "list_containers: option 'labels': names are strings, got a key of type %s", luaL_typename(L, -2));
    }
    name = lua_tolstring(L, -2, &length);
    if (length == 0 || memchr(name, '=', length)) {
      lx_misuse(L, "list_containers: option 'labels': '%s' is no label's name", name);
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
      lua_pushvalue(L, -2);
      lua_pushliteral(L, "=");
      lua_pushvalue(L, -3);
      lua_concat(L, 3);
    } else if (lua_isboolean(L, -1) && lua_toboolean(L, -1)) {
      lua_pushvalue(L, -2);
    } else {
      lx_misuse(L, "list_containers: option 'labels': '%s': string, or true for any value, expected, got %s", name,
                luaL_typename(L, -1));
    }
    add_filter(L, filters, "label");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* status = "running" | { "running", … } */
static void add_status(lua_State *L, int filters) {
  static const char *const words[] = {"created", "restarting", "running", "removing", "paused", "exited", "dead"};
  lua_Integer i, n = 1;
  int list = lx_option(L, 2, "status") == LUA_TTABLE;
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  if (list) n = (lua_Integer)lua_rawlen(L, -1);
  for (i = 1; i <= n; i++) {
    size_t w = 0;
    const char *word;
    if (list) lua_rawgeti(L, -1, i);
    else lua_pushvalue(L, -1);
    word = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
    while (w < sizeof words / sizeof *words && strcmp(word, words[w]) != 0) w++;
    if (w == sizeof words / sizeof *words) {
      lx_misuse(L, "list_containers: option 'status': created, restarting, running, removing, paused, exited or dead "
                "expected, got %s", word);
    }
    add_filter(L, filters, "status");
  }
  lua_pop(L, 1);
}

/* A regular expression that only this name, with or without its "/", matches. */
static void add_name(lua_State *L, int filters) {
  luaL_Buffer b;
  const char *name;
  size_t length, i;
  if (lx_option(L, 2, "name") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  name = lx_checkid(L, lua_gettop(L), "list_containers", "option 'name'", &length);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "^/?");
  for (i = 0; i < length; i++) {
    if (strchr("\\.+*?()|[]{}^$-", name[i])) luaL_addchar(&b, '\\');
    luaL_addchar(&b, name[i]);
  }
  luaL_addchar(&b, '$');
  luaL_pushresult(&b);
  add_filter(L, filters, "name");
  lua_pop(L, 1);
}

/* Ours are those that have the labels of ownership; project and stage narrow them down. */
static void add_ownership(lua_State *L, int filters) {
  static const char *const owned[] = {LABEL_PROJECT, LABEL_STAGE, LABEL_INSTANCE};
  size_t length, i;
  const char *project = container_label_option(L, 2, "list_containers", "project", &length);
  const char *stage = container_label_option(L, 2, "list_containers", "stage", &length);
  if (project) {
    lua_pushfstring(L, LABEL_PROJECT "=%s", project);
    add_filter(L, filters, "label");
  }
  if (stage) {
    lua_pushfstring(L, LABEL_STAGE "=%s", stage);
    add_filter(L, filters, "label");
  }
  if (!lx_option_boolean(L, 2, "managed", 0)) return;
  for (i = 0; i < sizeof owned / sizeof *owned; i++) {
    lua_pushstring(L, owned[i]);
    add_filter(L, filters, "label");
  }
}

/* ---- the rows ---- */

enum column { ID, NAME, IMAGE, IMAGE_ID, STATE, STATUS, LABELS, PORTS, CREATED, COLUMNS };
enum port_field { PORT, PROTOCOL, HOST_IP, HOST_PORT, PORT_FIELDS };

#define SAME_LABELS 16 /* so many labels of a row are compared with those of the row before */
#define SAME_PORTS 4   /* … and so many ports */

/* Texts that are likely to be the same as in the row before. */
enum same { SAME_IMAGE, SAME_IMAGE_ID, SAME_STATE, SAME_STATUS, SAME_PROTOCOL,
            SAME_IP, SAME_LABEL = SAME_IP + SAME_PORTS, SAME_VALUE = SAME_LABEL + SAME_LABELS,
            SAMES = SAME_VALUE + SAME_LABELS };

struct rows {
  lua_State *L;
  const struct json_doc *doc;
  int columns, port_fields, sames; /* stack indices: the fields' names, and the Lua strings of `same` */
  struct { const char *text; size_t length; } same[SAMES];
};

/* Pushes the string at node, which must be one. */
static void push_text(struct rows *r, uint32_t node, int same) {
  const struct json_node *n = &r->doc->nodes[node];
  const char *text = r->doc->text + n->offset;
  size_t length = n->count;
  if (length == 0) {
    lua_pushliteral(r->L, "");
  } else if (n->escaped) {
    jsonlua_pushstring(r->L, r->doc, node);
  } else if (same < 0) {
    lua_pushlstring(r->L, text, length);
  } else if (r->same[same].length == length && memcmp(r->same[same].text, text, length) == 0) {
    lua_pushvalue(r->L, r->sames + same);
  } else {
    lua_pushlstring(r->L, text, length);
    lua_copy(r->L, -1, r->sames + same);
    r->same[same].text = text;
    r->same[same].length = length;
  }
}

/* { name = value }; answers nothing, pushes one. */
static void push_labels(struct rows *r, uint32_t node) {
  lua_State *L = r->L;
  uint32_t i, at = node + 1, count = r->doc->nodes[node].type == JSON_OBJECT ? r->doc->nodes[node].count : 0;
  lua_createtable(L, 0, (int)count);
  for (i = 0; i < count; i++) {
    int near = i < SAME_LABELS;
    push_text(r, at, near ? SAME_LABEL + (int)i : -1);
    if (json_is(r->doc, at + 1, JSON_STRING)) push_text(r, at + 1, near ? SAME_VALUE + (int)i : -1);
    else lua_pushnil(L);
    lua_rawset(L, -3);
    at = r->doc->nodes[at + 1].next;
  }
}

static int is(const struct rows *r, uint32_t node, const char *name, size_t length) {
  const struct json_node *n = &r->doc->nodes[node];
  return n->count == length && memcmp(r->doc->text + n->offset, name, length) == 0;
}

/* { { port=, protocol=, host_ip=, host_port= }, … } */
static void push_ports(struct rows *r, uint32_t node) {
  lua_State *L = r->L;
  const struct json_doc *doc = r->doc;
  uint32_t i, item = node + 1, count = doc->nodes[node].type == JSON_ARRAY ? doc->nodes[node].count : 0;
  lua_createtable(L, (int)count, 0);
  for (i = 0; i < count; i++) {
    uint32_t j, at = item + 1, n = doc->nodes[item].type == JSON_OBJECT ? doc->nodes[item].count : 0;
    lua_createtable(L, 0, (int)n);
    for (j = 0; j < n; j++) {
      uint32_t value = at + 1;
      int field = is(r, at, "PrivatePort", 11) ? PORT : is(r, at, "PublicPort", 10) ? HOST_PORT
                : is(r, at, "Type", 4) ? PROTOCOL : is(r, at, "IP", 2) ? HOST_IP : PORT_FIELDS;
      if (field != PORT_FIELDS && (json_is(doc, value, JSON_INTEGER) || json_is(doc, value, JSON_STRING))) {
        lua_pushvalue(L, r->port_fields + field);
        if (json_is(doc, value, JSON_INTEGER)) lua_pushinteger(L, json_integer(doc, value, 0));
        else push_text(r, value, field == PROTOCOL ? SAME_PROTOCOL : SAME_IP + (int)(i % SAME_PORTS));
        lua_rawset(L, -3);
      }
      at = doc->nodes[value].next;
    }
    lua_rawseti(L, -2, i + 1);
    item = doc->nodes[item].next;
  }
}

/* Pushes the container's name: of its names the one that is not a link's ("/web", not "/shop/web"). */
static void push_name(struct rows *r, uint32_t node) {
  const struct json_doc *doc = r->doc;
  uint32_t i, item = node + 1, count = doc->nodes[node].type == JSON_ARRAY ? doc->nodes[node].count : 0;
  for (i = 0; i < count; i++, item = doc->nodes[item].next) {
    const struct json_node *n = &doc->nodes[item];
    const char *text = doc->text + n->offset;
    size_t length = n->count;
    if (n->type != JSON_STRING) continue;
    if (n->escaped) { /* some encoders write "\/" */
      jsonlua_pushstring(r->L, doc, item);
      text = lua_tolstring(r->L, -1, &length);
    }
    if (text && length > 1 && text[0] == '/' && !memchr(text + 1, '/', length - 1)) {
      lua_pushlstring(r->L, text + 1, length - 1);
      if (n->escaped) lua_remove(r->L, -2);
      return;
    }
    if (n->escaped) lua_pop(r->L, 1);
  }
  lua_pushnil(r->L);
}

static enum column column_of(const struct rows *r, uint32_t name) {
  switch (r->doc->nodes[name].count) {
    case 2: return is(r, name, "Id", 2) ? ID : COLUMNS;
    case 5: return is(r, name, "Names", 5) ? NAME : is(r, name, "Image", 5) ? IMAGE : is(r, name, "State", 5) ? STATE
                 : is(r, name, "Ports", 5) ? PORTS : COLUMNS;
    case 6: return is(r, name, "Labels", 6) ? LABELS : is(r, name, "Status", 6) ? STATUS : COLUMNS;
    case 7: return is(r, name, "ImageID", 7) ? IMAGE_ID : is(r, name, "Created", 7) ? CREATED : COLUMNS;
    default: return COLUMNS;
  }
}

/* Pushes the value of a column; nil where the Engine has something else there. */
static void push_column(struct rows *r, enum column column, uint32_t node) {
  static const int sames[] = {
    [ID] = -1, [IMAGE] = SAME_IMAGE, [IMAGE_ID] = SAME_IMAGE_ID, [STATE] = SAME_STATE, [STATUS] = SAME_STATUS
  };
  switch (column) {
    case ID:
    case IMAGE:
    case IMAGE_ID:
    case STATE:
    case STATUS:
      if (json_is(r->doc, node, JSON_STRING) && r->doc->nodes[node].count > 0) push_text(r, node, sames[column]);
      else lua_pushnil(r->L);
      return;
    case NAME: push_name(r, node); return;
    case LABELS: push_labels(r, node); return;
    case PORTS: push_ports(r, node); return;
    case CREATED:
      if (json_is(r->doc, node, JSON_INTEGER)) lua_pushinteger(r->L, json_integer(r->doc, node, 0));
      else lua_pushnil(r->L);
      return;
    case COLUMNS: break;
  }
  lua_pushnil(r->L);
}

/* Pushes the row at node. */
static void push_row(struct rows *r, uint32_t node) {
  lua_State *L = r->L;
  uint32_t i, at = node + 1, count = r->doc->nodes[node].type == JSON_OBJECT ? r->doc->nodes[node].count : 0;
  lua_createtable(L, 0, COLUMNS + 1);
  for (i = 0; i < count; i++) {
    enum column column = column_of(r, at);
    if (column != COLUMNS) {
      lua_pushvalue(L, r->columns + (int)column);
      push_column(r, column, at + 1);
      lua_rawset(L, -3);
    }
    at = r->doc->nodes[at + 1].next;
  }
}

/* Pushes what the rows share; from here on the stack is fixed. */
static void rows_begin(lua_State *L, struct rows *r, const struct json_doc *doc) {
  static const char *const columns[] = {
    [ID] = "id", [NAME] = "name", [IMAGE] = "image", [IMAGE_ID] = "image_id", [STATE] = "state", [STATUS] = "status",
    [LABELS] = "labels", [PORTS] = "ports", [CREATED] = "created"
  };
  static const char *const fields[] = {
    [PORT] = "port", [PROTOCOL] = "protocol", [HOST_IP] = "host_ip", [HOST_PORT] = "host_port"
  };
  int i;
  luaL_checkstack(L, COLUMNS + PORT_FIELDS + SAMES + LUA_MINSTACK, NULL);
  r->L = L;
  r->doc = doc;
  r->columns = lua_gettop(L) + 1;
  for (i = 0; i < COLUMNS; i++) lua_pushstring(L, columns[i]);
  r->port_fields = lua_gettop(L) + 1;
  for (i = 0; i < PORT_FIELDS; i++) lua_pushstring(L, fields[i]);
  r->sames = lua_gettop(L) + 1;
  for (i = 0; i < SAMES; i++) {
    lua_pushnil(L);
    r->same[i].length = SIZE_MAX; /* as long as no text */
  }
}

/* Has the row at the top exactly the name that was asked for? */
static int is_asked_for(lua_State *L, const struct rows *r, const char *name) {
  int equal;
  if (!name) return 1;
  lua_pushvalue(L, r->columns + NAME);
  lua_rawget(L, -2);
  equal = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), name) == 0;
  lua_pop(L, 1);
  return equal;
}

static int list_done(lua_State *L, struct call *k) {
  const struct json_doc *doc = &k->doc;
  const char *name = lx_option_string(L, k->options, "name", NULL);
  struct rows r;
  uint32_t i, count, node = 1;
  lua_Integer n = 0;
  int meta, result, failed = call_expect(L, k, JSON_ARRAY);
  if (failed) return failed;
  count = doc->nodes[0].count;
  record_document(L, doc);
  meta = lua_gettop(L);
  lua_createtable(L, (int)count, 0);
  result = lua_gettop(L);
  rows_begin(L, &r, doc);
  for (i = 0; i < count; i++, node = doc->nodes[node].next) {
    push_row(&r, node);
    if (is_asked_for(L, &r, name)) {
      record_attach(L, meta, doc, node);
      lua_rawseti(L, result, ++n);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_settop(L, result);
  return 1;
}

/* client:list_containers{ all=, labels={k=v|true}, status=, name=, managed=true, project=, stage=, limit=, filters={}
** } -> { { id=, name=, image=, image_id=, state=, status=, labels={}, ports={}, created=, raw= }, … } */
int meth_list_containers(lua_State *L) {
  static const struct lx_option known[] = {
    {"all", LX_BOOLEAN}, {"labels", LX_TABLE}, {"status", LX_STRING_OR_TABLE}, {"name", LX_STRING},
    {"managed", LX_BOOLEAN}, {"project", LX_STRING}, {"stage", LX_STRING}, {"limit", LX_INTEGER}, {"filters", LX_TABLE},
    LX_COMMON_OPTIONS
  };
  struct call *k = call_begin(L, "list_containers", 2, known, NULL);
  lua_Integer limit = lx_option_integer(L, k->options, "limit", 0);
  int filters;
  if (limit < 0) {
    return lx_misuse(L, "list_containers: option 'limit': an integer >= 0 expected, got %I", (LUAI_UACINT)limit);
  }
  call_request(L, k, "ContainerList");
  if (lx_option_boolean(L, k->options, "all", 0)) call_query_boolean(L, k, "all", 1);
  if (limit > 0) call_query_integer(L, k, "limit", limit);
  if (k->options) {
    lua_newtable(L);
    filters = lua_gettop(L);
    add_raw_filters(L, filters);
    add_labels(L, filters);
    add_status(L, filters);
    add_name(L, filters);
    add_ownership(L, filters);
    lua_pushnil(L);
    if (lua_next(L, filters)) { /* none: they are left out */
      lua_settop(L, filters);
      call_query_json(L, k, "filters");
    }
    lua_settop(L, k->top);
  }
  return call_run(L, k, list_done);
}
