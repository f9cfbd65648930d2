/* container_body.c: from the options of create_container to the body of ContainerCreate.
**
** Most options are rows of a table: name, Engine field, part of the body, kind. The others have a function each.
** Everything is checked here, before any request; a message names the option and never a value of `env`. The caller's
** tables are read, never changed and never put into the body themselves, but for those in `raw`. */

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "containers.h"
#include "jsonlua.h"

#define OPTIONS 2     /* stack index of the options table */

/* ---- small things ---- */

int container_misuse(lua_State *L, const char *option, const char *expected) {
  return lx_misuse(L, "create_container: option '%s': %s expected", option, expected);
}

static int has_nul(lua_State *L, int idx) {
  size_t length;
  const char *text = lua_tolstring(L, idx, &length);
  return memchr(text, '\0', length) != NULL;
}

void container_push_strings(lua_State *L, const char *option) {
  lua_Integer i, n = (lua_Integer)lua_rawlen(L, -1), keys = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) keys++;
  if (keys != n) container_misuse(L, option, "a list of strings");
  lua_createtable(L, (int)n, 0);
  jsonlua_pusharray(L);
  lua_setmetatable(L, -2);
  for (i = 1; i <= n; i++) {
    if (lua_rawgeti(L, -2, i) != LUA_TSTRING || has_nul(L, -1)) container_misuse(L, option, "a list of strings");
    lua_rawseti(L, -2, i);
  }
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t container_push_keys(lua_State *L, const char *option, const char *expected) {
  size_t n = 0, i = 0;
  const char **keys;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || has_nul(L, -2)) container_misuse(L, option, expected);
    n++;
  }
  keys = lua_newuserdatauv(L, (n + 1) * sizeof *keys, 0);
  for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1)) keys[i++] = lua_tostring(L, -2);
  qsort(keys, n, sizeof *keys, compare_texts);
  return n;
}

/* Bytes: a number, or text as "512m", "1.5g". Answers -1 where it is none of them. */
static lua_Integer to_bytes(lua_State *L, int idx) {
  static const char units[] = "bkmgt";
  const char *text, *unit;
  double value = 0, digit = 1;
  size_t shift;
  if (lua_type(L, idx) == LUA_TNUMBER) {
    int exact;
    lua_Integer n = lua_tointegerx(L, idx, &exact);
    return exact && n >= 0 ? n : -1;
  }
  text = lua_tostring(L, idx);
  if (!(*text >= '0' && *text <= '9')) return -1;
  for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
  if (*text == '.') {
    for (text++; *text >= '0' && *text <= '9'; text++) value += (*text - '0') * (digit /= 10);
  }
  if (*text) {
    unit = strchr(units, *text | 0x20);
    if (!unit) return -1;
    for (shift = (size_t)(unit - units); shift > 0; shift--) value *= 1024;
    if (text[1] && !((text[1] | 0x20) == 'b' && !text[2] && unit != units)) return -1; /* "mb" will do */
  }
  return value < 9e18 ? (lua_Integer)floor(value) : -1;
}

/* ---- options that are rows ---- */

enum part { BODY, HOST };
enum kind {
  PLAIN,   /* a string or boolean, as it is */
  WORDS,   /* a list of strings; a string is a list of one */
  BYTES,   /* to_bytes */
  BYTES_1, /* … or -1: no limit */
  COUNT_1  /* an integer >= -1 */
};

static const struct row {
  const char *option, *field;
  enum part part;
  enum kind kind;
} rows[] = {
  {"auto_remove", "AutoRemove", HOST, PLAIN},       {"binds", "Binds", HOST, WORDS},
  {"cap_add", "CapAdd", HOST, WORDS},               {"cap_drop", "CapDrop", HOST, WORDS},
  {"cmd", "Cmd", BODY, WORDS},                      {"dns", "Dns", HOST, WORDS},
  {"dns_search", "DnsSearch", HOST, WORDS},         {"domainname", "Domainname", BODY, PLAIN},
  {"entrypoint", "Entrypoint", BODY, WORDS},        {"extra_hosts", "ExtraHosts", HOST, WORDS},
  {"group_add", "GroupAdd", HOST, WORDS},           {"hostname", "Hostname", BODY, PLAIN},
  {"init", "Init", HOST, PLAIN},                    {"memory", "Memory", HOST, BYTES},
  {"memory_swap", "MemorySwap", HOST, BYTES_1},     {"open_stdin", "OpenStdin", BODY, PLAIN},
  {"pids_limit", "PidsLimit", HOST, COUNT_1},       {"privileged", "Privileged", HOST, PLAIN},
  {"read_only", "ReadonlyRootfs", HOST, PLAIN},     {"security_opt", "SecurityOpt", HOST, WORDS},
  {"shm_size", "ShmSize", HOST, BYTES},             {"stop_signal", "StopSignal", BODY, PLAIN},
  {"stop_timeout", "StopTimeout", BODY, COUNT_1},   {"tty", "Tty", BODY, PLAIN},
  {"user", "User", BODY, PLAIN},                    {"working_dir", "WorkingDir", BODY, PLAIN},
};

/* The option's value is at the top; pushes the field's. */
static void push_value(lua_State *L, const struct row *row) {
  lua_Integer n;
  switch (row->kind) {
    case PLAIN: lua_pushvalue(L, -1); return;
    case WORDS:
      if (lua_type(L, -1) == LUA_TSTRING) {
        lua_createtable(L, 1, 0);
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, 1);
      } else {
        container_push_strings(L, row->option);
      }
      return;
    case BYTES:
    case BYTES_1:
      n = to_bytes(L, -1);
      if (row->kind == BYTES_1 && lua_isinteger(L, -1) && lua_tointeger(L, -1) == -1) lua_pushinteger(L, -1);
      else if (n < 0) container_misuse(L, row->option, "a number of bytes (an integer >= 0, or text like \"512m\")");
      else lua_pushinteger(L, n);
      return;
    case COUNT_1:
      n = lua_tointegerx(L, -1, NULL);
      if (n < -1 || n > INT32_MAX) container_misuse(L, row->option, "an integer >= -1");
      lua_pushinteger(L, n);
      return;
  }
}

static void set_rows(lua_State *L, int body, int host) {
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (lx_option(L, OPTIONS, rows[i].option) != LUA_TNIL) {
      push_value(L, &rows[i]);
      lua_setfield(L, rows[i].part == HOST ? host : body, rows[i].field);
    }
    lua_pop(L, 1);
  }
}

/* ---- env, labels, other maps ---- */

#define ENV_EXPECTED "{ NAME = value } with strings, numbers or booleans, or a list of \"NAME=value\","

/* A list: each is NAME=value, or NAME alone, which takes the image's variable away. */
static void push_env_list(lua_State *L) {
  lua_Integer i, n;
  container_push_strings(L, "env");
  n = (lua_Integer)lua_rawlen(L, -1);
  for (i = 1; i <= n; i++) {
    const char *text;
    lua_rawgeti(L, -1, i);
    text = lua_tostring(L, -1);
    if (*text == '\0' || *text == '=') {
      lx_misuse(L, "create_container: option 'env': item %I has no name", (LUAI_UACINT)i);
    }
    lua_pop(L, 1);
  }
}

static void push_env_map(lua_State *L) {
  int table = lua_gettop(L);
  size_t i, n = container_push_keys(L, "env", ENV_EXPECTED);
  const char **keys = lua_touserdata(L, -1);
  lua_createtable(L, (int)n, 0);
  for (i = 0; i < n; i++) {
    const char *key = keys[i];
    if (!*key) lx_misuse(L, "create_container: option 'env': a name is empty");
    if (strchr(key, '=')) lx_misuse(L, "create_container: option 'env': name '%s': it holds a '='", key);
    lua_pushstring(L, key);
    lua_pushliteral(L, "=");
    lua_getfield(L, table, key);
    switch (lua_type(L, -1)) {
      case LUA_TSTRING:
        if (has_nul(L, -1)) lx_misuse(L, "create_container: option 'env': the value of '%s' holds a NUL byte", key);
        break;
      case LUA_TNUMBER:
      case LUA_TBOOLEAN:
        luaL_tolstring(L, -1, NULL);
        lua_remove(L, -2);
        break;
      default:
        lx_misuse(L, "create_container: option 'env': the value of '%s': string, number or boolean expected, got %s",
                  key, luaL_typename(L, -1));
    }
    lua_concat(L, 3);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void set_env(lua_State *L, int body) {
  int top = lua_gettop(L);
  if (lx_option(L, OPTIONS, "env") != LUA_TNIL) {
    if (lua_rawlen(L, -1) > 0) push_env_list(L);
    else push_env_map(L);
    lua_setfield(L, body, "Env");
  }
  lua_settop(L, top);
}

/* The option at the top must be { name = string }; pushes a copy. Numbers and booleans become text where `lenient`. */
static void push_string_map(lua_State *L, const char *option, int lenient) {
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, -3)) {
    int type = lua_type(L, -1);
    if (lua_type(L, -2) != LUA_TSTRING) {
      lx_misuse(L, "create_container: option '%s': names are strings, got a key of type %s", option,
                luaL_typename(L, -2));
    }
    if (lua_rawlen(L, -2) == 0) lx_misuse(L, "create_container: option '%s': a name is empty", option);
    if (type != LUA_TSTRING && !(lenient && (type == LUA_TNUMBER || type == LUA_TBOOLEAN))) {
      lx_misuse(L, "create_container: option '%s': '%s': string expected, got %s", option, lua_tostring(L, -2),
                luaL_typename(L, -1));
    }
    if (has_nul(L, -2)) container_misuse(L, option, "names without NUL bytes");
    lua_pushvalue(L, -2);
    luaL_tolstring(L, -2, NULL);
    lua_rawset(L, -5);
    lua_pop(L, 1);
  }
}

static void set_labels(lua_State *L, int body) {
  if (lx_option(L, OPTIONS, "labels") != LUA_TNIL) {
    container_refuse_labels(L, lua_gettop(L), "option 'labels'");
    push_string_map(L, "labels", 0);
    lua_setfield(L, body, "Labels");
  }
  lua_pop(L, 1);
}

/* annotations, log_driver and log_options. */
static void set_maps(lua_State *L, int host) {
  int top = lua_gettop(L);
  int driver = lx_option(L, OPTIONS, "log_driver") != LUA_TNIL;
  int options = lx_option(L, OPTIONS, "log_options") != LUA_TNIL;
  if (driver || options) {
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, top + 1);
    lua_setfield(L, -2, "Type");
    if (options) {
      lua_pushvalue(L, top + 2);
      push_string_map(L, "log_options", 1);
      lua_setfield(L, -3, "Config");
      lua_pop(L, 1);
    }
    lua_setfield(L, host, "LogConfig");
  }
  if (lx_option(L, OPTIONS, "annotations") != LUA_TNIL) {
    push_string_map(L, "annotations", 0);
    lua_setfield(L, host, "Annotations");
  }
  lua_settop(L, top);
}

/* A map of paths, { ["/run"] = "size=64m" }, or a list of paths: sets part[field] = { path = value or "" }; with
** `empty` the values are {} (Volumes). */
static void set_paths(lua_State *L, int part, const char *option, const char *field, int empty) {
  int top = lua_gettop(L), table = top + 1;
  if (lx_option(L, OPTIONS, option) != LUA_TNIL) {
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, table)) {
      int list = lua_isinteger(L, -2), path = list ? -1 : -2;
      if (lua_type(L, path) != LUA_TSTRING || *lua_tostring(L, path) != '/' || has_nul(L, path) ||
          (!list && (empty || lua_type(L, -1) != LUA_TSTRING))) {
        container_misuse(L, option, empty ? "a list of absolute paths"
                                          : "a list of absolute paths, or { [path] = options },");
      }
      lua_pushvalue(L, path);
      if (empty) lua_newtable(L);
      else if (list) lua_pushliteral(L, "");
      else lua_pushvalue(L, -2);
      lua_rawset(L, table + 1);
      lua_pop(L, 1);
    }
    lua_setfield(L, part, field);
  }
  lua_settop(L, top);
}

/* ---- all of it ---- */

void container_refuse_labels(lua_State *L, int labels, const char *where) {
  static const char *const ours[] = {LABEL_PROJECT, LABEL_STAGE, LABEL_INSTANCE, LABEL_TAG, LABEL_DIGEST};
  size_t i;
  for (i = 0; i < sizeof ours / sizeof *ours; i++) {
    lua_pushstring(L, ours[i]);
    if (lua_rawget(L, labels) != LUA_TNIL) {
      lx_misuse(L, "create_container: %s: '%s' is set by the options project, stage, instance_id, tag and digest",
                where, ours[i]);
    }
    lua_pop(L, 1);
  }
}

/* Merges the table at `from` into the one at `into`: tables into tables, by name; everything else, lists too,
** replaces what is there. The tables of `into` are ours, down to where `from` ends, so the caller's stay as they
** are. */
static void merge(lua_State *L, int into, int from) {
  luaL_checkstack(L, LUA_MINSTACK, "option 'raw'");
  lua_pushnil(L);
  while (lua_next(L, from)) {
    int value = lua_gettop(L), deeper = 0;
    if (lua_type(L, value - 1) != LUA_TSTRING) container_misuse(L, "raw", "names of the Engine's fields as keys");
    lua_pushvalue(L, value - 1);
    if (lua_rawget(L, into) == LUA_TTABLE && lua_istable(L, value)) {
      deeper = lua_rawlen(L, value) == 0 && lua_rawlen(L, value + 1) == 0 && !lua_getmetatable(L, value);
    }
    if (deeper) {
      merge(L, value + 1, value);
    } else {
      lua_pushvalue(L, value - 1);
      lua_pushvalue(L, value);
      lua_rawset(L, into);
    }
    lua_settop(L, value - 1);
  }
}

static void set_raw(lua_State *L, int body) {
  int top = lua_gettop(L);
  if (lx_option(L, OPTIONS, "raw") != LUA_TNIL) {
    if (lx_option(L, top + 1, "Labels") == LUA_TTABLE) container_refuse_labels(L, top + 2, "option 'raw': Labels");
    merge(L, body, top + 1);
  }
  lua_settop(L, top);
}

/* The labels of ownership: behind `raw`, so that nothing takes them away. */
static void set_ownership(lua_State *L, int body) {
  static const struct { const char *option, *label; } ours[] = {
    {"project", LABEL_PROJECT}, {"stage", LABEL_STAGE}, {"instance_id", LABEL_INSTANCE}, {"tag", LABEL_TAG},
    {"digest", LABEL_DIGEST}
  };
  int top = lua_gettop(L);
  size_t i;
  lua_newtable(L);
  if (lua_getfield(L, body, "Labels") == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, top + 2);) { /* into a table of ours: it may be raw's */
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, top + 1);
    }
  }
  lua_settop(L, top + 1);
  for (i = 0; i < sizeof ours / sizeof *ours; i++) {
    if (lx_option(L, OPTIONS, ours[i].option) == LUA_TSTRING) lua_setfield(L, top + 1, ours[i].label);
    else lua_pop(L, 1);
  }
  lua_setfield(L, body, "Labels");
}

void container_push_body(lua_State *L) {
  int body, host;
  size_t length;
  lua_newtable(L);
  body = lua_gettop(L);
  lua_newtable(L);
  host = body + 1;
  if (lx_option(L, OPTIONS, "image") == LUA_TNIL) lx_misuse(L, "create_container: option 'image' is missing");
  lx_checkimage(L, host + 1, "create_container", &length);
  if (lua_istable(L, host + 1)) lua_getfield(L, host + 1, "id"); /* lx_checkimage has seen that it is a string */
  else lua_pushvalue(L, host + 1);
  lua_setfield(L, body, "Image");
  lua_settop(L, host);
  set_rows(L, body, host);
  set_env(L, body);
  set_labels(L, body);
  set_maps(L, host);
  set_paths(L, host, "tmpfs", "Tmpfs", 0);
  set_paths(L, body, "volumes", "Volumes", 1);
  container_set_net(L, body, host);
  container_set_parts(L, body, host);
  lua_setfield(L, body, "HostConfig");
  set_raw(L, body);
  set_ownership(L, body);
}
