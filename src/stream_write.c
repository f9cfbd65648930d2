/* stream_write.c: write() and close_write() of two-way streams (attach, exec). See stream.h.
**
** A write waits while LIMIT_UPLOAD_BUFFER is full, on a wait of its own, so that one task may write while another one
** reads. It fails alone: what the other side has still to say can be read all the same. */

#include <lauxlib.h>

#include "client.h"
#include "limits.h"
#include "stream.h"
#include "task.h"

static struct stream *check_two_way(lua_State *L) {
  struct stream *s = stream_check(L);
  if (!s->call->upgrade) lx_misuse(L, "this stream is for reading only");
  if (s->call->upload) lx_misuse(L, "the option 'stdin' writes to this stream");
  return s;
}

/* The wait is over, or has not begun. */
static void end_wait(struct stream *s) {
  if (s->call) s->call->transfer->writer = NULL;
  if (s->writer) wait_end(s->writer);
}

static void begin_wait(lua_State *L, struct stream *s) {
  struct call *k = s->call;
  struct context *context;
  if (!s->writer) s->writer = wait_new(k->client->loop);
  if (!s->writer) luaL_error(L, "not enough memory");
  lua_getiuservalue(L, 1, STREAM_OPTIONS);
  lx_option(L, lua_gettop(L), "ctx");
  context = context_test(L, -1);
  lua_pop(L, 2); /* the options table still holds it */
  wait_begin(s->writer, context, k->deadline);
  k->transfer->writer = s->writer;
}

/* Sends what there is room for; 1: that was all. */
static int send_bytes(lua_State *L, struct stream *s) {
  struct transfer *x = s->call->transfer;
  size_t length, room;
  const char *bytes = lua_tolstring(L, 2, &length);
  while (s->written < length && x->sends && (room = transfer_room(x)) > 0) {
    size_t count = length - s->written < room ? length - s->written : room;
    if (transfer_send(x, bytes + s->written, count) != BUF_OK) luaL_error(L, "not enough memory");
    s->written += count;
  }
  return s->written == length;
}

/* Stack: the stream, the bytes. */
static int write_k(lua_State *L, int status, lua_KContext ctx) {
  struct stream *s = lua_touserdata(L, 1);
  (void)status;
  (void)ctx;
  for (;;) {
    struct call *k = s->call;
    if (!k) return lx_fail(L, KIND_CANCELLED, NULL, "the stream was closed while it was written");
    if (!k->transfer->sends) {
      end_wait(s);
      if (k->transfer->fault) return call_fail_fault(L, k);
      return call_fail(L, k, KIND_INTERRUPTED, "the other side has closed the stream");
    }
    if (send_bytes(L, s)) {
      if (k->transfer->writer) task_owe_cancel(k->client->loop, s->writer);
      end_wait(s);
      lua_pushboolean(L, 1);
      return 1;
    }
    if (!k->transfer->writer) begin_wait(L, s);
    wait_rearm(s->writer);
    if (s->writer->verdict != WAIT_PENDING) {
      int n = call_fail_wait(L, k, s->writer);
      end_wait(s);
      return n;
    }
    loop_wait(L, s->writer, 0, write_k);
  }
}

int stream_write(lua_State *L) {
  struct stream *s = check_two_way(L);
  luaL_checktype(L, 2, LUA_TSTRING);
  lua_settop(L, 2);
  if (s->closed_write) return lx_misuse(L, "this stream's writing side is closed already");
  if (s->writer && s->writer->task) return lx_misuse(L, "another task is writing to this stream");
  s->written = 0;
  return write_k(L, LUA_OK, 0);
}

int stream_close_write(lua_State *L) {
  struct stream *s = check_two_way(L);
  s->closed_write = 1;
  transfer_send_end(s->call->transfer);
  lua_pushboolean(L, 1);
  return 1;
}
