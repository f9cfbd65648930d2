/* lxcheck.c: the checks of lx.h that know what an id and a reference are. Apart from lx.c, so that a module that needs
** only that is not linked with libsodium, which ref.c wants. */

#include <string.h>

#include "limits.h"
#include "lx.h"
#include "ref.h"

/* The text of a string argument, or of the field `id` of a table. */
static const char *text_argument(lua_State *L, int arg, const char *op, const char *what, size_t *length) {
  const char *text;
  if (lua_type(L, arg) == LUA_TSTRING) return lua_tolstring(L, arg, length);
  if (lua_istable(L, arg)) {
    lua_pushliteral(L, "id");
    lua_rawget(L, arg);
    if (lua_type(L, -1) == LUA_TSTRING) {
      text = lua_tolstring(L, -1, length);
      lua_pop(L, 1); /* the table still holds it */
      return text;
    }
    lx_misuse(L, "%s: %s: the table given has no string field 'id'", op, what);
  }
  lx_misuse(L, "%s: %s: string expected, got %s", op, what, luaL_typename(L, arg));
  return NULL;
}

const char *lx_checkid(lua_State *L, int arg, const char *op, const char *what, size_t *length) {
  const char *text = text_argument(L, arg, op, what, length);
  size_t i;
  if (*length == 0) lx_misuse(L, "%s: %s: the id or name is empty", op, what);
  if (*length > LIMIT_ID) lx_misuse(L, "%s: %s: longer than %d bytes (LIMIT_ID)", op, what, LIMIT_ID);
  for (i = 0; i < *length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '/' || c == '?' || c == '#' || c == '%' || c <= ' ' || c == 0x7f) {
      if (c > ' ' && c < 0x7f) lx_misuse(L, "%s: %s: '%c' cannot be in an id or name", op, what, c);
      lx_misuse(L, "%s: %s: byte %d cannot be in an id or name", op, what, c);
    }
  }
  if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0) lx_misuse(L, "%s: %s: '%s' is no id or name", op, what, text);
  return text;
}

const char *lx_checkimage(lua_State *L, int arg, const char *op, size_t *length) {
  const char *text = text_argument(L, arg, op, "image", length), *reason;
  const char *hex = text;
  size_t digits = *length;
  struct ref r;
  if (*length > 7 && memcmp(text, "sha256:", 7) == 0) {
    hex += 7;
    digits -= 7;
  }
  if (ref_is_id(hex, digits)) return text;
  if (ref_parse(&r, text, *length, &reason) != 0) {
    lx_pushexcerpt(L, text, *length);
    lx_misuse(L, "%s: image '%s': %s", op, lua_tostring(L, -1), reason);
  }
  return text;
}
