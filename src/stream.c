/* stream.c: see stream.h.
**
** A stream is a userdata; its uservalues are the box of the call that it took over, whose uservalue is the client,
** and the options that the call was given: its context, and the credentials that no message may show. */

#include "stream.h"

#include <lauxlib.h>
#include <string.h>

#include "client.h"
#include "trace.h"

/* Where a stream's user values are on the stack while it is read. */
enum { OPTIONS_INDEX = 2, BOX_INDEX };

static void stream_free(struct stream *s) {
  if (s->call && s->call->transfer) s->call->transfer->writer = NULL;
  wait_free(s->writer); /* like the call's own, before the transfer */
  s->writer = NULL;
  if (s->call) call_free(s->call); /* closes the connection; the box is then an empty shell */
  s->call = NULL;
  decoder_free(&s->decoder);
  s->state = STREAM_CLOSED;
}

struct stream *stream_check(lua_State *L) {
  struct stream *s = luaL_checkudata(L, 1, STREAM_T);
  if (s->state == STREAM_CLOSED) lx_misuse(L, "the stream is closed");
  return s;
}

/* ---- reading ---- */

/* nil, err are at the top. */
static int fail(lua_State *L, struct stream *s) {
  s->state = STREAM_FAILED;
  trace_end(L, s->call, 2);
  return 2;
}

/* The transfer has ended and everything was decoded. */
static int finish(lua_State *L, struct stream *s) {
  struct call *k = s->call;
  int n;
  if (k->transfer->fault) {
    call_fail_fault(L, k);
    return fail(L, s);
  }
  n = decoder_finish(L, k, &s->decoder);
  if (n == DECODER_FAILED) return fail(L, s);
  s->state = STREAM_ENDED;
  trace_end(L, k, 0);
  return n;
}

/* Stack: the stream, its options, its call's box; what an upload's source gave. */
static int read_k(lua_State *L, int status, lua_KContext ctx) {
  struct stream *s = lua_touserdata(L, 1);
  for (;;) {
    struct call *k = s->call;
    uint64_t received;
    int n;
    if (!k) return lx_fail(L, KIND_CANCELLED, NULL, "the stream was closed while it was read");
    if (k->upload == UPLOAD_ASKING) {
      n = call_upload_take(L, k, status);
      if (n != CALL_AGAIN) {
        s->state = STREAM_FAILED;
        trace_end(L, k, n);
        return n == CALL_RAISE ? lua_error(L) : n;
      }
    }
    lua_settop(L, BOX_INDEX);
    if (call_upload_send(L, k)) {
      status = call_upload_ask(L, k, ctx, read_k);
      continue;
    }
    received = k->transfer->received;
    n = decoder_next(L, k, &s->decoder);
    if (n == DECODER_FAILED) {
      transfer_abort(k->transfer);
      return fail(L, s);
    }
    if (n > 0) {
      call_phase(k, -1, NULL); /* until the next read waits */
      return n;
    }
    if (k->transfer->received != received) continue; /* a paused transfer went on meanwhile */
    if (k->transfer->done) return finish(L, s);
    if (k->wait->verdict == WAIT_READY) {
      wait_rearm(k->wait);
      continue;
    }
    if (k->wait->verdict != WAIT_PENDING) {
      call_fail_verdict(L, k);
      transfer_abort(k->transfer);
      return fail(L, s);
    }
    if (k->idle >= 0) call_phase(k, k->idle, "idle_timeout");
    loop_wait(L, k->wait, ctx, read_k);
  }
}

/* A chunk that is there already, at the cost of its string: those of a log that changes between stdout and stderr are
** many. */
static int read_quick(lua_State *L, struct stream *s) {
  struct call *k = s->call;
  if (s->state != STREAM_OPEN || k->wait->task || k->upload == UPLOAD_OPEN || k->upload == UPLOAD_ASKING) return 0;
  return decoder_quick(L, k, &s->decoder);
}

/* stream:read() -> item | nil (end) | nil, err. An item is a chunk and "stdout"|"stderr", a table, or bytes. */
static int meth_read(lua_State *L) {
  struct stream *s = stream_check(L);
  int n;
  lua_settop(L, 1);
  n = read_quick(L, s);
  if (n > 0) return n;
  switch (s->state) {
    case STREAM_ENDED: lua_pushnil(L); return 1;
    case STREAM_FAILED: return call_fail(L, s->call, KIND_STREAM, "the stream has failed already");
    case STREAM_CLOSED:
    case STREAM_OPEN: break;
  }
  if (s->call->wait->task) return lx_misuse(L, "another task is reading this stream");
  if (s->call->upload == UPLOAD_ASKING) return lx_misuse(L, "the stream is read by the source of its own upload");
  lua_getiuservalue(L, 1, STREAM_OPTIONS);
  lua_getiuservalue(L, 1, STREAM_CALL);
  s->call->options = OPTIONS_INDEX;
  s->call->box = BOX_INDEX;
  return read_k(L, LUA_OK, 0);
}

/* For a for loop: like read, but a failure is raised, since the loop would take nil for the end. */
static int each_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (lua_isnil(L, -2) && lua_istable(L, -1)) return lua_error(L);
  return 2;
}

static int meth_each(lua_State *L) {
  int n = read_quick(L, stream_check(L));
  if (n > 0) return n;
  lua_settop(L, 1);
  lua_pushcfunction(L, meth_read);
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 2, 0, each_k);
  return each_k(L, LUA_OK, 0);
}

/* ---- the rest ---- */

/* stream:header(name) -> a header's value | nil */
static int meth_header(lua_State *L) {
  struct stream *s = stream_check(L);
  size_t length;
  const char *value = transfer_header(s->call->transfer, luaL_checkstring(L, 2), &length);
  if (value) lua_pushlstring(L, value, length);
  else lua_pushnil(L);
  return 1;
}

static int stream_gc(lua_State *L) {
  struct stream *s = luaL_checkudata(L, 1, STREAM_T);
  if (s->call && s->call->traced) {
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, STREAM_CALL);
    s->call->box = 2;
    transfer_abort(s->call->transfer);
    trace_end(L, s->call, 0);
  }
  stream_free(s);
  return 0;
}

/* Tasks that read or write it are told. (The collector never meets such a task: its stack has the stream.) */
static int meth_close(lua_State *L) {
  struct stream *s = luaL_checkudata(L, 1, STREAM_T);
  if (s->call) wait_wake(s->call->wait, WAIT_CANCELLED);
  if (s->writer) wait_wake(s->writer, WAIT_CANCELLED);
  return stream_gc(L);
}

static int meth_tostring(lua_State *L) {
  static const char *const states[] = {"open", "ended", "failed", "closed"};
  struct stream *s = luaL_checkudata(L, 1, STREAM_T);
  lua_pushfstring(L, "docker stream (%s)", states[s->state]);
  return 1;
}

int stream_take(lua_State *L, struct call *k, enum stream_kind kind) {
  struct stream *s = lua_newuserdatauv(L, sizeof *s, 2);
  memset(s, 0, sizeof *s);
  s->state = STREAM_CLOSED;
  decoder_init(&s->decoder, kind);
  luaL_setmetatable(L, STREAM_T);
  lua_pushvalue(L, k->box);
  lua_setiuservalue(L, -2, STREAM_CALL);
  if (k->options) {
    lua_pushvalue(L, k->options);
    lua_setiuservalue(L, -2, STREAM_OPTIONS);
  }
  s->call = k;
  s->state = STREAM_OPEN;
  k->state = CALL_TAKEN;
  if (k->upload == UPLOAD_READY) k->upload = UPLOAD_OPEN; /* of a two-way connection: from now on */
  k->transfer->wait = k->wait;
  call_phase(k, -1, NULL);
  if (k->transfer->body.length || k->transfer->done) wait_wake(k->wait, WAIT_READY);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3); /* what a for loop closes */
  return 4;
}

void stream_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"read", meth_read}, {"write", stream_write}, {"close_write", stream_close_write}, {"header", meth_header},
    {"close", meth_close}, {NULL, NULL}
  };
  static const luaL_Reg meta[] = {
    {"__call", meth_each}, {"__gc", stream_gc}, {"__close", meth_close}, {"__tostring", meth_tostring}, {NULL, NULL}
  };
  if (luaL_newmetatable(L, STREAM_T)) {
    luaL_setfuncs(L, meta, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}
