/* buf.h: a growing byte buffer with a cap.
**
** A buffer never grows past its cap: buf_append answers BUF_FULL, and the caller reports the limit by
** its name. Memory is the C heap's; whoever embeds a buffer calls buf_free. A zeroed struct is an
** empty buffer with no cap at all, so set one with buf_init. No Lua, no I/O. */

#ifndef DW_BUF_H
#define DW_BUF_H

#include <stddef.h>

struct buf {
  char *data;    /* the bytes; NULL while nothing was allocated; not NUL-terminated */
  size_t length; /* bytes in use */
  size_t size;   /* bytes allocated */
  size_t cap;    /* length never exceeds this */
};

enum buf_status { BUF_OK = 0, BUF_FULL = -1, BUF_NO_MEMORY = -2 };

void buf_init(struct buf *b, size_t cap);
void buf_free(struct buf *b);                 /* leaves an empty buffer with the same cap */
void buf_clear(struct buf *b);                /* length 0; keeps the memory */
void buf_shrink(struct buf *b, size_t keep);  /* buf_clear, and frees what is beyond keep bytes */
int buf_reserve(struct buf *b, size_t more);  /* room for more bytes behind length */
int buf_append(struct buf *b, const void *bytes, size_t count);
int buf_puts(struct buf *b, const char *text);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t count); /* drops count bytes at the front */

/* Percent-encodes count bytes, all but the unreserved characters of RFC 3986 and those of keep. */
int buf_percent(struct buf *b, const char *bytes, size_t count, const char *keep);

#endif
