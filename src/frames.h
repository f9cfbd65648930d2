/* frames.h: the Engine's multiplexed stdio: 8-byte header {stream, 0,0,0, big-endian length}, then the payload.
**
** A state machine: feed it bytes as they come, split anywhere; it calls back for each piece of payload (a frame may
** come in several pieces; zero-length frames make none). Streams 0 and 1 are stdout, 2 is stderr, 3 is an error of the
** daemon that ends the stream: its text is collected (up to LIMIT_ERROR_BODY) for frames_error. "Failed" is a state it
** stays in. The end of input is a call: inside a header or a payload it is an error. Pure. */

#ifndef DW_FRAMES_H
#define DW_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum frames_state { FRAMES_HEADER, FRAMES_PAYLOAD, FRAMES_ERROR_TEXT, FRAMES_FAILED };

struct frames {
  enum frames_state state;
  unsigned char header[8];
  size_t have;            /* bytes of the header so far */
  uint32_t left;          /* bytes of the payload still to come */
  int stream;             /* of the frame at hand: 1 stdout, 2 stderr */
  struct buf error;       /* text of a type 3 frame */
  const char *fault;      /* static text, once failed */
};

/* Called with a piece of payload: stream is 1 or 2. Answers 0 to go on; else feed stops there. */
typedef int (*frames_sink)(void *context, int stream, const char *bytes, size_t count);

void frames_init(struct frames *f);
void frames_free(struct frames *f);
/* Bytes consumed: all of them, unless sink stopped it (then up to and with the piece it was given) or it failed
** (f->state is FRAMES_FAILED, f->fault says why). */
size_t frames_feed(struct frames *f, const char *bytes, size_t count, frames_sink sink, void *context);
/* Takes frames of one output stream only, as far as they go, and puts their payloads together at `out`, which has room
** for so many bytes; out may be `bytes` itself, or lie before it. Answers the bytes consumed; *made bytes are at out
** then, all of stream *stream (1 or 2). Stops before a frame of the other stream, at the end of the room, and when it
** failed. */
size_t frames_gather(struct frames *f, const char *bytes, size_t count, char *out, size_t room, size_t *made,
                     int *stream);
int frames_too_long(const struct frames *f); /* has it failed by LIMIT_FRAME? */
int frames_finish(struct frames *f); /* the input has ended: 0, or -1 and FRAMES_FAILED */

#endif
