/* pullerror.h: nil, err from what the Engine or a registry says about a pull, a push, a build or a load that failed. */

#ifndef DW_PULLERROR_H
#define DW_PULLERROR_H

#include <lua.h>

#include "call.h"

/* Answers 2. `code` is the HTTP status, or the code of an errorDetail inside a 200; 0: none. Credentials of the call
** are struck out of the text. */
int pull_fail(lua_State *L, struct call *k, int code, const char *text, size_t length);
/* k->doc is one value of a progress stream: 0, or nil, err and 2 where it reports a failure (errorDetail; older
** Engines: error). */
int pull_check_value(lua_State *L, struct call *k);
/* The same from a reply with an error status, whose body is `body`. */
int pull_refused(lua_State *L, struct call *k, const struct buf *body);

#endif
