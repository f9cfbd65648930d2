/* lx.h: what our C files ask of Lua over and over: options tables that are checked against a list, ids, error
** tables, fields.
**
** Misuse raises at the caller's line (lx_misuse and the lx_check… functions). The world failing returns
** nil, err: lx_fail pushes both and answers 2. Everything here may raise for want of memory, so call it with
** nothing unowned. */

#ifndef DW_LX_H
#define DW_LX_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

#define LX_ERROR_T "docker_watcher.error" /* metatable of error tables; __name and __tostring */

/* The kinds of errors that are returned; the list is the contract's (design.md, section 2). */
enum lx_kind {
  KIND_NOT_FOUND, KIND_CONFLICT, KIND_UNAUTHORIZED, KIND_FORBIDDEN, KIND_INVALID, KIND_TIMEOUT, KIND_CANCELLED,
  KIND_UNREACHABLE, KIND_INTERRUPTED, KIND_PROTOCOL, KIND_RATE_LIMITED, KIND_TOO_LARGE, KIND_VERSION, KIND_ENGINE,
  KIND_STREAM, KIND_COUNT
};
const char *lx_kind_name(enum lx_kind kind);

/* What an error is about; any field may be NULL or 0. */
struct lx_about {
  const char *op;      /* "create_container" */
  const char *subject; /* the container, image or network as the caller named it */
  int status;          /* HTTP status */
};

void lx_open_errors(lua_State *L); /* creates the error metatable once */
/* Pushes nil and an error table; answers 2. format is lua_pushfstring's (%s %d %I %f %%). */
int lx_fail(lua_State *L, enum lx_kind kind, const struct lx_about *about, const char *format, ...);
/* Pushes an error table with the message at the stack's top (which it pops). */
void lx_pusherror(lua_State *L, enum lx_kind kind, const struct lx_about *about);

/* Raises "bad argument…"-like text at the caller's line. */
/* Never returns; the type is for `return lx_misuse(…)`. */
int lx_misuse(lua_State *L, const char *format, ...) __attribute__((noreturn));

/* Options. */
enum lx_type {
  LX_BOOLEAN, LX_STRING, LX_INTEGER, LX_NUMBER, LX_TABLE, LX_FUNCTION, LX_SECONDS /* number ≥ 0, finite */,
  LX_STRING_OR_TABLE, LX_STRING_OR_FUNCTION, LX_NUMBER_OR_STRING, LX_CONTEXT /* docker.context's */,
  LX_BYTES /* a string that may hold NULs */, LX_ANY
};
struct lx_option {
  const char *name; /* NULL ends a list */
  enum lx_type type;
};
/* The two options that every operation takes; put it at the end of each list. */
#define LX_COMMON_OPTIONS {"timeout", LX_SECONDS}, {"ctx", LX_CONTEXT}, {NULL, LX_ANY}

/* Checks the options table at arg (nil and none are an empty one): every key is in `known`, every value of its type;
** else raises "create_container: unknown option 'prots' (did you mean 'ports'?)" or "stop_container: option
** 'stop_timeout': seconds (a number ≥ 0) expected, got string". Strings must hold no NUL. */
void lx_checkoptions(lua_State *L, int arg, const char *op, const struct lx_option *known);
/* The name in the list nearest to key, if near enough to be a slip; else NULL. */
const char *lx_nearest(const char *key, const char *const *names, size_t count);

/* Pushes t[name] (a raw get); answers its type. Pushes nil when the table at arg is nil or none. */
int lx_option(lua_State *L, int arg, const char *name);
/* Readers of a checked table. The string stays valid while the table holds it. */
const char *lx_option_string(lua_State *L, int arg, const char *name, size_t *length); /* or NULL */
int lx_option_boolean(lua_State *L, int arg, const char *name, int fallback);
lua_Number lx_option_number(lua_State *L, int arg, const char *name, lua_Number fallback);
lua_Integer lx_option_integer(lua_State *L, int arg, const char *name, lua_Integer fallback);

/* The id or name of a container, network, …: a string, or a table with a string field `id`. Raises where it is empty,
** too long, or holds '/', NUL, a control character or a blank, or is "." or "..". `what` names the argument. */
const char *lx_checkid(lua_State *L, int arg, const char *op, const char *what, size_t *length);
/* An image's reference or id: parsed by ref_parse; raises with its reason. A table with field `id` will do. */
const char *lx_checkimage(lua_State *L, int arg, const char *op, size_t *length);

/* Pushes foreign bytes as text fit for a message: at most LIMIT_ERROR_TEXT bytes, trimmed; control bytes and
** invalid UTF-8 as \xNN; "…" where it was cut. */
void lx_pushexcerpt(lua_State *L, const char *bytes, size_t count);

#endif
