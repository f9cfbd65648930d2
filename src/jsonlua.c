/* jsonlua.c: see jsonlua.h for the contract.
**
** Decoding walks the tape once and makes tables of the right size. In a large document the same names and short words
** come back thousands of times; instead of having Lua hash and look up each of them, the decoder keeps the last ones at
** hand in stack slots of its own, found by a cheap hash of their first bytes. Everything it holds is on the Lua stack
** or the C stack, so a raised memory error leaves nothing behind.
**
** Records: a document is one userdata, header and text, without a finaliser; its nodes would be half as much memory
** again, so a row's text is parsed once more when its `raw` is asked for. Where in the text a row is, is kept by the
** row's address: the first row's in the userdata itself, those of more in a table that is made for the second. An
** address is only looked up for a table that has the document's metatable, and a new row at an old address overwrites
** the entry, so rows that are gone need no cleaning up. */

#include "jsonlua.h"

#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "limits.h"
#include "ops.h"

#define ARRAY_T "docker_watcher.array"   /* marks a table as an array */
#define RECORD_T "docker_watcher.record" /* __name of records */

#define KEPT 256          /* strings kept at hand; a power of two */
#define KEPT_LONGEST 40   /* longer ones are mostly unique, and Lua does not hash them */
#define KEPT_WORTH 1024   /* nodes from which keeping pays */
#define LEVEL_SLOTS 4     /* stack slots of one level of nesting */
#define QUOTED 64         /* bytes of a field's name that a message quotes */

/* ---- decoding ---- */

struct decoder {
  lua_State *L;
  const struct json_doc *doc;
  int array_meta; /* stack index of the array metatable; nil is there until it is needed */
  int kept_base;  /* stack index of the first kept string; 0: nothing is kept */
  struct { const char *text; size_t length; } kept[KEPT];
};

static void push_unescaped(lua_State *L, const struct json_doc *doc, uint32_t node) {
  luaL_Buffer buffer;
  size_t length = doc->nodes[node].count;
  struct buf borrowed = {NULL, 0, length, length}; /* json_string needs no more than that, so it never allocates */
  borrowed.data = luaL_buffinitsize(L, &buffer, length);
  json_string(doc, node, &borrowed, &length);
  luaL_pushresultsize(&buffer, length);
}

/* Eight bytes at most, from the front and the back; equal strings have equal hashes, that is all. */
static unsigned hash_of(const char *text, size_t length) {
  uint32_t front = 0, back = 0;
  if (length >= 4) {
    memcpy(&front, text, 4);
    memcpy(&back, text + length - 4, 4);
  } else if (length > 0) {
    front = (uint32_t)(unsigned char)text[0] << 8 | (unsigned char)text[length - 1];
  }
  front = (front ^ (back << 7 | back >> 25) ^ (uint32_t)length) * 0x9E3779B1u;
  return front >> 24; /* 8 bits: KEPT */
}

static inline void push_string(struct decoder *d, uint32_t node) {
  const struct json_node *n = &d->doc->nodes[node];
  const char *text = d->doc->text + n->offset;
  size_t length = n->count;
  if (n->escaped) {
    push_unescaped(d->L, d->doc, node);
  } else if (d->kept_base && length <= KEPT_LONGEST) {
    unsigned slot = hash_of(text, length);
    if (d->kept[slot].length == length && memcmp(d->kept[slot].text, text, length) == 0) {
      lua_pushvalue(d->L, d->kept_base + (int)slot);
      return;
    }
    lua_pushlstring(d->L, text, length);
    lua_copy(d->L, -1, d->kept_base + (int)slot);
    d->kept[slot].text = text;
    d->kept[slot].length = length;
  } else {
    lua_pushlstring(d->L, text, length);
  }
}

/* The collector stays as the user has it. Stopping it here would save little, and Lua has no call that gives it back
** the debt it had, so each large reply would cost a whole cycle over all of the program's data.
**
** Pushes the value of node; answers the node behind it. Recursion is bounded by the parser's LIMIT_JSON_DEPTH. */
static uint32_t push_value(struct decoder *d, uint32_t node) {
  lua_State *L = d->L;
  const struct json_node *n = &d->doc->nodes[node];
  uint32_t next = node + 1, i;
  switch (n->type) {
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer(d->doc, node, 0)); break;
    case JSON_NUMBER: lua_pushnumber(L, json_double(d->doc, node)); break;
    case JSON_STRING: push_string(d, node); break;
    case JSON_ARRAY:
      lua_createtable(L, (int)n->count, 0);
      for (i = 1; i <= n->count; i++) {
        next = push_value(d, next);
        lua_rawseti(L, -2, i);
      }
      if (n->count == 0) {
        if (!lua_toboolean(L, d->array_meta)) {
          jsonlua_pusharray(L);
          lua_replace(L, d->array_meta);
        }
        lua_pushvalue(L, d->array_meta);
        lua_setmetatable(L, -2);
      }
      break;
    case JSON_OBJECT:
      lua_createtable(L, 0, (int)n->count);
      for (i = 0; i < n->count; i++) {
        push_string(d, next++);
        if (d->doc->nodes[next].type == JSON_NULL) {
          lua_pushnil(L); /* takes away an earlier member of that name */
          next++;
        } else {
          next = push_value(d, next);
        }
        lua_rawset(L, -3);
      }
      break;
    default: jsonlua_pushnull(L); break;
  }
  return next;
}

void jsonlua_push(lua_State *L, const struct json_doc *doc, uint32_t node) {
  struct decoder d;
  int top = lua_gettop(L), slots, levels, i;
  uint32_t span;
  if (node >= doc->used) {
    lua_pushnil(L);
    return;
  }
  span = doc->nodes[node].next - node;
  levels = span < LIMIT_JSON_DEPTH ? (int)span : LIMIT_JSON_DEPTH;
  slots = span >= KEPT_WORTH ? KEPT : 0;
  luaL_checkstack(L, slots + levels * LEVEL_SLOTS + LUA_MINSTACK, "JSON document");
  d.L = L;
  d.doc = doc;
  d.array_meta = top + 1;
  d.kept_base = slots ? top + 2 : 0;
  lua_settop(L, top + 1 + slots);
  for (i = 0; i < slots; i++) d.kept[i].length = SIZE_MAX; /* as long as no string */
  push_value(&d, node);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void jsonlua_pushstring(lua_State *L, const struct json_doc *doc, uint32_t node) {
  const struct json_node *n;
  if (!json_is(doc, node, JSON_STRING) || doc->nodes[node].count == 0) {
    lua_pushnil(L);
    return;
  }
  n = &doc->nodes[node];
  if (n->escaped) push_unescaped(L, doc, node);
  else lua_pushlstring(L, doc->text + n->offset, n->count);
}

/* lua-cjson's null is the same value, so what came from there can be sent as well. */
void jsonlua_pushnull(lua_State *L) {
  lua_pushlightuserdata(L, NULL);
}

void jsonlua_pusharray(lua_State *L) {
  luaL_newmetatable(L, ARRAY_T);
}

/* ---- encoding ---- */

/* A step of the path to the value at hand: a field's name (it stays on the Lua stack), or an item's position. */
struct step {
  const char *name; /* NULL: an item */
  size_t length;
  lua_Integer index;
};

struct encoder {
  lua_State *L;
  struct buf *out;
  int array_meta;                     /* stack index of the array metatable */
  int depth;                          /* tables that are open */
  struct step path[LIMIT_JSON_DEPTH]; /* path[depth - 1] is where we are in the innermost */
  const void *open[LIMIT_JSON_DEPTH]; /* the tables themselves, to find cycles */
};

/* Pushes the message, with the path in front; answers -1. A name is quoted as far as it is plain. */
static int refuse(struct encoder *e, const char *format, ...) {
  luaL_Buffer b;
  va_list args;
  int i;
  size_t k;
  lua_State *L = e->L;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  luaL_buffinit(L, &b);
  for (i = 0; i < e->depth; i++) {
    const struct step *s = &e->path[i];
    if (!s->name) {
      char number[32];
      if (s->index == 0) continue; /* the table as such */
      snprintf(number, sizeof number, "[%lld]", (long long)s->index);
      luaL_addstring(&b, number);
      continue;
    }
    if (i > 0) luaL_addchar(&b, '.');
    for (k = 0; k < s->length && k < QUOTED; k++)
      luaL_addchar(&b, s->name[k] >= 0x20 && s->name[k] < 0x7F ? s->name[k] : '?');
    if (s->length > QUOTED) luaL_addstring(&b, "...");
  }
  if (luaL_bufflen(&b) > 0) luaL_addstring(&b, ": ");
  luaL_pushresult(&b);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return -1;
}

/* 0, or -1 with a message for a status of buf.h or json_put_string. */
static int put(struct encoder *e, int status) {
  switch (status) {
    case BUF_OK: return 0;
    case JSON_BAD_UTF8: return refuse(e, "string is not valid UTF-8");
    case BUF_FULL: return refuse(e, "the JSON text would be longer than %I bytes", (lua_Integer)e->out->cap);
    default: return refuse(e, "out of memory");
  }
}

static int encode_value(struct encoder *e, const char *name, size_t length);

/* The table at the top is an array of n items: has it those and nothing else? */
static int check_items(struct encoder *e, lua_Integer n) {
  lua_State *L = e->L;
  struct step *here = &e->path[e->depth - 1];
  lua_Integer found = 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_Integer index;
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      here->name = lua_tolstring(L, -1, &here->length);
      return refuse(e, "named field in an array");
    }
    if (!lua_isinteger(L, -1)) return refuse(e, "key of type %s in an array", luaL_typename(L, -1));
    index = lua_tointeger(L, -1);
    if (index < 1 || index > n) return refuse(e, "array with a hole (item %I, but not all before it)", index);
    found++;
  }
  return found == n ? 0 : refuse(e, "array with a hole (%I of %I items)", found, n);
}

static int encode_array(struct encoder *e, lua_Integer n) {
  lua_Integer i;
  struct step *here = &e->path[e->depth - 1];
  if (check_items(e, n) != 0 || put(e, buf_putc(e->out, '[')) != 0) return -1;
  for (i = 1; i <= n; i++) {
    here->index = i;
    if (i > 1 && put(e, buf_putc(e->out, ',')) != 0) return -1;
    lua_rawgeti(e->L, -1, i);
    if (encode_value(e, NULL, 0) != 0) return -1;
    lua_pop(e->L, 1);
  }
  return put(e, buf_putc(e->out, ']'));
}

static int encode_object(struct encoder *e) {
  lua_State *L = e->L;
  struct step *here = &e->path[e->depth - 1];
  char before = '{';
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    size_t length;
    const char *name;
    if (lua_type(L, -2) != LUA_TSTRING) {
      here->name = NULL; /* it is about the object, not about the field before */
      return refuse(e, "key of type %s in an object", luaL_typename(L, -2));
    }
    name = lua_tolstring(L, -2, &length);
    here->name = name;
    here->length = length;
    if (put(e, buf_putc(e->out, before)) != 0 || put(e, json_put_string(e->out, name, length)) != 0 ||
        put(e, buf_putc(e->out, ':')) != 0 || encode_value(e, name, length) != 0)
      return -1;
    before = ',';
    lua_pop(L, 1);
  }
  if (before == '{' && put(e, buf_putc(e->out, '{')) != 0) return -1;
  return put(e, buf_putc(e->out, '}'));
}

/* Is the table at the top marked as an array? */
static int is_marked(struct encoder *e) {
  int marked;
  if (!lua_getmetatable(e->L, -1)) return 0;
  marked = lua_rawequal(e->L, -1, e->array_meta);
  lua_pop(e->L, 1);
  return marked;
}

/* The table at the top; name is that of its field, or NULL. */
static int encode_table(struct encoder *e, const char *name, size_t length) {
  lua_State *L = e->L;
  const void *self = lua_topointer(L, -1);
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  int i, array, status;
  for (i = 0; i < e->depth; i++)
    if (e->open[i] == self) return refuse(e, "table contains itself");
  if (e->depth == LIMIT_JSON_DEPTH) return refuse(e, "nested too deeply (LIMIT_JSON_DEPTH)");
  e->open[e->depth] = self;
  memset(&e->path[e->depth], 0, sizeof e->path[0]);
  e->depth++;
  array = n > 0 || is_marked(e);
  if (!array && name && ops_is_array_field(name, length)) {
    lua_pushnil(L);
    array = !lua_next(L, -2);
    if (!array) lua_pop(L, 2);
  }
  status = array ? encode_array(e, n) : encode_object(e);
  if (status == 0) e->depth--;
  return status;
}

/* The value at the top stays there; a message is pushed above it. */
static int encode_value(struct encoder *e, const char *name, size_t length) {
  lua_State *L = e->L;
  size_t count;
  const char *bytes;
  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN: return put(e, buf_puts(e->out, lua_toboolean(L, -1) ? "true" : "false"));
    case LUA_TSTRING:
      bytes = lua_tolstring(L, -1, &count);
      return put(e, json_put_string(e->out, bytes, count));
    case LUA_TNUMBER:
      if (lua_isinteger(L, -1)) return put(e, json_put_integer(e->out, lua_tointeger(L, -1)));
      if (isfinite(lua_tonumber(L, -1))) return put(e, json_put_double(e->out, lua_tonumber(L, -1)));
      return refuse(e, "%s cannot be sent as JSON", isnan(lua_tonumber(L, -1)) ? "NaN" : "an infinite number");
    case LUA_TLIGHTUSERDATA:
      if (!lua_touserdata(L, -1)) return put(e, buf_puts(e->out, "null"));
      break;
    case LUA_TTABLE:
      luaL_checkstack(L, LEVEL_SLOTS + LUA_MINSTACK, "JSON document");
      return encode_table(e, name, length);
    default: break;
  }
  return refuse(e, "%s cannot be sent as JSON", luaL_typename(L, -1));
}

int jsonlua_encode(lua_State *L, int idx, struct buf *out) {
  struct encoder e;
  int status, top = lua_gettop(L);
  idx = lua_absindex(L, idx);
  e.L = L;
  e.out = out;
  e.depth = 0;
  luaL_checkstack(L, LUA_MINSTACK, "JSON document");
  jsonlua_pusharray(L);
  e.array_meta = top + 1;
  lua_pushvalue(L, idx);
  status = encode_value(&e, NULL, 0);
  if (status != 0) lua_replace(L, e.array_meta); /* the message */
  lua_settop(L, status == 0 ? top : top + 1);
  return status;
}

/* ---- records ---- */

#define TAPE_T "docker_watcher.tape"

/* Where a row's text lies in the document's. */
struct span {
  uint32_t start, end;
};

/* One block: this and the text. Its one user value is the table row's address → span, from the second row on. */
struct document {
  size_t length;
  uint32_t items;   /* rows to expect */
  const void *row;  /* the first row, NULL: none so far */
  struct span span; /* …and its place */
  char text[];
};

/* A scratch json_doc that the collector frees should an error be raised meanwhile. */
static int tape_gc(lua_State *L) {
  json_free(luaL_checkudata(L, 1, TAPE_T));
  return 0;
}

static struct json_doc *push_tape(lua_State *L) {
  struct json_doc *tape = lua_newuserdatauv(L, sizeof *tape, 0);
  memset(tape, 0, sizeof *tape);
  if (luaL_newmetatable(L, TAPE_T)) {
    lua_pushcfunction(L, tape_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return tape;
}

/* Pushes the value whose text is there; it was parsed before, so only memory can be wanting. */
static void push_span(lua_State *L, const struct document *d, struct span at) {
  struct json_fault fault;
  struct json_doc *tape = push_tape(L);
  if (json_parse(tape, d->text + at.start, at.end - at.start, &fault) != 0) luaL_error(L, "raw: %s", fault.reason);
  jsonlua_push(L, tape, 0);
  json_free(tape);
  lua_remove(L, -2);
}

static lua_Integer pack_span(struct span at) {
  return (lua_Integer)((uint64_t)at.start << 32 | at.end);
}

static struct span unpack_span(lua_Integer packed) {
  struct span at = {(uint32_t)((uint64_t)packed >> 32), (uint32_t)(uint64_t)packed};
  return at;
}

/* Pushes row's field `raw`, which is made here at the first time. The document is the first upvalue. */
static void push_raw(lua_State *L, int row) {
  const struct document *d = lua_touserdata(L, lua_upvalueindex(1));
  const void *self = lua_topointer(L, row);
  struct span at = {0, 0};
  lua_pushliteral(L, "raw");
  if (lua_rawget(L, row) != LUA_TNIL) return;
  lua_pop(L, 1);
  if (self == d->row) {
    at = d->span;
  } else {
    if (lua_getiuservalue(L, lua_upvalueindex(1), 1) == LUA_TTABLE) {
      if (lua_rawgetp(L, -1, self) == LUA_TNUMBER) at = unpack_span(lua_tointeger(L, -1));
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  if (at.end == 0) {
    lua_pushnil(L); /* a table that only borrowed the metatable */
    return;
  }
  push_span(L, d, at);
  lua_pushliteral(L, "raw");
  lua_pushvalue(L, -2);
  lua_rawset(L, row);
}

static int record_index(lua_State *L) {
  size_t length;
  const char *name;
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  name = lua_tolstring(L, 2, &length);
  if (length != 3 || memcmp(name, "raw", 3) != 0) return 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  push_raw(L, 1);
  return 1;
}

static int record_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

static int record_pairs(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  push_raw(L, 1);
  lua_pushcfunction(L, record_next);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

void record_document(lua_State *L, const struct json_doc *doc) {
  struct document *d;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_createtable(L, 0, 4); /* the metatable */
  d = lua_newuserdatauv(L, sizeof *d + doc->length, 1);
  memset(d, 0, sizeof *d);
  d->length = doc->length;
  d->items = json_is(doc, 0, JSON_ARRAY) ? doc->nodes[0].count : 1;
  memcpy(d->text, doc->text, doc->length);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, record_index, 1);
  lua_setfield(L, -3, "__index");
  lua_pushcclosure(L, record_pairs, 1);
  lua_setfield(L, -2, "__pairs");
  lua_pushliteral(L, RECORD_T);
  lua_setfield(L, -2, "__name");
}

/* Pushes the document of a metatable that record_document made. */
static struct document *push_document(lua_State *L, int meta) {
  lua_pushliteral(L, "__index");
  lua_rawget(L, meta);
  if (!lua_getupvalue(L, -1, 1)) luaL_error(L, "no document's metatable");
  lua_remove(L, -2);
  return lua_touserdata(L, -1);
}

/* Where a node's text begins: a string's offset is behind its quote. */
static uint32_t start_of(const struct json_doc *doc, uint32_t node) {
  return doc->nodes[node].offset - (doc->nodes[node].type == JSON_STRING);
}

static int is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The text of the document's value, or of one of its items: up to the next item's, or the bracket at the end, less
** what is between. */
static struct span find_span(const struct json_doc *doc, uint32_t node) {
  uint32_t next = doc->nodes[node].next;
  struct span at = {start_of(doc, node), (uint32_t)doc->length};
  if (node == 0) {
    at.start = 0;
    return at;
  }
  if (next < doc->used) at.end = start_of(doc, next);
  else while (doc->text[--at.end] != ']') continue;
  while (is_blank(doc->text[at.end - 1]) || doc->text[at.end - 1] == ',') at.end--;
  return at;
}

void record_attach(lua_State *L, int meta, const struct json_doc *doc, uint32_t node) {
  struct document *d;
  struct span at = find_span(doc, node);
  const void *row = lua_topointer(L, -1);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  meta = lua_absindex(L, meta);
  d = push_document(L, meta);
  if (!d->row || d->row == row) {
    d->row = row;
    d->span = at;
    lua_pop(L, 1);
  } else {
    if (lua_getiuservalue(L, -1, 1) != LUA_TTABLE) {
      lua_pop(L, 1);
      lua_createtable(L, 0, (int)d->items);
      lua_pushvalue(L, -1);
      lua_setiuservalue(L, -3, 1);
    }
    lua_pushinteger(L, pack_span(at));
    lua_rawsetp(L, -2, row);
    lua_pop(L, 2);
  }
  lua_pushvalue(L, meta);
  lua_setmetatable(L, -2);
}
