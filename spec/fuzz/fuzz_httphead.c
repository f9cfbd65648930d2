/* fuzz_httphead.c: any bytes as an HTTP/1 reply.
** fuzz: src/httphead.c src/buf.c
**
** What must hold: fed whole, byte by byte, and in chunks of odd sizes, the outcome is the same: head, framing, body,
** how many bytes were taken, the fault. Nothing is taken behind the end, header lines stay within their limit and
** hold no byte that could start another line, and failed stays failed. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "httphead.h"
#include "limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int truth) {
  if (!truth) abort();
}

struct outcome {
  struct httphead head;
  struct httpbody body;
  struct buf lines, bytes;
  size_t consumed;
  int stop, complete;
};

static int sink(void *context, const char *bytes, size_t count) {
  struct outcome *o = context;
  check(count > 0);
  check(buf_append(&o->bytes, bytes, count) == BUF_OK);
  return o->stop;
}

static size_t feed(struct outcome *o, const char *bytes, size_t count) {
  size_t used = 0;
  if (o->head.state != HTTPHEAD_DONE) {
    used = httphead_feed(&o->head, bytes, count);
    check(used <= count);
    if (o->head.state != HTTPHEAD_DONE) return used;
    httpbody_init(&o->body, o->head.framing, o->head.length);
  }
  used += httpbody_feed(&o->body, bytes + used, count - used, sink, o);
  check(used <= count);
  return used;
}

/* chunk: bytes at a time; 0: all at once. */
static void run(struct outcome *o, const uint8_t *data, size_t size, size_t chunk, int stop) {
  memset(o, 0, sizeof *o);
  o->stop = stop;
  buf_init(&o->lines, LIMIT_HEADERS);
  buf_init(&o->bytes, SIZE_MAX);
  httphead_init(&o->head, &o->lines);
  while (o->consumed < size) {
    size_t count = size - o->consumed, used;
    char *copy;
    if (chunk && count > chunk) count = chunk;
    copy = malloc(count); /* of the exact size: a read too far is seen */
    check(copy != NULL);
    memcpy(copy, data + o->consumed, count);
    used = feed(o, copy, count);
    free(copy);
    o->consumed += used;
    if (used < count && !(stop && used > 0)) break;
  }
  check((o->head.state == HTTPHEAD_FAILED) == (o->head.fault != NULL));
  check((o->body.state == HTTPBODY_FAILED) == (o->body.fault != NULL));
  if (o->head.state == HTTPHEAD_FAILED) check(httphead_feed(&o->head, "\n", 1) == 0);
  if (o->head.state == HTTPHEAD_DONE) {
    check(o->head.status >= 101 && o->head.status <= 999);
    check(o->lines.length <= LIMIT_HEADERS && (o->lines.length == 0 || o->lines.data[o->lines.length - 1] == '\n'));
    o->complete = httpbody_finish(&o->body) == 0;
    check(!(o->complete && o->body.fault));
  }
}

static void release(struct outcome *o) {
  httphead_free(&o->head);
  buf_free(&o->lines);
  buf_free(&o->bytes);
}

static int same(const struct buf *a, const struct buf *b) {
  return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

static void compare(const struct outcome *whole, const uint8_t *data, size_t size, size_t chunk, int stop) {
  struct outcome o;
  run(&o, data, size, chunk, stop);
  check(o.head.state == whole->head.state && o.head.status == whole->head.status);
  check(o.head.fault == whole->head.fault && o.head.limit == whole->head.limit);
  check(o.consumed == whole->consumed || o.head.state == HTTPHEAD_FAILED);
  check(o.complete == whole->complete);
  check(o.body.state == whole->body.state && o.body.fault == whole->body.fault);
  check(same(&whole->lines, &o.lines) && same(&whole->bytes, &o.bytes));
  release(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct outcome whole;
  size_t i;
  run(&whole, data, size, 0, 0);
  for (i = 0; whole.head.state == HTTPHEAD_DONE && i < whole.lines.length; i++) {
    check(whole.lines.data[i] != '\0' && (whole.lines.data[i] != '\r' || whole.lines.data[i + 1] == '\n'));
  }
  compare(&whole, data, size, 1, 0);
  compare(&whole, data, size, 7, 0);
  compare(&whole, data, size, 0, 1);
  release(&whole);
  return 0;
}
