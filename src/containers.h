/* containers.h: what the files of the container operations share. */

#ifndef DW_CONTAINERS_H
#define DW_CONTAINERS_H

#include <lua.h>

#include "call.h"

/* The labels that make a container ours: design rule "labels decide ownership, names never do". */
#define LABEL_PROJECT "docker-watcher.project"
#define LABEL_STAGE "docker-watcher.stage"
#define LABEL_INSTANCE "docker-watcher.instance-id"
#define LABEL_TAG "docker-watcher.tag"
#define LABEL_DIGEST "docker-watcher.digest"

/* The beginning of a method about one container: its id or name at index 2, options at 3. The subject is then the
** id. */
struct call *container_begin(lua_State *L, const char *name, const struct lx_option *known);
/* call_request for an operation on that container, with the path filled in. */
void container_request(lua_State *L, struct call *k, const char *operation_id);
/* The option, if it is there, must be a project's or stage's name; else misuse. NULL where it is absent. */
const char *container_label_option(lua_State *L, int options, const char *op, const char *name, size_t *length);
/* In the reply of ContainerWait: 0, or nil, err and 2 where it reports that the wait failed (Error.Message). */
int container_wait_fault(lua_State *L, struct call *k);
/* Pushes a container's name without the "/" before it; nil if the node is no string. */
void container_push_name(lua_State *L, const struct json_doc *doc, uint32_t node);
/* "healthy", … of an inspected container, as json_string does; NULL where it has no health check, or does not run:
** the Engine calls paused and stopped containers unhealthy. */
const char *container_health(const struct json_doc *doc, uint32_t state, struct buf *scratch, size_t *length);

/* container_body.c: builds the body of ContainerCreate from the options at index 2, and pushes it. Misuse raises. */
void container_push_body(lua_State *L);
/* The labels that the options `project`, `stage` and so on make may not be given otherwise: raises if the table at
** `labels` has one. */
void container_refuse_labels(lua_State *L, int labels, const char *where);

/* container_parts.c: the options that are tables of their own, or have a little language: restart, healthcheck,
** mounts, ulimits, devices, cpus. For container_body.c, whose small functions it uses. */
void container_set_parts(lua_State *L, int body, int host);
void container_set_net(lua_State *L, int body, int host); /* container_net.c: ports, network, aliases */
int container_misuse(lua_State *L, const char *option, const char *expected); /* raises "option '…': … expected" */
/* The table at the top must be a list of strings without NUL; pushes a copy of it. */
void container_push_strings(lua_State *L, const char *option);
/* The table at the top must have strings as keys; pushes a userdata, which is an array of them, sorted; answers how
** many. */
size_t container_push_keys(lua_State *L, const char *option, const char *expected);

int meth_create_container(lua_State *L); /* container_create.c */
int meth_inspect_container(lua_State *L); /* container_inspect.c */
int meth_list_containers(lua_State *L);   /* container_list.c */
int meth_wait_container(lua_State *L);   /* container_wait.c */
int meth_wait_healthy(lua_State *L);
int meth_logs(lua_State *L);             /* container_logs.c */

#endif
