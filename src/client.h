/* client.h: docker.connect's client: one Engine, its connections, the negotiated API version, its options. */

#ifndef DW_CLIENT_H
#define DW_CLIENT_H

#include <lauxlib.h>
#include <lua.h>

#include "call.h"
#include "endpoint.h"
#include "loop.h"
#include "transport.h"

#define CLIENT_T "docker_watcher.client"

/* User values of a client. */
enum { CLIENT_POOL = 1 /* array of the boxes of idle calls */, CLIENT_DATA /* connect's second argument */ };

struct client {
  struct loop *loop;
  struct transport *transport; /* NULL: closed */
  char host[LIMIT_ENDPOINT + 1]; /* as given, for messages */
  struct endpoint endpoint;
  int version;       /* minor of the negotiated API version; 0: not yet known */
  int server_newest; /* minor of the Engine's own, from its Api-Version header; 0: not yet known */
  int pinned;        /* minor of api_version or DOCKER_API_VERSION; 0: negotiate */
  double timeout;    /* seconds, the default of calls that don't wait by nature; < 0: none */
  int traces;        /* CLIENT_DATA has a function `trace` */
  int pool;          /* calls in the pool: user value CLIENT_POOL */
};

struct client *client_check(lua_State *L, int idx); /* raises where it is closed */

/* Finish function of a ping: { api_version=, os=, builder_version= }. */
int client_ping_done(lua_State *L, struct call *k);

int fn_connect(lua_State *L);
void client_open(lua_State *L); /* metatable with all methods */

/* The methods of the other units. */
extern const luaL_Reg image_methods[], container_methods[], network_methods[];

#endif
