/* lx.c: see lx.h. */

#include "lx.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"

#define NEAR_MISS_LENGTH 40 /* longer option names than this are not compared */

static const char *const kind_names[KIND_COUNT] = {
  [KIND_NOT_FOUND] = "not_found",       [KIND_CONFLICT] = "conflict",       [KIND_UNAUTHORIZED] = "unauthorized",
  [KIND_FORBIDDEN] = "forbidden",       [KIND_INVALID] = "invalid",         [KIND_TIMEOUT] = "timeout",
  [KIND_CANCELLED] = "cancelled",       [KIND_UNREACHABLE] = "unreachable", [KIND_INTERRUPTED] = "interrupted",
  [KIND_PROTOCOL] = "protocol",         [KIND_RATE_LIMITED] = "rate_limited", [KIND_TOO_LARGE] = "too_large",
  [KIND_VERSION] = "version",           [KIND_ENGINE] = "engine",           [KIND_STREAM] = "stream",
};

const char *lx_kind_name(enum lx_kind kind) {
  return kind_names[kind];
}

/* ---- errors ---- */

static int error_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushliteral(L, "message");
  if (lua_rawget(L, 1) != LUA_TSTRING) lua_pushliteral(L, "unknown error");
  return 1;
}

void lx_open_errors(lua_State *L) {
  if (luaL_newmetatable(L, LX_ERROR_T)) {
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
  }
  lua_pop(L, 1);
}

void lx_pusherror(lua_State *L, enum lx_kind kind, const struct lx_about *about) {
  lua_createtable(L, 0, 6); /* message, error */
  lua_insert(L, -2);        /* error, message */
  if (about && about->op) {
    if (about->subject && *about->subject) lua_pushfstring(L, "%s %s: ", about->op, about->subject);
    else lua_pushfstring(L, "%s: ", about->op);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_pushstring(L, about->op);
    lua_setfield(L, -3, "op");
  }
  lua_setfield(L, -2, "message");
  lua_pushstring(L, kind_names[kind]);
  lua_setfield(L, -2, "kind");
  if (about && about->subject && *about->subject) {
    lua_pushstring(L, about->subject);
    lua_setfield(L, -2, "subject");
  }
  if (about && about->status) {
    lua_pushinteger(L, about->status);
    lua_setfield(L, -2, "status");
  }
  luaL_setmetatable(L, LX_ERROR_T);
}

int lx_fail(lua_State *L, enum lx_kind kind, const struct lx_about *about, const char *format, ...) {
  va_list args;
  lua_pushnil(L);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lx_pusherror(L, kind, about);
  return 2;
}

/* The Lua half of the client is as little the caller as the C half is. */
static int is_ours(const lua_Debug *frame) {
  return strstr(frame->source, "docker_watcher/docker.lua") || strstr(frame->source, "docker_watcher/docker/");
}

/* Pushes the place of whoever called us: "shop.lua:7: ". */
static void push_where(lua_State *L) {
  lua_Debug frame;
  int level = 1; /* 0 is the C function that runs now */
  while (lua_getstack(L, level, &frame) && lua_getinfo(L, "S", &frame) && is_ours(&frame)) level++;
  luaL_where(L, level);
}

int lx_misuse(lua_State *L, const char *format, ...) {
  va_list args;
  push_where(L);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  lua_error(L);
  abort(); /* lua_error does not return */
}

/* ---- near misses ---- */

/* Optimal string alignment distance, with `enough` as its highest answer. */
static int distance(const char *a, const char *b, int enough) {
  int rows[3][NEAR_MISS_LENGTH + 1];
  int m = (int)strlen(a), n = (int)strlen(b), i, j;
  int *before = rows[0], *above = rows[1], *row = rows[2], *free_row;
  if (m > NEAR_MISS_LENGTH || n > NEAR_MISS_LENGTH || m - n > enough || n - m > enough) return enough;
  for (j = 0; j <= n; j++) before[j] = above[j] = j;
  for (i = 1; i <= m; i++) {
    row[0] = i;
    for (j = 1; j <= n; j++) {
      int best = above[j - 1] + (a[i - 1] != b[j - 1]);
      if (above[j] + 1 < best) best = above[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) {
        best = before[j - 2] + 1;
      }
      row[j] = best;
    }
    free_row = before;
    before = above;
    above = row;
    row = free_row;
  }
  return above[n] < enough ? above[n] : enough;
}

const char *lx_nearest(const char *key, const char *const *names, size_t count) {
  const char *nearest = NULL;
  int best = strlen(key) > 4 ? 3 : 2; /* so many slips and it is another word */
  size_t i;
  for (i = 0; i < count; i++) {
    int d = distance(key, names[i], best);
    if (d < best) {
      best = d;
      nearest = names[i];
    }
  }
  return nearest;
}

/* ---- options ---- */

static const char *type_text(enum lx_type type) {
  switch (type) {
    case LX_BOOLEAN: return "boolean";
    case LX_STRING:
    case LX_BYTES: return "string";
    case LX_INTEGER: return "integer";
    case LX_NUMBER: return "number";
    case LX_TABLE: return "table";
    case LX_FUNCTION: return "function";
    case LX_SECONDS: return "seconds (a number >= 0)";
    case LX_STRING_OR_TABLE: return "string or table";
    case LX_STRING_OR_FUNCTION: return "string or function";
    case LX_NUMBER_OR_STRING: return "number or string";
    case LX_CONTEXT: return "context (made by docker.context)";
    case LX_ANY: break;
  }
  return "value";
}

static int is_number(lua_State *L, int idx) {
  return lua_type(L, idx) == LUA_TNUMBER && isfinite(lua_tonumber(L, idx));
}

/* Also a float without a fraction that an integer can hold. */
static int is_integer(lua_State *L, int idx) {
  int exact = 0;
  if (lua_type(L, idx) == LUA_TNUMBER) (void)lua_tointegerx(L, idx, &exact);
  return exact;
}

/* The value at the top: is it of the type? */
static int has_type(lua_State *L, enum lx_type type) {
  int t = lua_type(L, -1);
  switch (type) {
    case LX_BOOLEAN: return t == LUA_TBOOLEAN;
    case LX_STRING:
    case LX_BYTES: return t == LUA_TSTRING;
    case LX_INTEGER: return is_integer(L, -1);
    case LX_NUMBER: return is_number(L, -1);
    case LX_TABLE: return t == LUA_TTABLE;
    case LX_FUNCTION: return t == LUA_TFUNCTION;
    case LX_SECONDS: return is_number(L, -1) && lua_tonumber(L, -1) >= 0;
    case LX_STRING_OR_TABLE: return t == LUA_TSTRING || t == LUA_TTABLE;
    case LX_STRING_OR_FUNCTION: return t == LUA_TSTRING || t == LUA_TFUNCTION;
    case LX_NUMBER_OR_STRING: return is_number(L, -1) || t == LUA_TSTRING;
    case LX_CONTEXT: return luaL_testudata(L, -1, "docker_watcher.context") != NULL;
    case LX_ANY: break;
  }
  return 1;
}

static int unknown_option(lua_State *L, const char *op, const char *key, const struct lx_option *known) {
  const char *names[64];
  const char *nearest;
  size_t n = 0;
  for (; known->name && n < sizeof names / sizeof *names; known++) names[n++] = known->name;
  nearest = lx_nearest(key, names, n);
  if (nearest) return lx_misuse(L, "%s: unknown option '%s' (did you mean '%s'?)", op, key, nearest);
  return lx_misuse(L, "%s: unknown option '%s'", op, key);
}

void lx_checkoptions(lua_State *L, int arg, const char *op, const struct lx_option *known) {
  if (lua_isnoneornil(L, arg)) return;
  if (!lua_istable(L, arg)) {
    lx_misuse(L, "%s: options table expected as argument %d, got %s", op, arg - 1, luaL_typename(L, arg));
  }
  lua_pushnil(L);
  while (lua_next(L, arg)) {
    const struct lx_option *o = known;
    const char *key;
    if (lua_type(L, -2) != LUA_TSTRING) {
      lx_misuse(L, "%s: option names are strings, got a key of type %s", op, luaL_typename(L, -2));
    }
    key = lua_tostring(L, -2);
    while (o->name && strcmp(o->name, key) != 0) o++;
    if (!o->name) unknown_option(L, op, key, known);
    if (!has_type(L, o->type)) {
      if (lua_type(L, -1) == LUA_TNUMBER) {
        lx_misuse(L, "%s: option '%s': %s expected, got %f", op, key, type_text(o->type), lua_tonumber(L, -1));
      }
      lx_misuse(L, "%s: option '%s': %s expected, got %s", op, key, type_text(o->type), luaL_typename(L, -1));
    }
    if (lua_type(L, -1) == LUA_TSTRING && o->type != LX_BYTES) {
      size_t length;
      const char *text = lua_tolstring(L, -1, &length);
      if (memchr(text, '\0', length)) lx_misuse(L, "%s: option '%s': holds a NUL byte", op, key);
    }
    lua_pop(L, 1);
  }
}

int lx_option(lua_State *L, int arg, const char *name) {
  if (arg == 0 || !lua_istable(L, arg)) {
    lua_pushnil(L);
    return LUA_TNIL;
  }
  arg = lua_absindex(L, arg);
  lua_pushstring(L, name);
  return lua_rawget(L, arg);
}

const char *lx_option_string(lua_State *L, int arg, const char *name, size_t *length) {
  const char *text = NULL;
  if (lx_option(L, arg, name) == LUA_TSTRING) text = lua_tolstring(L, -1, length);
  else if (length) *length = 0;
  lua_pop(L, 1); /* the table still holds it */
  return text;
}

int lx_option_boolean(lua_State *L, int arg, const char *name, int fallback) {
  int value = lx_option(L, arg, name) == LUA_TNIL ? fallback : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

lua_Number lx_option_number(lua_State *L, int arg, const char *name, lua_Number fallback) {
  lua_Number value = lx_option(L, arg, name) == LUA_TNIL ? fallback : lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

lua_Integer lx_option_integer(lua_State *L, int arg, const char *name, lua_Integer fallback) {
  lua_Integer value = fallback;
  if (lx_option(L, arg, name) != LUA_TNIL) {
    int exact;
    value = lua_tointegerx(L, -1, &exact);
    if (!exact) value = fallback;
  }
  lua_pop(L, 1);
  return value;
}

/* ---- foreign text ---- */

/* Length of the valid UTF-8 character at s, or 0. */
static size_t utf8_length(const unsigned char *s, size_t left) {
  size_t need, i;
  if (s[0] < 0x80) return 1;
  if (s[0] >= 0xC2 && s[0] <= 0xDF) need = 2;
  else if (s[0] >= 0xE0 && s[0] <= 0xEF) need = 3;
  else if (s[0] >= 0xF0 && s[0] <= 0xF4) need = 4;
  else return 0;
  if (left < need) return 0;
  for (i = 1; i < need; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
  }
  if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
      (s[0] == 0xF4 && s[1] > 0x8F)) {
    return 0;
  }
  return need;
}

void lx_pushexcerpt(lua_State *L, const char *bytes, size_t count) {
  const unsigned char *s = (const unsigned char *)bytes;
  size_t i = 0, used = 0;
  luaL_Buffer b;
  while (count && (s[0] <= ' ')) s++, count--;
  while (count && (s[count - 1] <= ' ')) count--;
  luaL_buffinit(L, &b);
  while (i < count && used < LIMIT_ERROR_TEXT) {
    size_t n = utf8_length(s + i, count - i);
    if (n == 0 || s[i] < ' ' || s[i] == 0x7f) {
      char escape[5];
      if (used + 4 > LIMIT_ERROR_TEXT) break;
      snprintf(escape, sizeof escape, "\\x%02X", s[i]);
      luaL_addlstring(&b, escape, 4);
      used += 4;
      i++;
    } else {
      if (used + n > LIMIT_ERROR_TEXT) break;
      luaL_addlstring(&b, (const char *)s + i, n);
      used += n;
      i += n;
    }
  }
  if (i < count) luaL_addstring(&b, "…");
  luaL_pushresult(&b);
}
