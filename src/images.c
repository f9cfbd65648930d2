/* images.c: the client's methods about images that are in the Engine: inspect, list, tag, remove. (pull.c gets them
** there.)
**
** What they answer has one shape whatever API version is spoken: fields that one version leaves out, another sends
** as null and a third as an empty text are absent here, and lists and tables are there even where they are empty.
** "<none>:<none>", as the Engine before 1.43 calls a missing name, is no name. `raw` has what the Engine said. */

#include "images.h"

#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "jsonlua.h"
#include "shape.h"

/* ---- names ---- */

static void put(lua_State *L, int status) {
  if (status != BUF_OK) luaL_error(L, "not enough memory"); /* scratch is larger than any reference */
}

void image_repository(lua_State *L, struct call *k, const struct ref *r) {
  buf_clear(&k->scratch);
  put(L, ref_put_name(&k->scratch, r));
}

void image_name(lua_State *L, struct call *k, const struct ref *r) {
  const struct ref_part *version = r->digest.text ? &r->digest : &r->tag;
  image_repository(L, k, r);
  if (!version->text) return;
  put(L, buf_putc(&k->scratch, r->digest.text ? '@' : ':'));
  put(L, buf_append(&k->scratch, version->text, version->length));
}

/* The argument at index 2 goes into the path: an id as it is, a name with the digest before the tag. */
static void image_path(lua_State *L, struct call *k, const char *text, size_t length) {
  struct ref r;
  const char *reason;
  if (ref_parse(&r, text, length, &reason) == 0 && r.tag.text && r.digest.text) {
    image_name(L, k, &r);
    call_path(L, k, k->scratch.data, k->scratch.length);
  } else {
    call_path(L, k, text, length);
  }
}

/* ---- shapes ---- */

/* Sets `field` of the table at the top: the strings of an array but those that begin with "<none>". */
static void set_names(lua_State *L, const struct json_doc *doc, uint32_t list, const char *field) {
  static const char none[] = "<none>";
  uint32_t count = json_is(doc, list, JSON_ARRAY) ? doc->nodes[list].count : 0, item, i;
  lua_Integer n = 0;
  lua_createtable(L, (int)count, 0);
  for (i = 0, item = list + 1; i < count; i++, item = doc->nodes[item].next) {
    jsonlua_pushstring(L, doc, item);
    if (lua_isnil(L, -1) || strncmp(lua_tostring(L, -1), none, sizeof none - 1) == 0) lua_pop(L, 1);
    else lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -2, field);
}

struct port {
  int number;
  const char *protocol;
  size_t length;
};

/* "8080/tcp", "53/udp", "80" (tcp); 0 if it is no port. */
static int parse_port(struct port *p, const char *text, size_t length) {
  size_t i = 0;
  p->number = 0;
  while (i < length && i < 5 && text[i] >= '0' && text[i] <= '9') p->number = p->number * 10 + (text[i++] - '0');
  if (i == 0 || p->number < 1 || p->number > 65535) return 0;
  p->protocol = "tcp";
  p->length = 3;
  if (i == length) return 1;
  if (text[i] != '/' || i + 1 == length) return 0;
  p->protocol = text + i + 1;
  p->length = length - i - 1;
  return 1;
}

static int compare_ports(const void *a, const void *b) {
  const struct port *p = a, *q = b;
  size_t shorter = p->length < q->length ? p->length : q->length;
  int order;
  if (p->number != q->number) return p->number < q->number ? -1 : 1;
  order = memcmp(p->protocol, q->protocol, shorter);
  if (order == 0 && p->length != q->length) return p->length < q->length ? -1 : 1;
  return order;
}

/* Sets `ports`: { { port=, protocol= }, … } from an object with keys like "80/tcp"; sorted, each once. */
static void set_ports(lua_State *L, const struct json_doc *doc, uint32_t object) {
  uint32_t count = json_is(doc, object, JSON_OBJECT) ? doc->nodes[object].count : 0, name, i;
  struct port *ports = lua_newuserdatauv(L, count ? count * sizeof *ports : 1, 0);
  size_t used = 0, p;
  lua_Integer n = 0;
  lua_createtable(L, (int)count, 0); /* keeps the strings that ports point into */
  for (i = 0, name = object + 1; i < count; i++, name = doc->nodes[name + 1].next) {
    size_t length;
    const char *text;
    jsonlua_pushstring(L, doc, name);
    text = lua_tolstring(L, -1, &length);
    if (text && parse_port(&ports[used], text, length)) lua_rawseti(L, -2, (lua_Integer)++used);
    else lua_pop(L, 1);
  }
  qsort(ports, used, sizeof *ports, compare_ports);
  lua_createtable(L, (int)used, 0);
  for (p = 0; p < used; p++) {
    if (p > 0 && compare_ports(&ports[p - 1], &ports[p]) == 0) continue;
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, ports[p].number);
    lua_setfield(L, -2, "port");
    lua_pushlstring(L, ports[p].protocol, ports[p].length);
    lua_setfield(L, -2, "protocol");
    lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -4, "ports");
  lua_pop(L, 2);
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sets `volumes`: the names of an object's members, sorted. */
static void set_volumes(lua_State *L, const struct json_doc *doc, uint32_t object) {
  uint32_t count = json_is(doc, object, JSON_OBJECT) ? doc->nodes[object].count : 0, name, i;
  const char **texts = lua_newuserdatauv(L, count ? count * sizeof *texts : 1, 0);
  size_t used = 0, p;
  lua_createtable(L, (int)count, 0); /* first as they come: it keeps the strings while they are sorted */
  for (i = 0, name = object + 1; i < count; i++, name = doc->nodes[name + 1].next) {
    jsonlua_pushstring(L, doc, name);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    texts[used++] = lua_tostring(L, -1);
    lua_rawseti(L, -2, (lua_Integer)used);
  }
  qsort(texts, used, sizeof *texts, compare_texts);
  lua_createtable(L, (int)used, 0);
  for (p = 0; p < used; p++) {
    lua_pushstring(L, texts[p]);
    lua_rawseti(L, -2, (lua_Integer)p + 1);
  }
  lua_setfield(L, -4, "volumes");
  lua_pop(L, 2);
}

/* Sets `healthcheck`, if there is one: an empty test, or NONE, is none. Numbers that are 0 (the Engine's default) are
** absent. */
static void set_healthcheck(lua_State *L, const struct json_doc *doc, uint32_t object) {
  static const struct shape_field fields[] = {
    {"test", "Test", SHAPE_VALUE}, {"interval", "Interval", SHAPE_SECONDS}, {"timeout", "Timeout", SHAPE_SECONDS},
    {"start_period", "StartPeriod", SHAPE_SECONDS}, {"start_interval", "StartInterval", SHAPE_SECONDS},
    {NULL, NULL, SHAPE_STRING}
  };
  uint32_t test = json_get(doc, object, "Test"), retries = json_get(doc, object, "Retries");
  if (!json_is(doc, test, JSON_ARRAY) || doc->nodes[test].count == 0 || json_string_is(doc, test + 1, "NONE")) return;
  shape_new(L, fields, 1);
  shape_set(L, doc, object, fields);
  if (json_integer(doc, retries, 0) > 0) {
    lua_pushinteger(L, json_integer(doc, retries, 0));
    lua_setfield(L, -2, "retries");
  }
  lua_setfield(L, -2, "healthcheck");
}

/* ---- inspect ---- */

static int inspect_done(lua_State *L, struct call *k) {
  static const struct shape_field fields[] = {
    {"id", "Id", SHAPE_STRING}, {"labels", "Config.Labels", SHAPE_TABLE}, {"cmd", "Config.Cmd", SHAPE_VALUE},
    {"entrypoint", "Config.Entrypoint", SHAPE_VALUE}, {"user", "Config.User", SHAPE_STRING},
    {"working_dir", "Config.WorkingDir", SHAPE_STRING}, {"stop_signal", "Config.StopSignal", SHAPE_STRING},
    {"os", "Os", SHAPE_STRING}, {"architecture", "Architecture", SHAPE_STRING}, {"variant", "Variant", SHAPE_STRING},
    {"size", "Size", SHAPE_INTEGER}, {"created", "Created", SHAPE_TIME}, {NULL, NULL, SHAPE_STRING}
  };
  const struct json_doc *doc = &k->doc;
  uint32_t config;
  int failed = shape_reply(L, k, fields) != 1;
  if (failed) return 2;
  config = json_get(doc, 0, "Config");
  set_names(L, doc, json_get(doc, 0, "RepoTags"), "tags");
  set_names(L, doc, json_get(doc, 0, "RepoDigests"), "digests");
  set_ports(L, doc, json_get(doc, config, "ExposedPorts"));
  set_volumes(L, doc, json_get(doc, config, "Volumes"));
  set_healthcheck(L, doc, json_get(doc, config, "Healthcheck"));
  shape_push_env(L, doc, json_get(doc, config, "Env"));
  lua_setfield(L, -2, "env");
  return 1;
}

/* client:inspect_image(image) -> { id=, tags=, digests=, ports=, healthcheck=, labels=, env=, cmd=, entrypoint=,
** user=, working_dir=, volumes=, os=, architecture=, variant=, size=, created=, stop_signal=, raw= } */
static int meth_inspect_image(lua_State *L) {
  static const struct lx_option known[] = {LX_COMMON_OPTIONS};
  size_t length;
  const char *image = lx_checkimage(L, 2, "inspect_image", &length);
  struct call *k = call_begin(L, "inspect_image", 3, known, image);
  call_request(L, k, "ImageInspect");
  image_path(L, k, image, length);
  return call_run(L, k, inspect_done);
}

/* ---- list ---- */

static int list_done(lua_State *L, struct call *k) {
  static const struct shape_field fields[] = {
    {"id", "Id", SHAPE_STRING}, {"labels", "Labels", SHAPE_TABLE}, {"created", "Created", SHAPE_INTEGER},
    {"size", "Size", SHAPE_INTEGER}, {NULL, NULL, SHAPE_STRING}
  };
  const struct json_doc *doc = &k->doc;
  uint32_t item, i, count;
  int meta, failed;
  if (json_is(doc, 0, JSON_NULL) && doc->used) {
    lua_newtable(L);
    return 1;
  }
  failed = call_expect(L, k, JSON_ARRAY);
  if (failed) return failed;
  count = doc->nodes[0].count;
  record_document(L, doc);
  meta = lua_gettop(L);
  lua_createtable(L, (int)count, 0);
  for (i = 0, item = 1; i < count; i++, item = doc->nodes[item].next) {
    shape_new(L, fields, 3);
    shape_set(L, doc, item, fields);
    set_names(L, doc, json_get(doc, item, "RepoTags"), "tags");
    set_names(L, doc, json_get(doc, item, "RepoDigests"), "digests");
    record_attach(L, meta, doc, item);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* Appends the string at the top (popped) to the list in the field `key` of the table `filters`. */
static void add_filter(lua_State *L, int filters, const char *key) {
  lua_pushstring(L, key);
  if (lua_rawget(L, filters) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, filters, key);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

/* labels = { key = "value" | true } */
static void filter_labels(lua_State *L, int filters) {
  int labels;
  lx_option(L, 2, "labels");
  labels = lua_gettop(L);
  if (lua_isnil(L, labels)) return;
  lua_pushnil(L);
  while (lua_next(L, labels)) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      lx_misuse(L, "list_images: option 'labels': keys are strings, got %s", luaL_typename(L, -2));
    }
    lua_pushvalue(L, -2);
    if (lua_type(L, -2) == LUA_TSTRING) {
      lua_pushliteral(L, "=");
      lua_pushvalue(L, -3);
      lua_concat(L, 3);
    } else if (!lua_isboolean(L, -2) || !lua_toboolean(L, -2)) {
      lx_misuse(L, "list_images: option 'labels': '%s': string or true expected, got %s", lua_tostring(L, -3),
                luaL_typename(L, -2));
    }
    add_filter(L, filters, "label");
    lua_pop(L, 1);
  }
}

/* reference = "web:1.*" or a list of such */
static void filter_references(lua_State *L, int filters) {
  int type = lx_option(L, 2, "reference"), list = lua_gettop(L);
  lua_Integer i, count;
  if (type == LUA_TSTRING) add_filter(L, filters, "reference");
  if (type != LUA_TTABLE) return;
  count = (lua_Integer)lua_rawlen(L, list);
  for (i = 1; i <= count; i++) {
    if (lua_rawgeti(L, list, i) != LUA_TSTRING) {
      lx_misuse(L, "list_images: option 'reference': item %d: string expected, got %s", (int)i, luaL_typename(L, -1));
    }
    add_filter(L, filters, "reference");
  }
}

/* Pushes the filters as the Engine wants them. */
static void push_filters(lua_State *L) {
  int filters;
  lua_newtable(L);
  filters = lua_gettop(L);
  filter_labels(L, filters);
  lua_settop(L, filters);
  filter_references(L, filters);
  lua_settop(L, filters);
  if (lx_option(L, 2, "dangling") != LUA_TNIL) {
    lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    add_filter(L, filters, "dangling");
  }
  if (lx_option(L, 2, "before") != LUA_TNIL) add_filter(L, filters, "before");
  if (lx_option(L, 2, "since") != LUA_TNIL) add_filter(L, filters, "since");
  lua_settop(L, filters);
}

/* client:list_images{ all=, labels=, reference=, dangling=, before=, since= } -> { { id=, tags=, digests=, labels=,
** created=, size=, raw= }, … }; created in seconds since 1970. Untagged images are listed, the parents of others
** only with `all`. */
static int meth_list_images(lua_State *L) {
  static const struct lx_option known[] = {
    {"all", LX_BOOLEAN}, {"labels", LX_TABLE}, {"reference", LX_STRING_OR_TABLE}, {"dangling", LX_BOOLEAN},
    {"before", LX_STRING}, {"since", LX_STRING}, LX_COMMON_OPTIONS
  };
  struct call *k;
  int filtered;
  lua_settop(L, 2);
  k = call_begin(L, "list_images", 2, known, NULL);
  call_request(L, k, "ImageList");
  if (lx_option_boolean(L, k->options, "all", 0)) call_query_boolean(L, k, "all", 1);
  call_query_boolean(L, k, "digests", 1);
  push_filters(L);
  lua_pushnil(L);
  filtered = lua_next(L, -2);
  if (filtered) lua_pop(L, 2);
  if (filtered) call_query_json(L, k, "filters");
  lua_settop(L, k->top);
  return call_run(L, k, list_done);
}

/* ---- tag, remove ---- */

static int true_done(lua_State *L, struct call *k) {
  (void)k;
  lua_pushboolean(L, 1);
  return 1;
}

/* client:tag_image(image, target) -> true; target is a name with or without tag ("latest"). */
static int meth_tag_image(lua_State *L) {
  static const struct lx_option known[] = {LX_COMMON_OPTIONS};
  size_t length, target_length;
  const char *image = lx_checkimage(L, 2, "tag_image", &length), *target, *reason;
  struct ref r;
  struct call *k;
  if (lua_type(L, 3) != LUA_TSTRING) lx_misuse(L, "tag_image: target: string expected, got %s", luaL_typename(L, 3));
  target = lua_tolstring(L, 3, &target_length);
  if (ref_parse(&r, target, target_length, &reason) != 0) {
    lx_pushexcerpt(L, target, target_length);
    lx_misuse(L, "tag_image: target '%s': %s", lua_tostring(L, -1), reason);
  }
  if (r.digest.text) lx_misuse(L, "tag_image: target '%s': a digest can't be given to an image", target);
  k = call_begin(L, "tag_image", 4, known, image);
  call_request(L, k, "ImageTag");
  image_path(L, k, image, length);
  image_repository(L, k, &r);
  call_query(L, k, "repo", k->scratch.data, k->scratch.length);
  if (r.tag.text) call_query(L, k, "tag", r.tag.text, r.tag.length);
  else call_query(L, k, "tag", "latest", 6);
  return call_run(L, k, true_done);
}

static int remove_done(lua_State *L, struct call *k) {
  static const struct shape_field fields[] = {
    {"untagged", "Untagged", SHAPE_STRING}, {"deleted", "Deleted", SHAPE_STRING}, {NULL, NULL, SHAPE_STRING}
  };
  const struct json_doc *doc = &k->doc;
  uint32_t item, i, count = 0;
  if (!doc->used || !json_is(doc, 0, JSON_NULL)) {
    int failed = call_expect(L, k, JSON_ARRAY);
    if (failed) return failed;
    count = doc->nodes[0].count;
  }
  lua_createtable(L, (int)count, 0);
  for (i = 0, item = 1; i < count; i++, item = doc->nodes[item].next) {
    lua_createtable(L, 0, 1);
    shape_set(L, doc, item, fields);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* client:remove_image(image, { force=, no_prune= }) -> { { untagged= } | { deleted= }, … } in the order it was
** done. By a name only that name goes, and the image with its last one; by its id all names go (with `force`, if
** there are several). */
static int meth_remove_image(lua_State *L) {
  static const struct lx_option known[] = {{"force", LX_BOOLEAN}, {"no_prune", LX_BOOLEAN}, LX_COMMON_OPTIONS};
  size_t length;
  const char *image = lx_checkimage(L, 2, "remove_image", &length);
  struct call *k = call_begin(L, "remove_image", 3, known, image);
  call_request(L, k, "ImageDelete");
  image_path(L, k, image, length);
  if (lx_option_boolean(L, k->options, "force", 0)) call_query_boolean(L, k, "force", 1);
  if (lx_option_boolean(L, k->options, "no_prune", 0)) call_query_boolean(L, k, "noprune", 1);
  return call_run(L, k, remove_done);
}

const luaL_Reg image_methods[] = {
  {"pull_image", meth_pull_image}, {"inspect_image", meth_inspect_image}, {"list_images", meth_list_images},
  {"tag_image", meth_tag_image}, {"remove_image", meth_remove_image}, {NULL, NULL}
};
