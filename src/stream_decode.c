/* stream_decode.c: see stream_decode.h.
**
** Chunks are put together in the transfer's own buffer, where they have arrived: payloads move down over the headers
** of their frames, and one Lua string is made of them. So a busy log costs few Lua values and one copy: a chunk is
** what was there, at most LIMIT_CHUNK bytes, all of it stdout or all of it stderr. What is spent stays at the front
** until next to nothing is left behind it: moving the rest then costs next to nothing in all.
**
** JSON values are found by jsonseq.c and judged by json.c; each is a table, and one that is cut, or is longer than
** LIMIT_JSON_ITEM, is a failure and never a shorter stream. */

#include "stream_decode.h"

#include "client.h"
#include "jsonlua.h"
#include "limits.h"
#include "pullerror.h"

void decoder_init(struct decoder *d, enum stream_kind kind) {
  d->kind = kind;
  d->at = d->chunk = d->ready = 0;
  d->which = 0;
  frames_init(&d->frames);
  jsonseq_init(&d->seq);
}

void decoder_free(struct decoder *d) {
  frames_free(&d->frames);
}

/* ---- the buffer ---- */

/* Spent bytes go; the transfer goes on if it was waiting for room, or if what is left is no use alone. */
static void give_back(struct call *k, struct decoder *d, int useless) {
  struct buf *body = &k->transfer->body;
  if (useless || d->at / 8 >= body->length - d->at) {
    buf_consume(body, d->at);
    d->at = 0;
  }
  if (useless) transfer_needs_more(k->transfer);
  else transfer_consumed(k->transfer);
}

/* ---- chunks ---- */

static int push_chunk(lua_State *L, struct call *k, struct decoder *d) {
  lua_pushlstring(L, k->transfer->body.data + d->chunk, d->ready);
  d->ready = 0;
  give_back(k, d, 0);
  if (d->kind == STREAM_BYTES) return 1;
  lua_pushstring(L, d->which == 2 ? "stderr" : "stdout");
  return 2;
}

static int fail_frames(lua_State *L, struct call *k, const struct frames *f) {
  if (!f->error.length) {
    call_fail(L, k, frames_too_long(f) ? KIND_TOO_LARGE : KIND_PROTOCOL, "%s", f->fault);
    return DECODER_FAILED;
  }
  lx_pushexcerpt(L, f->error.data, f->error.length);
  call_fail(L, k, KIND_STREAM, "the Engine ended the stream: %s", lua_tostring(L, -1));
  return DECODER_FAILED;
}

int decoder_quick(lua_State *L, struct call *k, struct decoder *d) {
  struct buf *body = &k->transfer->body;
  size_t left = body->length - d->at;
  if (d->kind == STREAM_ITEMS || d->kind == STREAM_PROGRESS) return 0;
  if (d->ready) return push_chunk(L, k, d); /* the last time, Lua had no memory for it */
  if (left == 0 || d->frames.state == FRAMES_FAILED) return 0;
  d->chunk = d->at;
  if (d->kind == STREAM_FRAMES) {
    char *bytes = body->data + d->at;
    d->at += frames_gather(&d->frames, bytes, left, bytes, LIMIT_CHUNK, &d->ready, &d->which);
  } else {
    d->which = 1;
    d->ready = left < LIMIT_CHUNK ? left : LIMIT_CHUNK;
    d->at += d->ready;
  }
  return d->ready ? push_chunk(L, k, d) : 0;
}

static int next_chunk(lua_State *L, struct call *k, struct decoder *d) {
  int n = decoder_quick(L, k, d);
  if (n > 0) return n;
  if (d->at > 0) give_back(k, d, 1);
  return d->frames.state == FRAMES_FAILED ? fail_frames(L, k, &d->frames) : 0;
}

/* ---- JSON values ---- */

/* One value: 1, or DECODER_FAILED. */
static int push_item(lua_State *L, struct call *k, struct decoder *d, const char *text, size_t length) {
  struct json_fault fault = {0, "an object is expected"};
  if (json_parse(&k->doc, text, length, &fault) != 0 || !json_is(&k->doc, 0, JSON_OBJECT)) {
    k->doc.used = 0;
    lx_pushexcerpt(L, text, length);
    call_fail(L, k, KIND_PROTOCOL, "an item of the stream of %s is not JSON (%s at byte %d): %s", k->client->host,
              fault.reason, (int)fault.offset, lua_tostring(L, -1));
    return DECODER_FAILED;
  }
  if (d->kind == STREAM_PROGRESS && pull_check_value(L, k) != 0) return DECODER_FAILED;
  jsonlua_push(L, &k->doc, 0);
  return 1;
}

static int next_item(lua_State *L, struct call *k, struct decoder *d) {
  struct buf *body = &k->transfer->body;
  size_t start, end;
  int found, n;
  if (body->length == d->at) return 0;
  found = jsonseq_next(&d->seq, body->data + d->at, body->length - d->at, &start, &end);
  if (found < 0) {
    call_fail(L, k, KIND_TOO_LARGE, "an item of the stream of %s is larger than LIMIT_JSON_ITEM allows",
              k->client->host);
    return DECODER_FAILED;
  }
  if (found == 0) {
    d->at += start;
    give_back(k, d, 1);
    return 0;
  }
  n = push_item(L, k, d, body->data + d->at + start, end - start);
  d->at += end;
  give_back(k, d, 0);
  return n;
}

/* ---- both ---- */

int decoder_next(lua_State *L, struct call *k, struct decoder *d) {
  switch (d->kind) {
    case STREAM_FRAMES:
    case STREAM_BARE:
    case STREAM_BYTES: return next_chunk(L, k, d);
    case STREAM_ITEMS:
    case STREAM_PROGRESS: break;
  }
  return next_item(L, k, d);
}

int decoder_finish(lua_State *L, struct call *k, struct decoder *d) {
  struct buf *body = &k->transfer->body;
  if (d->kind == STREAM_FRAMES && frames_finish(&d->frames) != 0) {
    if (d->frames.error.length) return fail_frames(L, k, &d->frames);
    call_fail(L, k, KIND_INTERRUPTED, "the stream ended inside a frame: %s", d->frames.fault);
    return DECODER_FAILED;
  }
  if (body->length > d->at && (d->kind == STREAM_ITEMS || d->kind == STREAM_PROGRESS)) {
    size_t start, end;
    int found = jsonseq_finish(&d->seq, body->data + d->at, body->length - d->at, &start, &end);
    if (found < 0) {
      call_fail(L, k, KIND_INTERRUPTED, "the connection to %s ended inside an item", k->client->host);
      return DECODER_FAILED;
    }
    if (found > 0) return push_item(L, k, d, body->data + d->at + start, end - start); /* no object: it fails */
  }
  lua_pushnil(L);
  return 1;
}
