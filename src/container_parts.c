/* container_parts.c: options of create_container that are tables of their own, or have a little language: restart,
** healthcheck, mounts, ulimits, devices, cpus. See container_body.c. */

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "containers.h"

#define OPTIONS 2        /* stack index of the options table */
#define NANO 1e9
#define MILLISECOND 1e-3 /* the shortest time that the Engine takes */
#define MOST_SECONDS 9e9 /* in nanoseconds it must fit 64 bits */
#define MOST_CPUS 1e6

/* ---- restart ---- */

/* "on-failure:3" → { Name="on-failure", MaximumRetryCount=3 } */
static void set_restart(lua_State *L, int host) {
  static const char *const names[] = {"no", "always", "unless-stopped", "on-failure"};
  size_t i, length;
  const char *text = lx_option_string(L, OPTIONS, "restart", &length), *colon;
  long retries = 0;
  if (!text) return;
  colon = strchr(text, ':');
  if (colon) {
    char *end;
    if (colon[1] >= '0' && colon[1] <= '9') retries = strtol(colon + 1, &end, 10);
    else end = NULL;
    if (!end || *end || retries > INT32_MAX || strncmp(text, "on-failure:", 11) != 0) text = "";
    else length = (size_t)(colon - text);
  }
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    if (strlen(names[i]) == length && strncmp(text, names[i], length) == 0) break;
  }
  if (i == sizeof names / sizeof *names) {
    container_misuse(L, "restart", "\"no\", \"always\", \"unless-stopped\", \"on-failure\" or \"on-failure:3\"");
    return; /* it does not come back */
  }
  lua_createtable(L, 0, 2);
  lua_pushstring(L, names[i]);
  lua_setfield(L, -2, "Name");
  if (colon) {
    lua_pushinteger(L, retries);
    lua_setfield(L, -2, "MaximumRetryCount");
  }
  lua_setfield(L, host, "RestartPolicy");
}

/* ---- healthcheck ---- */

/* Sets check[field] in nanoseconds, from the seconds in the option's table. */
static void set_time(lua_State *L, int option, int check, const char *name, const char *field) {
  double seconds;
  if (lx_option(L, option, name) != LUA_TNIL) {
    seconds = lua_tonumber(L, -1);
    if ((seconds > 0 && seconds < MILLISECOND) || seconds > MOST_SECONDS) {
      lx_misuse(L, "create_container: option 'healthcheck': %s: seconds, 0 (as the image has it) or at least 0.001, "
                "expected, got %f", name, seconds);
    }
    lua_pushinteger(L, (lua_Integer)floor(seconds * NANO + 0.5));
    lua_setfield(L, check, field);
  }
  lua_pop(L, 1);
}

/* The field `test`: a string is a shell command. Pushes the Engine's list, or nothing and answers 0 where the image's
** is meant. */
static int push_test(lua_State *L, int option) {
  const char *word;
  switch (lx_option(L, option, "test")) {
    case LUA_TNIL: lua_pop(L, 1); return 0;
    case LUA_TSTRING:
      lua_createtable(L, 2, 0);
      lua_pushliteral(L, "CMD-SHELL");
      lua_rawseti(L, -2, 1);
      lua_insert(L, -2);
      lua_rawseti(L, -2, 2);
      return 1;
    default: break;
  }
  container_push_strings(L, "healthcheck");
  lua_remove(L, -2);
  lua_rawgeti(L, -1, 1);
  word = lua_isstring(L, -1) ? lua_tostring(L, -1) : "CMD";
  if (strcmp(word, "CMD") != 0 && strcmp(word, "CMD-SHELL") != 0 && strcmp(word, "NONE") != 0) {
    lx_misuse(L, "create_container: option 'healthcheck': test: a list begins with CMD, CMD-SHELL or NONE, not with "
              "'%s'", word);
  }
  lua_pop(L, 1);
  return 1;
}

/* { test=, interval=, timeout=, start_period=, retries=, start_interval= }, or false: none, although the image has
** one */
static void set_healthcheck(lua_State *L, int body) {
  static const struct lx_option known[] = {
    {"test", LX_STRING_OR_TABLE}, {"interval", LX_SECONDS}, {"timeout", LX_SECONDS}, {"start_period", LX_SECONDS},
    {"retries", LX_INTEGER}, {"start_interval", LX_SECONDS}, {NULL, LX_ANY}
  };
  int option, check;
  if (lx_option(L, OPTIONS, "healthcheck") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  option = lua_gettop(L);
  lua_newtable(L);
  check = option + 1;
  if (lua_istable(L, option)) {
    lua_Integer retries;
    lx_checkoptions(L, option, "create_container: option 'healthcheck'", known);
    if (push_test(L, option)) lua_setfield(L, check, "Test");
    set_time(L, option, check, "interval", "Interval");
    set_time(L, option, check, "timeout", "Timeout");
    set_time(L, option, check, "start_period", "StartPeriod");
    set_time(L, option, check, "start_interval", "StartInterval");
    retries = lx_option_integer(L, option, "retries", 0);
    if (retries < 0 || retries > INT32_MAX) container_misuse(L, "healthcheck", "retries: an integer >= 0");
    if (retries > 0) {
      lua_pushinteger(L, retries);
      lua_setfield(L, check, "Retries");
    }
  } else if (lua_isboolean(L, option) && !lua_toboolean(L, option)) {
    lua_newtable(L);
    lua_pushliteral(L, "NONE");
    lua_rawseti(L, -2, 1);
    lua_setfield(L, check, "Test");
  } else {
    container_misuse(L, "healthcheck", "{ test=, interval=, … }, or false for none,");
  }
  lua_setfield(L, body, "Healthcheck");
  lua_settop(L, option - 1);
}

/* ---- mounts ---- */

/* The mount at the top; pushes the Engine's. */
static void push_mount(lua_State *L, lua_Integer index) {
  static const struct lx_option known[] = {
    {"type", LX_STRING}, {"source", LX_STRING}, {"target", LX_STRING}, {"read_only", LX_BOOLEAN}, {NULL, LX_ANY}
  };
  static const char *const types[] = {"volume", "bind", "tmpfs", "npipe", "cluster", "image"};
  int mount = lua_gettop(L);
  size_t i = 0;
  const char *type, *source, *target;
  if (!lua_istable(L, mount)) {
    lx_misuse(L, "create_container: option 'mounts': item %I: table expected, got %s", (LUAI_UACINT)index,
              luaL_typename(L, mount));
  }
  lx_checkoptions(L, mount, "create_container: option 'mounts'", known);
  type = lx_option_string(L, mount, "type", NULL);
  source = lx_option_string(L, mount, "source", NULL);
  target = lx_option_string(L, mount, "target", NULL);
  if (!type) type = types[0];
  while (i < sizeof types / sizeof *types && strcmp(type, types[i]) != 0) i++;
  if (i == sizeof types / sizeof *types) {
    lx_misuse(L, "create_container: option 'mounts': item %I: type: volume, bind, tmpfs, npipe, cluster or image "
              "expected, got '%s'", (LUAI_UACINT)index, type);
  }
  if (!target || !*target) {
    lx_misuse(L, "create_container: option 'mounts': item %I: target is missing", (LUAI_UACINT)index);
  }
  if ((!source || !*source) && (strcmp(type, "bind") == 0 || strcmp(type, "image") == 0)) {
    lx_misuse(L, "create_container: option 'mounts': item %I: source is missing", (LUAI_UACINT)index);
  }
  lua_createtable(L, 0, 4);
  lua_pushstring(L, type);
  lua_setfield(L, -2, "Type");
  lua_pushstring(L, target);
  lua_setfield(L, -2, "Target");
  if (source) {
    lua_pushstring(L, source);
    lua_setfield(L, -2, "Source");
  }
  if (lx_option_boolean(L, mount, "read_only", 0)) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ReadOnly");
  }
}

static void set_mounts(lua_State *L, int host) {
  int top = lua_gettop(L);
  lua_Integer i, n, keys = 0;
  if (lx_option(L, OPTIONS, "mounts") != LUA_TNIL) {
    n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_pushnil(L); lua_next(L, top + 1); lua_pop(L, 1)) keys++;
    if (keys != n) container_misuse(L, "mounts", "a list of { type=, source=, target=, read_only= }");
    lua_createtable(L, (int)n, 0);
    for (i = 1; i <= n; i++) {
      lua_rawgeti(L, top + 1, i);
      push_mount(L, i);
      lua_rawseti(L, top + 2, i);
      lua_pop(L, 1);
    }
    lua_setfield(L, host, "Mounts");
  }
  lua_settop(L, top);
}

/* ---- ulimits, devices, cpus ---- */

static lua_Integer limit_of(lua_State *L, int table, const char *field, const char *name) {
  lua_Integer n;
  int exact;
  if (table) lx_option(L, table, field);
  n = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &exact) : 0;
  if (lua_type(L, -1) != LUA_TNUMBER || !exact || n < -1) {
    lx_misuse(L, "create_container: option 'ulimits': '%s': an integer (-1: no limit), or { soft=, hard= }, expected",
              name);
  }
  if (table) lua_pop(L, 1);
  return n;
}

/* { nofile = 1024 | { soft=, hard= } } */
static void set_ulimits(lua_State *L, int host) {
  int top = lua_gettop(L);
  if (lx_option(L, OPTIONS, "ulimits") != LUA_TNIL) {
    size_t i, n = container_push_keys(L, "ulimits", "{ nofile = 1024 }, names and values,");
    const char **names = lua_touserdata(L, -1);
    lua_createtable(L, (int)n, 0);
    for (i = 0; i < n; i++) {
      lua_Integer soft, hard;
      int table = 0;
      lua_createtable(L, 0, 3);
      lua_pushstring(L, names[i]);
      lua_setfield(L, -2, "Name");
      if (lua_getfield(L, top + 1, names[i]) == LUA_TTABLE) table = lua_gettop(L);
      soft = limit_of(L, table, "soft", names[i]);
      hard = limit_of(L, table, "hard", names[i]);
      lua_pop(L, 1);
      lua_pushinteger(L, soft);
      lua_setfield(L, -2, "Soft");
      lua_pushinteger(L, hard);
      lua_setfield(L, -2, "Hard");
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, host, "Ulimits");
  }
  lua_settop(L, top);
}

static void set_part(lua_State *L, const char *field, const char *text, size_t length) {
  lua_pushlstring(L, text, length);
  lua_setfield(L, -2, field);
}

/* "/dev/fuse", "/dev/sda:/dev/disk", "/dev/sda:/dev/disk:r" */
static void set_devices(lua_State *L, int host) {
  int top = lua_gettop(L);
  if (lx_option(L, OPTIONS, "devices") != LUA_TNIL) {
    lua_Integer i, n;
    container_push_strings(L, "devices"); /* top + 2: each is replaced by its table */
    n = (lua_Integer)lua_rawlen(L, -1);
    for (i = 1; i <= n; i++) {
      const char *text, *inside, *rights = "rwm";
      size_t length, inside_length;
      lua_rawgeti(L, top + 2, i);
      text = lua_tostring(L, -1);
      length = strcspn(text, ":");
      inside = text;
      inside_length = length;
      if (text[length]) {
        inside = text + length + 1;
        inside_length = strcspn(inside, ":");
        if (inside[inside_length]) rights = inside + inside_length + 1;
      }
      if (*text != '/' || *inside != '/' || !*rights || rights[strspn(rights, "rwm")]) {
        lx_misuse(L, "create_container: option 'devices': \"/dev/fuse\", or \"/dev/host:/dev/inside:rwm\", expected, "
                  "got '%s'", text);
      }
      lua_createtable(L, 0, 3);
      set_part(L, "PathOnHost", text, length);
      set_part(L, "PathInContainer", inside, inside_length);
      set_part(L, "CgroupPermissions", rights, strlen(rights));
      lua_rawseti(L, top + 2, i);
      lua_pop(L, 1);
    }
    lua_setfield(L, host, "Devices");
  }
  lua_settop(L, top);
}

static void set_cpus(lua_State *L, int host) {
  double cpus;
  if (lx_option(L, OPTIONS, "cpus") != LUA_TNIL) {
    cpus = lua_tonumber(L, -1);
    if (!(cpus > 0 && cpus <= MOST_CPUS)) container_misuse(L, "cpus", "a number > 0, as 1.5,");
    lua_pushinteger(L, (lua_Integer)floor(cpus * NANO + 0.5));
    lua_setfield(L, host, "NanoCpus");
  }
  lua_pop(L, 1);
}

void container_set_parts(lua_State *L, int body, int host) {
  set_restart(L, host);
  set_healthcheck(L, body);
  set_mounts(L, host);
  set_ulimits(L, host);
  set_devices(L, host);
  set_cpus(L, host);
}
