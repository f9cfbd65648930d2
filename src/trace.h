/* trace.h: tells the client's trace function of each request, once it has ended. */

#ifndef DW_TRACE_H
#define DW_TRACE_H

#include <lua.h>

#include "call.h"

void trace_begin(struct call *k); /* a request is about to be sent */
/* It has ended; harmless where it was told of already, or nobody traces. `n` are the results at the stack's top, from
** which its error is told: 2 for nil, err, or CALL_RAISE; 0 where it has not failed. */
void trace_end(lua_State *L, struct call *k, int n);

#endif
