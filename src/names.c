/* names.c: docker.container_name and docker.parse_reference: what ref.c knows, for Lua. Both are pure; no client is
** needed.
**
** A name is made from the caller's own words, so bad ones are misuse. A reference mostly comes from outside (a
** registry, a configuration), so one that distribution/reference refuses is an answer: nil, err of kind "invalid". */

#include "names.h"

#include <lauxlib.h>

#include "limits.h"
#include "lx.h"
#include "ref.h"

/* A string argument; `what` names it in the message. */
static const char *check_string(lua_State *L, int arg, const char *op, const char *what, size_t *length) {
  if (lua_type(L, arg) != LUA_TSTRING) lx_misuse(L, "%s: %s: string expected, got %s", op, what, luaL_typename(L, arg));
  return lua_tolstring(L, arg, length);
}

static const char *check_label_name(lua_State *L, int arg, const char *what, size_t *length) {
  const char *text = check_string(L, arg, "container_name", what, length);
  if (!ref_is_label_name(text, *length)) {
    lx_pushexcerpt(L, text, *length);
    lx_misuse(L, "container_name: %s '%s': lower-case letters, digits, '_' and '-' expected, the first a letter or "
              "digit", what, lua_tostring(L, -1));
  }
  return text;
}

/* docker.container_name(project, stage, tag) -> "dw-{project}-{stage}-{tag-sanitized}" */
int fn_container_name(lua_State *L) {
  char bytes[LIMIT_CONTAINER_NAME];
  struct buf b = {bytes, 0, sizeof bytes, sizeof bytes}; /* as large as its cap: it never allocates */
  size_t project_length, stage_length, tag_length;
  const char *project = check_label_name(L, 1, "project", &project_length);
  const char *stage = check_label_name(L, 2, "stage", &stage_length);
  const char *tag = check_string(L, 3, "container_name", "tag", &tag_length);
  if (tag_length == 0) return lx_misuse(L, "container_name: tag: it is empty");
  if (ref_container_name(&b, project, project_length, stage, stage_length, tag, tag_length) != BUF_OK) {
    return lx_misuse(L, "container_name: project and stage are too long for a name of %d bytes (LIMIT_CONTAINER_NAME)",
                     LIMIT_CONTAINER_NAME);
  }
  lua_pushlstring(L, b.data, b.length);
  return 1;
}

static void set_part(lua_State *L, const char *field, struct ref_part part) {
  if (!part.text) return;
  lua_pushlstring(L, part.text, part.length);
  lua_setfield(L, -2, field);
}

/* Sets t[field] for the table at the top to what `put` writes about r. */
static void set_printed(lua_State *L, const char *field, int (*put)(struct buf *, const struct ref *),
                        const struct ref *r) {
  luaL_Buffer buffer;
  size_t room = sizeof "library/" + r->domain.length + r->path.length + r->tag.length + r->digest.length + 4;
  struct buf b = {NULL, 0, room, room}; /* never needs more, so it never allocates */
  b.data = luaL_buffinitsize(L, &buffer, room);
  put(&b, r);
  luaL_pushresultsize(&buffer, b.length);
  lua_setfield(L, -2, field);
}

/* docker.parse_reference(s) -> { domain=, path=, familiar=, tag=, digest= } | nil, err */
int fn_parse_reference(lua_State *L) {
  size_t length;
  const char *reason, *text = check_string(L, 1, "parse_reference", "reference", &length);
  struct ref r;
  if (ref_parse(&r, text, length, &reason) != 0) {
    struct lx_about about = {"parse_reference", NULL, 0};
    lx_pushexcerpt(L, text, length);
    about.subject = lua_tostring(L, -1);
    if (!*about.subject) about.subject = "\"\"";
    return lx_fail(L, KIND_INVALID, &about, "%s", reason);
  }
  lua_createtable(L, 0, 5);
  set_part(L, "domain", r.domain);
  set_printed(L, "path", ref_put_path, &r);
  set_printed(L, "familiar", ref_put_familiar, &r);
  set_part(L, "tag", r.tag);
  set_part(L, "digest", r.digest);
  return 1;
}
