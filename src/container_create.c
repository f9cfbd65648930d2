/* container_create.c: create_container.
**
** The body is made from the options first (container_body.c), so that misuse raises before anything is asked. Then
** the version is looked at, where the body has a field that some versions lack: an old Engine would ignore it in
** silence. Names are not looked up before: whoever creates first has the name, and the others get kind "conflict".
**
** A managed container (options project and stage) gets the labels of ownership, an instance id if it has none, and
** with a tag also its deterministic name. */

#include <lauxlib.h>
#include <sodium.h>
#include <string.h>

#include "client.h"
#include "containers.h"
#include "jsonlua.h"
#include "limits.h"
#include "ref.h"

#define INSTANCE_BYTES 8 /* of a generated instance id: 16 hex digits */

/* The stack above the box, from call to call. */
#define BODY(k) ((k)->box + 1)
#define NAME(k) ((k)->box + 2) /* string or nil */

/* ---- versions ---- */

/* Fields that came after 1.41; "*" is any item or member. */
static const struct gate {
  const char *path;
  int since;
} gates[] = {
  {"HostConfig.Annotations", 43},
  {"Healthcheck.StartInterval", 44},
  {"NetworkingConfig.EndpointsConfig.*.MacAddress", 44},
  {"HostConfig.Mounts.*.VolumeOptions.Subpath", 45},
  {"HostConfig.Mounts.*.ImageOptions", 48},
  {"NetworkingConfig.EndpointsConfig.*.GwPriority", 48},
};

/* Has the table at the top a value at that path? The stack stays as it was. */
static int has_path(lua_State *L, const char *path) {
  size_t length = strcspn(path, ".");
  int found = 0, top = lua_gettop(L);
  if (!lua_istable(L, top)) return 0;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (path[0] == '*') {
    for (lua_pushnil(L); !found && lua_next(L, top); lua_settop(L, top + 1)) found = has_path(L, path + length + 1);
  } else {
    lua_pushlstring(L, path, length);
    lua_rawget(L, top);
    if (path[length]) found = has_path(L, path + length + 1);
    else found = !lua_isnil(L, -1);
  }
  lua_settop(L, top);
  return found;
}

/* The two that are not about a field as such, in one: mounts of type image, more than one network. */
static const char *special_gate(lua_State *L, int body, int *since) {
  int top = lua_gettop(L), networks = 0;
  const char *what = NULL;
  if (lua_getfield(L, body, "NetworkingConfig") == LUA_TTABLE && lua_getfield(L, -1, "EndpointsConfig") == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) networks++;
    if (networks > 1) what = "a container that is created with several networks", *since = 44;
  }
  lua_settop(L, top);
  if (lua_getfield(L, body, "HostConfig") == LUA_TTABLE && lua_getfield(L, -1, "Mounts") == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, top + 2); lua_pop(L, 1)) {
      if (!lua_istable(L, -1)) continue;
      lua_getfield(L, -1, "Type");
      if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "image") == 0) {
        what = "a mount of type image";
        *since = 48;
      }
      lua_pop(L, 1);
    }
  }
  lua_settop(L, top);
  return what;
}

/* What in the body needs the newest version; NULL: nothing does. */
static const char *newest_gate(lua_State *L, int body, int *since) {
  const char *what;
  size_t i;
  *since = 0;
  what = special_gate(L, body, since);
  lua_pushvalue(L, body);
  for (i = 0; i < sizeof gates / sizeof *gates; i++) {
    if (gates[i].since > *since && has_path(L, gates[i].path)) what = gates[i].path, *since = gates[i].since;
  }
  lua_pop(L, 1);
  return what;
}

/* ---- the reply ---- */

/* Pushes the result. k->note is the new container's id; its warnings are at the box + 3. */
static void push_result(lua_State *L, struct call *k) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, k->note);
  lua_setfield(L, -2, "id");
  lua_pushvalue(L, NAME(k));
  lua_setfield(L, -2, "name");
  lua_pushvalue(L, k->box + 3);
  lua_setfield(L, -2, "warnings");
  if (lua_getfield(L, BODY(k), "Labels") == LUA_TTABLE) {
    lua_getfield(L, -1, LABEL_INSTANCE);
    lua_setfield(L, -3, "instance_id");
  }
  lua_pop(L, 1);
}

/* The end of looking up the name that the Engine has chosen. */
static int name_known(lua_State *L, struct call *k) {
  container_push_name(L, &k->doc, json_get(&k->doc, 0, "Name"));
  lua_replace(L, NAME(k));
  push_result(L, k);
  return 1;
}

/* The container is there, so that looking it up has failed is no failure. */
static int name_unknown(lua_State *L, struct call *k) {
  push_result(L, k);
  return 1;
}

static int no_image(lua_State *L, struct call *k) {
  const char *message = call_message(L, k);
  if (!strstr(message, "o such image")) return call_fail_status(L, k);
  lua_getfield(L, BODY(k), "Image");
  return call_fail(L, k, KIND_NOT_FOUND, "no such image: %s (pull it first: client:pull_image)", lua_tostring(L, -1));
}

static int created(lua_State *L, struct call *k) {
  size_t length;
  const char *id;
  uint32_t warnings;
  int failed;
  if (k->status == 404) return no_image(L, k);
  failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  id = json_string(&k->doc, json_get(&k->doc, 0, "Id"), &k->scratch, &length);
  if (!id || length == 0 || length >= sizeof k->note) {
    return call_fail(L, k, KIND_PROTOCOL, "the Engine's reply has no Id");
  }
  memcpy(k->note, id, length);
  k->note[length] = '\0';
  warnings = json_get(&k->doc, 0, "Warnings");
  if (json_is(&k->doc, warnings, JSON_ARRAY)) jsonlua_push(L, &k->doc, warnings);
  else lua_newtable(L);
  lua_replace(L, k->box + 3);
  lua_settop(L, k->top);
  if (!lua_isnil(L, NAME(k))) {
    push_result(L, k);
    return 1;
  }
  call_request(L, k, "ContainerInspect");
  call_path(L, k, k->note, length);
  call_rescue(k, name_unknown);
  return call_run(L, k, name_known);
}

/* ---- the request ---- */

static int send_create(lua_State *L, struct call *k) {
  size_t length;
  const char *text;
  call_request(L, k, "ContainerCreate");
  text = lua_tolstring(L, NAME(k), &length);
  if (text) call_query(L, k, "name", text, length);
  text = lx_option_string(L, k->options, "platform", &length);
  if (text) call_query(L, k, "platform", text, length);
  lua_pushvalue(L, BODY(k));
  call_body(L, k);
  call_accept(k, 404);
  return call_run(L, k, created);
}

static int version_known(lua_State *L, struct call *k) {
  int since, failed;
  const char *what = newest_gate(L, BODY(k), &since);
  failed = what ? call_needs(L, k, what, since) : 0;
  return failed ? failed : send_create(L, k);
}

/* ---- identity ---- */

/* The options that make a container ours: all of them make sense together. Answers whether it is. */
static int check_identity(lua_State *L) {
  static const char *const more[] = {"tag", "digest", "instance_id"};
  size_t length, i;
  const char *text;
  const char *project = container_label_option(L, 2, "create_container", "project", &length);
  const char *stage = container_label_option(L, 2, "create_container", "stage", &length);
  if (!project != !stage) lx_misuse(L, "create_container: options 'project' and 'stage' go together: '%s' is missing",
                                    project ? "stage" : "project");
  for (i = 0; i < sizeof more / sizeof *more; i++) {
    text = lx_option_string(L, 2, more[i], &length);
    if (text && !project) lx_misuse(L, "create_container: option '%s': it needs 'project' and 'stage'", more[i]);
    if (text && length == 0) lx_misuse(L, "create_container: option '%s': it is empty", more[i]);
  }
  text = lx_option_string(L, 2, "digest", &length);
  if (text && !ref_is_digest(text, length)) container_misuse(L, "digest", "\"sha256:\" and 64 hex digits");
  text = lx_option_string(L, 2, "instance_id", &length);
  if (text && !ref_is_tag(text, length)) {
    container_misuse(L, "instance_id", "letters, digits, '_', '.' and '-', at most 128,");
  }
  return project != NULL;
}

/* Pushes the container's name: given, made from project, stage and tag, or nil. */
static void push_name(lua_State *L) {
  char bytes[LIMIT_CONTAINER_NAME];
  struct buf b = {bytes, 0, sizeof bytes, sizeof bytes}; /* as large as its cap: it never allocates */
  size_t length, project_length, stage_length, tag_length, i;
  const char *project = lx_option_string(L, 2, "project", &project_length);
  const char *stage = lx_option_string(L, 2, "stage", &stage_length);
  const char *tag = lx_option_string(L, 2, "tag", &tag_length);
  if (lx_option(L, 2, "name") != LUA_TNIL) {
    const char *name = lx_checkid(L, lua_gettop(L), "create_container", "option 'name'", &length);
    for (i = 0; i < length; i++) {
      char c = name[i];
      int alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      if (alnum || (i > 0 && (c == '_' || c == '.' || c == '-'))) continue;
      lx_misuse(L, "create_container: option 'name': letters, digits, '_', '.' and '-' expected, the first a letter "
                "or digit, got '%s'", name);
    }
    return;
  }
  if (!project || !stage || !tag) return; /* nil is at the top */
  lua_pop(L, 1);
  if (ref_container_name(&b, project, project_length, stage, stage_length, tag, tag_length) != BUF_OK) {
    lx_misuse(L, "create_container: options 'project' and 'stage' are too long for a name of %d bytes "
              "(LIMIT_CONTAINER_NAME)", LIMIT_CONTAINER_NAME);
  }
  lua_pushlstring(L, b.data, b.length);
}

/* A random instance id into the labels of the body, if none was given. */
static void set_instance(lua_State *L, int body) {
  static const char hex[] = "0123456789abcdef";
  unsigned char random[INSTANCE_BYTES];
  char text[2 * INSTANCE_BYTES];
  size_t i;
  lua_getfield(L, body, "Labels");
  if (lua_getfield(L, -1, LABEL_INSTANCE) == LUA_TNIL) {
    randombytes_buf(random, sizeof random);
    for (i = 0; i < sizeof random; i++) {
      text[2 * i] = hex[random[i] >> 4];
      text[2 * i + 1] = hex[random[i] & 15];
    }
    lua_pushlstring(L, text, sizeof text);
    lua_setfield(L, -3, LABEL_INSTANCE);
  }
  lua_pop(L, 2);
}

/* client:create_container{ image=, … } -> { id=, name=, instance_id=, warnings={} } */
int meth_create_container(lua_State *L) {
  static const struct lx_option known[] = {
    {"image", LX_STRING_OR_TABLE}, {"name", LX_STRING}, {"project", LX_STRING}, {"stage", LX_STRING},
    {"tag", LX_STRING}, {"digest", LX_STRING}, {"instance_id", LX_STRING}, {"env", LX_TABLE}, {"labels", LX_TABLE},
    {"annotations", LX_TABLE}, {"ports", LX_STRING_OR_TABLE}, {"network", LX_STRING}, {"aliases", LX_TABLE},
    {"cmd", LX_STRING_OR_TABLE}, {"entrypoint", LX_STRING_OR_TABLE}, {"user", LX_STRING}, {"working_dir", LX_STRING},
    {"hostname", LX_STRING}, {"domainname", LX_STRING}, {"mounts", LX_TABLE}, {"volumes", LX_TABLE},
    {"binds", LX_STRING_OR_TABLE}, {"tmpfs", LX_TABLE}, {"restart", LX_STRING}, {"healthcheck", LX_ANY},
    {"memory", LX_NUMBER_OR_STRING}, {"memory_swap", LX_NUMBER_OR_STRING}, {"cpus", LX_NUMBER},
    {"pids_limit", LX_INTEGER}, {"stop_timeout", LX_INTEGER}, {"stop_signal", LX_STRING}, {"init", LX_BOOLEAN},
    {"read_only", LX_BOOLEAN}, {"privileged", LX_BOOLEAN}, {"cap_add", LX_STRING_OR_TABLE},
    {"cap_drop", LX_STRING_OR_TABLE}, {"security_opt", LX_STRING_OR_TABLE}, {"dns", LX_STRING_OR_TABLE},
    {"dns_search", LX_STRING_OR_TABLE}, {"extra_hosts", LX_STRING_OR_TABLE}, {"group_add", LX_STRING_OR_TABLE},
    {"ulimits", LX_TABLE}, {"log_driver", LX_STRING}, {"log_options", LX_TABLE}, {"tty", LX_BOOLEAN},
    {"open_stdin", LX_BOOLEAN}, {"shm_size", LX_NUMBER_OR_STRING}, {"devices", LX_TABLE}, {"platform", LX_STRING},
    {"auto_remove", LX_BOOLEAN}, {"raw", LX_TABLE},
    LX_COMMON_OPTIONS
  }; /* lx.c compares the first 64 names for near misses */
  struct call *k;
  const char *subject;
  int since, managed;
  (void)client_check(L, 1);
  lua_settop(L, 2);
  if (!lua_istable(L, 2)) return lx_misuse(L, "create_container: options table expected, got %s", luaL_typename(L, 2));
  k = call_begin(L, "create_container", 2, known, NULL);
  managed = check_identity(L);
  container_push_body(L);
  push_name(L);
  lua_newtable(L); /* warnings */
  k->top = lua_gettop(L);
  if (managed) set_instance(L, BODY(k));
  subject = lua_tostring(L, NAME(k));
  if (!subject) {
    lua_getfield(L, BODY(k), "Image");
    subject = lua_tostring(L, -1);
  }
  snprintf(k->subject, sizeof k->subject, "%s", subject ? subject : "");
  lua_settop(L, k->top);
  call_request(L, k, "ContainerCreate");
  lua_pushvalue(L, BODY(k));
  call_body(L, k); /* what can't be sent is misuse, and found here */
  return newest_gate(L, BODY(k), &since) ? call_negotiate(L, k, since, version_known) : send_create(L, k);
}
