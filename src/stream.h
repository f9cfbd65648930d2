/* stream.h: the one stream primitive: read() gives an item, nil at the end, or nil, err.
**
** A stream owns a call whose reply is still coming. It reads into the transfer's bounded buffer; when nobody reads,
** the transfer is paused and the Engine with it. Closing it (close, __close, __gc, the end of a for loop) closes the
** connection. What an item is depends on the stream's kind (stream_decode.h). */

#ifndef DW_STREAM_H
#define DW_STREAM_H

#include <lua.h>

#include "call.h"
#include "stream_decode.h"

#define STREAM_T "docker_watcher.stream"

enum stream_state { STREAM_OPEN, STREAM_ENDED, STREAM_FAILED, STREAM_CLOSED };

struct stream {
  enum stream_state state;
  struct call *call;   /* its box is our user value; NULL when closed */
  struct decoder decoder;
  struct wait *writer; /* of write(), apart from read()'s, which is the call's; NULL: never needed */
  size_t written;      /* by the write that waits */
  int closed_write;    /* close_write was called */
};

/* User values of a stream: the call's box, its options. */
enum { STREAM_CALL = 1, STREAM_OPTIONS };

struct stream *stream_check(lua_State *L); /* the argument 1; raises where it is closed */

/* In a finish function of call_run_open: makes the call a stream and answers its results (the stream, and what a for
** loop needs to close it). */
int stream_take(lua_State *L, struct call *k, enum stream_kind kind);

/* stream_write.c: the other direction of a two-way stream. */
int stream_write(lua_State *L);       /* stream:write(bytes) -> true | nil, err */
int stream_close_write(lua_State *L); /* stream:close_write() -> true */

void stream_open(lua_State *L);

#endif
