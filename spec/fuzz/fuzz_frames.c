/* fuzz_frames.c: any bytes as multiplexed stdio.
** fuzz: src/frames.c src/buf.c
**
** What must hold: fed whole, byte by byte, and in chunks of odd sizes, the outcome is the same: the bytes of each
** stream in their order, how many were consumed, the fault and the daemon's text. A reader that stops at each piece
** gets the same, too, and so does one that has runs gathered, in place, into as little room as it likes. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int truth) {
  if (!truth) abort();
}

/* Each byte of payload with its stream before it. */
struct outcome {
  struct buf seen;
  size_t consumed;
  int stop;
  struct frames frames;
};

static int sink(void *context, int stream, const char *bytes, size_t count) {
  struct outcome *o = context;
  size_t i;
  check(count > 0 && (stream == 1 || stream == 2));
  for (i = 0; i < count; i++) {
    check(buf_putc(&o->seen, (char)stream) == BUF_OK);
    check(buf_putc(&o->seen, bytes[i]) == BUF_OK);
  }
  return o->stop;
}

/* chunk: bytes at a time; 0: all at once. */
static void run(struct outcome *o, const uint8_t *data, size_t size, size_t chunk, int stop) {
  memset(o, 0, sizeof *o);
  o->stop = stop;
  buf_init(&o->seen, SIZE_MAX);
  frames_init(&o->frames);
  while (o->consumed < size) {
    size_t count = size - o->consumed, used;
    char *copy;
    if (chunk && count > chunk) count = chunk;
    copy = malloc(count); /* of the exact size: a read too far is seen */
    check(copy != NULL);
    memcpy(copy, data + o->consumed, count);
    used = frames_feed(&o->frames, copy, count, sink, o);
    free(copy);
    check(used <= count);
    o->consumed += used;
    if (o->frames.state == FRAMES_FAILED) break;
    check(stop ? used > 0 : used == count);
  }
  check((frames_finish(&o->frames) == 0) == (o->frames.fault == NULL));
  /* failed stays failed */
  check(frames_feed(&o->frames, "\1\0\0\0\0\0\0\1x", 9, sink, o) == (o->frames.fault ? 0 : 9));
}

static void release(struct outcome *o) {
  buf_free(&o->seen);
  frames_free(&o->frames);
}

static int same(const struct buf *a, const struct buf *b) {
  return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

static void compare(const struct outcome *whole, const uint8_t *data, size_t size, size_t chunk, int stop) {
  struct outcome o;
  run(&o, data, size, chunk, stop);
  check(same(&whole->seen, &o.seen) && same(&whole->frames.error, &o.frames.error));
  check(whole->consumed == o.consumed && whole->frames.fault == o.frames.fault);
  release(&o);
}

/* The same by frames_gather. */
static void gather(const struct outcome *whole, const uint8_t *data, size_t size, size_t chunk, size_t room) {
  struct outcome o;
  memset(&o, 0, sizeof o);
  buf_init(&o.seen, SIZE_MAX);
  frames_init(&o.frames);
  while (o.consumed < size) {
    size_t count = size - o.consumed, used, made;
    int stream;
    char *copy;
    if (chunk && count > chunk) count = chunk;
    copy = malloc(count);
    check(copy != NULL);
    memcpy(copy, data + o.consumed, count);
    used = frames_gather(&o.frames, copy, count, copy, room, &made, &stream);
    check(used <= count && made <= used && made <= room && (used > 0 || o.frames.state == FRAMES_FAILED));
    if (made) sink(&o, stream, copy, made);
    free(copy);
    o.consumed += used;
    if (o.frames.state == FRAMES_FAILED) break;
  }
  (void)frames_finish(&o.frames);
  (void)frames_feed(&o.frames, "\1\0\0\0\0\0\0\1x", 9, sink, &o); /* as run does */
  check(same(&whole->seen, &o.seen) && same(&whole->frames.error, &o.frames.error));
  check(whole->consumed == o.consumed && whole->frames.fault == o.frames.fault);
  release(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct outcome whole;
  run(&whole, data, size, 0, 0);
  check(whole.frames.error.length <= LIMIT_ERROR_BODY);
  compare(&whole, data, size, 1, 0);
  compare(&whole, data, size, 7, 0);
  compare(&whole, data, size, 0, 1);
  gather(&whole, data, size, 0, 1 << 20);
  gather(&whole, data, size, 0, 3);
  gather(&whole, data, size, 1, 1);
  gather(&whole, data, size, 7, 5);
  release(&whole);
  return 0;
}
