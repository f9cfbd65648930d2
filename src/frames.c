/* frames.c: see frames.h.
**
** Stricter than the Engine's own reader in one point: the three bytes behind the stream's number must be 0, so that raw
** terminal output read as frames is found out at its first bytes and not taken for a frame of a gigabyte. */

#include "frames.h"

#include <string.h>

#include "limits.h"

enum { TYPE_STDIN, TYPE_STDOUT, TYPE_STDERR, TYPE_ERROR };

static const char fault_padding[] = "not a stream of frames (bytes 2 to 4 of a header are not 0)";
static const char fault_type[] = "a frame of unknown type (0 to 3 expected)";
static const char fault_length[] = "a frame is longer than LIMIT_FRAME";
static const char fault_daemon[] = "the daemon ended the stream with an error";
static const char fault_header[] = "the stream was cut inside a frame's header";
static const char fault_payload[] = "the stream was cut inside a frame";

void frames_init(struct frames *f) {
  memset(f, 0, sizeof *f);
  f->state = FRAMES_HEADER;
  buf_init(&f->error, LIMIT_ERROR_BODY);
}

void frames_free(struct frames *f) {
  buf_free(&f->error);
}

static void fail(struct frames *f, const char *fault) {
  f->state = FRAMES_FAILED;
  f->fault = fault;
}

/* A whole header has come: what follows it? */
static void start_frame(struct frames *f) {
  const unsigned char *h = f->header;
  f->have = 0;
  f->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | (uint32_t)h[7];
  if (h[1] || h[2] || h[3]) {
    fail(f, fault_padding);
  } else if (h[0] > TYPE_ERROR) {
    fail(f, fault_type);
  } else if (f->left > LIMIT_FRAME) {
    fail(f, fault_length);
  } else if (h[0] == TYPE_ERROR) {
    f->state = FRAMES_ERROR_TEXT;
    if (f->left == 0) fail(f, fault_daemon);
  } else {
    f->stream = h[0] == TYPE_STDERR ? 2 : 1;
    f->state = f->left ? FRAMES_PAYLOAD : FRAMES_HEADER;
  }
}

static size_t feed_header(struct frames *f, const char *bytes, size_t count) {
  size_t n = sizeof f->header - f->have;
  if (n > count) n = count;
  memcpy(f->header + f->have, bytes, n);
  f->have += n;
  if (f->have == sizeof f->header) start_frame(f);
  return n;
}

/* The daemon's message: as much of it as we keep. */
static size_t feed_error(struct frames *f, const char *bytes, size_t count) {
  size_t n = count < f->left ? count : f->left;
  size_t room = f->error.cap - f->error.length;
  (void)buf_append(&f->error, bytes, n < room ? n : room); /* without memory, the fault alone must do */
  f->left -= (uint32_t)n;
  if (f->left == 0) fail(f, fault_daemon);
  return n;
}

size_t frames_feed(struct frames *f, const char *bytes, size_t count, frames_sink sink, void *context) {
  size_t used = 0;
  while (used < count) {
    size_t n = count - used;
    switch (f->state) {
      case FRAMES_HEADER:
        used += feed_header(f, bytes + used, n);
        break;
      case FRAMES_PAYLOAD:
        if (n > f->left) n = f->left;
        f->left -= (uint32_t)n;
        if (f->left == 0) f->state = FRAMES_HEADER;
        used += n;
        if (sink(context, f->stream, bytes + used - n, n) != 0) return used;
        break;
      case FRAMES_ERROR_TEXT:
        used += feed_error(f, bytes + used, n);
        break;
      case FRAMES_FAILED:
        return used;
    }
  }
  return used;
}

size_t frames_gather(struct frames *f, const char *bytes, size_t count, char *out, size_t room, size_t *made,
                     int *stream) {
  size_t used = 0;
  *made = 0;
  *stream = 0;
  while (used < count && *made < room) {
    size_t n = count - used;
    switch (f->state) {
      case FRAMES_HEADER:
        if (*made > 0 && f->have == 0 && (bytes[used] == TYPE_STDERR ? 2 : 1) != *stream) return used;
        used += feed_header(f, bytes + used, n);
        break;
      case FRAMES_PAYLOAD:
        if (n > f->left) n = f->left;
        if (n > room - *made) n = room - *made;
        *stream = f->stream;
        memmove(out + *made, bytes + used, n);
        *made += n;
        used += n;
        f->left -= (uint32_t)n;
        if (f->left == 0) f->state = FRAMES_HEADER;
        break;
      case FRAMES_ERROR_TEXT:
        used += feed_error(f, bytes + used, n);
        break;
      case FRAMES_FAILED:
        return used;
    }
  }
  return used;
}

int frames_too_long(const struct frames *f) {
  return f->fault == fault_length;
}

int frames_finish(struct frames *f) {
  switch (f->state) {
    case FRAMES_HEADER:
      if (f->have > 0) fail(f, fault_header);
      break;
    case FRAMES_PAYLOAD:
      fail(f, fault_payload);
      break;
    case FRAMES_ERROR_TEXT: /* cut, but what it says matters more */
      fail(f, fault_daemon);
      break;
    case FRAMES_FAILED:
      break;
  }
  return f->state == FRAMES_FAILED ? -1 : 0;
}
