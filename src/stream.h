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

/* In a finish function of call_run_open: makes the call a stream and answers its results (the stream, and what a for
** loop needs to close it). */
int stream_take(lua_State *L, struct call *k, enum stream_kind kind);

void stream_open(lua_State *L);

#endif
