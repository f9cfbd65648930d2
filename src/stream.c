/* stream.c: see stream.h.
**
** A stream is a userdata; its uservalues are the box of the call that it took over, whose uservalue is the client,
** and the context. read() decodes the frames that have arrived and gathers the pieces of one output stream, so that a
** busy log costs few Lua values: a chunk is what was there, at most LIMIT_CHUNK bytes, all of it stdout or all of it
** stderr. */

#include "stream.h"

#include <lauxlib.h>
#include <string.h>

#include "client.h"
#include "frames.h"
#include "limits.h"

enum stream_state { STREAM_OPEN, STREAM_ENDED, STREAM_FAILED, STREAM_CLOSED };

struct stream {
  enum stream_state state;
  struct call *call; /* its box is our uservalue; NULL when closed */
  int tty;
  struct frames frames;
  struct buf chunk;  /* gathered for the read under way */
  int which;         /* of the chunk: 1 stdout, 2 stderr; 0: nothing yet */
};

static void stream_free(struct stream *s) {
  if (s->call) call_free(s->call); /* closes the connection; the box is then an empty shell */
  s->call = NULL;
  frames_free(&s->frames);
  buf_free(&s->chunk);
  s->state = STREAM_CLOSED;
}

/* ---- decoding ---- */

/* Gathers pieces of one output stream; stops before a piece of the other, or when the chunk is full. */
static int gather(void *context, int which, const char *bytes, size_t count) {
  struct stream *s = context;
  s->which = which;
  return buf_append(&s->chunk, bytes, count) != BUF_OK || s->chunk.length >= LIMIT_CHUNK;
}

/* Where does the run of frames of one output stream end? Feeds f up to there. */
static size_t feed_run(struct stream *s, const char *bytes, size_t count) {
  size_t used = 0;
  while (used < count && s->frames.state != FRAMES_FAILED && s->chunk.length < LIMIT_CHUNK) {
    size_t step = count - used;
    if (s->frames.state == FRAMES_HEADER && s->frames.have == 0 && s->which != 0 && step >= 1) {
      int next = bytes[used] == 2 ? 2 : 1;
      if ((bytes[used] == 0 || bytes[used] == 1 || bytes[used] == 2) && next != s->which) break; /* the other's turn */
    }
    if (s->frames.state == FRAMES_HEADER) {
      size_t header = sizeof s->frames.header - s->frames.have;
      if (step > header) step = header;
    } else if (s->frames.state == FRAMES_PAYLOAD && step > s->frames.left) {
      step = s->frames.left;
    }
    used += frames_feed(&s->frames, bytes + used, step, gather, s);
  }
  return used;
}

/* Takes what it can from the transfer's buffer. */
static void decode(struct stream *s) {
  struct buf *body = &s->call->transfer->body;
  size_t used;
  if (s->tty) {
    used = body->length < LIMIT_CHUNK - s->chunk.length ? body->length : LIMIT_CHUNK - s->chunk.length;
    if (used && gather(s, 1, body->data, used) && s->chunk.length == 0) return; /* no memory: try again */
  } else {
    used = feed_run(s, body->data, body->length);
  }
  if (!used) return;
  buf_consume(body, used);
  transfer_consumed(s->call->transfer);
}

/* ---- reading ---- */

static int fail(lua_State *L, struct stream *s, int n) {
  (void)L;
  s->state = STREAM_FAILED;
  return n;
}

/* The transfer has ended and everything was decoded. */
static int finish(lua_State *L, struct stream *s) {
  struct call *k = s->call;
  const char *text;
  if (s->frames.state == FRAMES_FAILED) {
    if (s->frames.error.length) {
      lx_pushexcerpt(L, s->frames.error.data, s->frames.error.length);
      text = lua_tostring(L, -1);
      return fail(L, s, call_fail(L, k, KIND_STREAM, "the Engine ended the stream: %s", text));
    }
    return fail(L, s, call_fail(L, k, KIND_PROTOCOL, "%s", s->frames.fault));
  }
  if (k->transfer->fault) return fail(L, s, call_fail_fault(L, k));
  if (!s->tty && frames_finish(&s->frames) != 0) {
    return fail(L, s, call_fail(L, k, KIND_INTERRUPTED, "the stream ended inside a frame: %s", s->frames.fault));
  }
  s->state = STREAM_ENDED;
  lua_pushnil(L);
  return 1;
}

static int read_k(lua_State *L, int status, lua_KContext ctx) {
  struct stream *s = lua_touserdata(L, 1);
  (void)status;
  for (;;) {
    struct call *k = s->call;
    if (!k) return luaL_error(L, "the stream was closed while it was read");
    decode(s);
    if (s->chunk.length) {
      lua_pushlstring(L, s->chunk.data, s->chunk.length);
      lua_pushstring(L, s->which == 2 ? "stderr" : "stdout");
      buf_clear(&s->chunk);
      s->which = 0;
      return 2;
    }
    if (s->frames.state == FRAMES_FAILED) return finish(L, s);
    if (k->transfer->body.length == 0 && k->transfer->done) return finish(L, s);
    if (k->wait->verdict == WAIT_READY) {
      wait_rearm(k->wait);
      if (k->transfer->body.length || k->transfer->done) continue;
    }
    if (k->wait->verdict != WAIT_PENDING) {
      int n = call_fail_verdict(L, k);
      transfer_abort(k->transfer);
      return fail(L, s, n);
    }
    loop_wait(L, k->wait, ctx, read_k);
  }
}

/* stream:read() -> chunk, "stdout"|"stderr" | nil (end) | nil, err */
static int meth_read(lua_State *L) {
  struct stream *s = luaL_checkudata(L, 1, STREAM_T);
  lua_settop(L, 1);
  switch (s->state) {
    case STREAM_CLOSED: return lx_misuse(L, "the stream is closed");
    case STREAM_ENDED: lua_pushnil(L); return 1;
    case STREAM_FAILED: return call_fail(L, s->call, KIND_STREAM, "the stream has failed already");
    case STREAM_OPEN: break;
  }
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
  lua_settop(L, 1);
  lua_pushcfunction(L, meth_read);
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 2, 0, each_k);
  return each_k(L, LUA_OK, 0);
}

static int meth_close(lua_State *L) {
  stream_free(luaL_checkudata(L, 1, STREAM_T));
  return 0;
}

static int meth_tostring(lua_State *L) {
  static const char *const states[] = {"open", "ended", "failed", "closed"};
  struct stream *s = luaL_checkudata(L, 1, STREAM_T);
  lua_pushfstring(L, "docker stream (%s)", states[s->state]);
  return 1;
}

int stream_take(lua_State *L, struct call *k, int tty) {
  struct stream *s = lua_newuserdatauv(L, sizeof *s, 2);
  memset(s, 0, sizeof *s);
  s->state = STREAM_CLOSED;
  s->tty = tty;
  frames_init(&s->frames);
  buf_init(&s->chunk, 2 * LIMIT_CHUNK + LIMIT_STREAM_BUFFER + LIMIT_JSON_ITEM);
  luaL_setmetatable(L, STREAM_T);
  lua_pushvalue(L, k->box);
  lua_setiuservalue(L, -2, 1);
  lx_option(L, k->options, "ctx");
  lua_setiuservalue(L, -2, 2);
  s->call = k;
  s->state = STREAM_OPEN;
  k->state = CALL_TAKEN;
  k->options = 0;            /* its table is on a stack that goes */
  k->transfer->wait = k->wait;
  if (k->transfer->body.length || k->transfer->done) wait_wake(k->wait, WAIT_READY);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3);      /* what a for loop closes */
  return 4;
}

void stream_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", meth_read}, {"close", meth_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__call", meth_each}, {"__gc", meth_close}, {"__close", meth_close}, {"__tostring", meth_tostring}, {NULL, NULL}
  };
  if (luaL_newmetatable(L, STREAM_T)) {
    luaL_setfuncs(L, meta, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}
