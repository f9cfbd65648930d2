/* stream_decode.h: from the bytes of a reply, as they come, to the items that a stream's read() gives. */

#ifndef DW_STREAM_DECODE_H
#define DW_STREAM_DECODE_H

#include <lua.h>

#include "call.h"
#include "frames.h"
#include "jsonseq.h"

enum stream_kind {
  STREAM_FRAMES,   /* framed stdio: chunk, "stdout"|"stderr" */
  STREAM_BARE,     /* the same of a TTY, which has no frames: all is stdout */
  STREAM_ITEMS,    /* JSON values: tables */
  STREAM_PROGRESS, /* JSON values, of which one that reports a failure ends the stream */
  STREAM_BYTES     /* strings of at most LIMIT_CHUNK bytes */
};

struct decoder {
  enum stream_kind kind;
  struct frames frames;
  struct jsonseq seq;
  size_t at;           /* bytes at the front of the transfer's buffer that are spent */
  size_t chunk, ready; /* … among which, from `chunk` on, so many are a chunk that is still to be handed out */
  int which;           /* output stream of that chunk: 1 stdout, 2 stderr */
};

void decoder_init(struct decoder *d, enum stream_kind kind);
void decoder_free(struct decoder *d);

#define DECODER_FAILED (-1) /* nil, err are pushed */

/* Pushes the next item of what has come: answers how many values it is, 0 where more bytes are wanted, or
** DECODER_FAILED. May raise for want of memory; nothing is lost then. */
int decoder_next(lua_State *L, struct call *k, struct decoder *d);
/* The same for a chunk that is there already, and nothing else: needs no more of the stack than its values, and never
** fails. */
int decoder_quick(lua_State *L, struct call *k, struct decoder *d);
/* The reply is complete and decoder_next wants more: pushes a last item or nil (1), or DECODER_FAILED. */
int decoder_finish(lua_State *L, struct call *k, struct decoder *d);

#endif
