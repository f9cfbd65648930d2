/* transportprobe.c: a door for the specs to the transport, without client, operations or streams. Test-only.
**
**   local t = probe.open{ host = server.host, connect_timeout = 5, tls =, ca =, cert =, key =, insecure = }
**   local x = t:start{ method = "POST", path = "/x", type = "application/x-tar", upload = true, stream = true }
**   x:wait(seconds)         -- "ready", or "timeout"; blocks
**   x:send(bytes)           -- "ok" | "full"; x:room(); x:send_end()
**   x:read(max)             -- bytes of the reply's body that are there, "" if none
**   x:state()               -- { done=, status=, fault=, limit=, text=, sends=, attempts=, … }
**   x:header(name)  x:abort()  t:connections()  t:close()
**
** Built as spec/support/transportprobe.so from this file and the transport's units, with a loop of its own. */

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "../../src/lx.h"
#include "../../src/transport.h"

#define TRANSPORT_T "spec.transportprobe"
#define TRANSFER_T "spec.transportprobe.transfer"

struct door {
  struct transport *transport;
  struct loop *loop;
};

struct hold { /* uservalue 1: the door; 2: the strings of the request */
  struct transfer *transfer;
  struct wait *wait;
};

static struct door *check_door(lua_State *L) {
  struct door *d = luaL_checkudata(L, 1, TRANSPORT_T);
  if (!d->transport) luaL_error(L, "closed");
  return d;
}

static const char *text_field(lua_State *L, int table, const char *name) {
  const char *text;
  lua_getfield(L, table, name);
  text = lua_tostring(L, -1); /* the table keeps it */
  lua_pop(L, 1);
  return text;
}

static int flag(lua_State *L, int table, const char *name) {
  int is;
  lua_getfield(L, table, name);
  is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

static int fn_open(lua_State *L) {
  struct transport_options o;
  struct endpoint e;
  const char *host, *reason;
  struct door *d;
  luaL_checktype(L, 1, LUA_TTABLE);
  memset(&o, 0, sizeof o);
  o.tls = flag(L, 1, "tls");
  host = text_field(L, 1, "host");
  luaL_argcheck(L, host, 1, "host missing");
  if (endpoint_parse(&e, host, strlen(host), o.tls, &reason) != 0) return luaL_error(L, "%s", reason);
  o.endpoint = &e;
  lua_getfield(L, 1, "connect_timeout");
  o.connect_timeout = luaL_optnumber(L, -1, 30);
  o.ca = text_field(L, 1, "ca");
  o.cert = text_field(L, 1, "cert");
  o.key = text_field(L, 1, "key");
  o.insecure = flag(L, 1, "insecure");
  d = lua_newuserdatauv(L, sizeof *d, 0);
  memset(d, 0, sizeof *d);
  luaL_setmetatable(L, TRANSPORT_T);
  d->loop = loop_get(L);
  d->transport = transport_new(d->loop, &o);
  if (!d->transport) return luaL_error(L, "no transport");
  return 1;
}

static int door_close(lua_State *L) {
  struct door *d = luaL_checkudata(L, 1, TRANSPORT_T);
  if (d->transport) transport_close(d->transport);
  d->transport = NULL;
  return 0;
}

static int door_connections(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)transport_connections(check_door(L)->transport));
  return 1;
}

static int door_start(lua_State *L) {
  static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", NULL};
  struct door *d = check_door(L);
  struct transfer_request r;
  struct hold *h;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  memset(&r, 0, sizeof r);
  lua_getfield(L, 2, "method");
  r.method = (enum transfer_method)luaL_checkoption(L, -1, "POST", methods);
  r.url = text_field(L, 2, "path");
  r.content_type = text_field(L, 2, "type");
  r.body = text_field(L, 2, "body");
  r.body_length = r.body ? strlen(r.body) : 0;
  r.upload = flag(L, 2, "upload");
  r.upgrade = flag(L, 2, "upgrade");
  r.stream = flag(L, 2, "stream");
  r.paced = flag(L, 2, "paced");
  r.repeatable = flag(L, 2, "repeatable");
  r.max_body = 1 << 20;
  r.max_body_name = "max_body";
  h = lua_newuserdatauv(L, sizeof *h, 2);
  memset(h, 0, sizeof *h);
  luaL_setmetatable(L, TRANSFER_T);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 2);
  h->transfer = transfer_new(d->transport);
  h->wait = wait_new(d->loop);
  if (!h->transfer || !h->wait) return luaL_error(L, "no memory");
  wait_begin(h->wait, NULL, LOOP_NEVER);
  transfer_start(h->transfer, &r, h->wait);
  return 1;
}

static struct hold *check_hold(lua_State *L) {
  struct hold *h = luaL_checkudata(L, 1, TRANSFER_T);
  if (!h->transfer) luaL_error(L, "freed");
  return h;
}

static int hold_free(lua_State *L) {
  struct hold *h = luaL_checkudata(L, 1, TRANSFER_T);
  if (h->transfer) transfer_abort(h->transfer);
  wait_free(h->wait); /* the loop goes with the last transfer */
  transfer_free(h->transfer);
  h->transfer = NULL;
  h->wait = NULL;
  return 0;
}

static int never(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return luaL_error(L, "in a task");
}

static int hold_wait(lua_State *L) {
  static const char *const names[] = {"pending", "ready", "timeout", "cancelled", "interrupted"};
  struct hold *h = check_hold(L);
  double seconds = luaL_checknumber(L, 2);
  enum wait_verdict before = h->wait->verdict;
  if (before != WAIT_READY) {
    wait_end(h->wait);
    wait_begin(h->wait, NULL, loop_deadline(h->wait->loop, seconds));
    if (h->transfer->done) wait_wake(h->wait, WAIT_READY);
    while (h->wait->verdict == WAIT_PENDING) loop_wait(L, h->wait, 0, never);
  }
  lua_pushstring(L, names[h->wait->verdict]);
  wait_end(h->wait);
  wait_begin(h->wait, NULL, LOOP_NEVER);
  return 1;
}

static int hold_send(lua_State *L) {
  struct hold *h = check_hold(L);
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  int status = transfer_send(h->transfer, bytes, length);
  lua_pushstring(L, status == BUF_OK ? "ok" : status == BUF_FULL ? "full" : "no memory");
  return 1;
}

static int hold_room(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)transfer_room(check_hold(L)->transfer));
  return 1;
}

static int hold_send_end(lua_State *L) {
  transfer_send_end(check_hold(L)->transfer);
  return 0;
}

static int hold_abort(lua_State *L) {
  transfer_abort(check_hold(L)->transfer);
  return 0;
}

static int hold_read(lua_State *L) {
  struct transfer *x = check_hold(L)->transfer;
  size_t max = (size_t)luaL_optinteger(L, 2, (lua_Integer)x->body.length);
  if (max > x->body.length) max = x->body.length;
  lua_pushlstring(L, max ? x->body.data : "", max);
  if (max) {
    buf_consume(&x->body, max);
    transfer_consumed(x);
  }
  return 1;
}

static int hold_header(lua_State *L) {
  size_t length;
  const char *value = transfer_header(check_hold(L)->transfer, luaL_checkstring(L, 2), &length);
  if (value) lua_pushlstring(L, value, length);
  else lua_pushnil(L);
  return 1;
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, int value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

static int hold_state(lua_State *L) {
  static const char *const faults[] = {
    [FAULT_NONE] = "none", [FAULT_MISSING] = "missing", [FAULT_REFUSED] = "refused",
    [FAULT_PERMISSION] = "permission", [FAULT_UNREACHABLE] = "unreachable", [FAULT_TLS] = "tls", [FAULT_SSH] = "ssh",
    [FAULT_CUT] = "cut", [FAULT_PROTOCOL] = "protocol", [FAULT_TOO_LARGE] = "too_large", [FAULT_MEMORY] = "memory",
    [FAULT_CLOSED] = "closed"
  };
  const struct transfer *x = check_hold(L)->transfer;
  lua_newtable(L);
  set_flag(L, "active", x->active);
  set_flag(L, "done", x->done);
  set_flag(L, "paused", x->paused);
  set_flag(L, "sends", x->sends);
  set_flag(L, "headers_done", x->headers_done);
  set_integer(L, "status", x->status);
  set_integer(L, "attempts", x->attempts);
  set_integer(L, "sent_bytes", (lua_Integer)x->sent_bytes);
  set_integer(L, "received", (lua_Integer)x->received);
  set_integer(L, "unread", (lua_Integer)x->body.length);
  lua_pushstring(L, faults[x->fault]);
  lua_setfield(L, -2, "fault");
  lua_pushstring(L, x->fault_limit);
  lua_setfield(L, -2, "limit");
  lua_pushstring(L, x->fault_text);
  lua_setfield(L, -2, "text");
  return 1;
}

static void make(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
}

int luaopen_spec_support_transportprobe(lua_State *L);

int luaopen_spec_support_transportprobe(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", fn_open}, {NULL, NULL}};
  static const luaL_Reg door[] = {
    {"start", door_start}, {"close", door_close}, {"connections", door_connections}, {NULL, NULL}
  };
  static const luaL_Reg hold[] = {
    {"wait", hold_wait}, {"send", hold_send}, {"room", hold_room}, {"send_end", hold_send_end}, {"abort", hold_abort},
    {"read", hold_read}, {"header", hold_header}, {"state", hold_state}, {"free", hold_free}, {NULL, NULL}
  };
  lx_open_errors(L);
  loop_open(L);
  context_open(L);
  make(L, TRANSPORT_T, door, door_close);
  make(L, TRANSFER_T, hold, hold_free);
  luaL_newlib(L, functions);
  return 1;
}
