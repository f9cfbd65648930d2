/* httphead.h: the head of an HTTP/1 reply, and where its body ends. Pure: bytes in, values out.
**
** For connections that libcurl does not speak HTTP on (duplex.c). Bytes come split anywhere; a failed parser stays
** failed and says why. Strict where a mistake would be dangerous: a reply whose length can be read in two ways, folded
** lines, names with blanks, control characters and bytes that are no HTTP are refused. */

#ifndef DW_HTTPHEAD_H
#define DW_HTTPHEAD_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum httphead_state { HTTPHEAD_STATUS, HTTPHEAD_LINES, HTTPHEAD_DONE, HTTPHEAD_FAILED };

enum http_framing {
  HTTP_NO_BODY,  /* 204, 304 */
  HTTP_LENGTH,
  HTTP_CHUNKED,
  HTTP_CLOSE,    /* until the connection ends */
  HTTP_UPGRADED  /* 101: what follows is no HTTP */
};

struct httphead {
  enum httphead_state state;
  int status;               /* of the last status line */
  int minor;                /* HTTP/1.minor */
  enum http_framing framing;
  uint64_t length;          /* HTTP_LENGTH */
  const char *fault;        /* FAILED: what was wrong (static) */
  const char *limit;        /* …or the name of the limit that was hit */
  int no_memory;
  /* its own */
  struct buf line, *lines;
  size_t total;             /* bytes of the head so far, informational replies included */
  int has_length, has_coding;
};

/* Header lines of the final reply are appended to `lines`, each with its CRLF, status line excluded; informational
** replies (100) are skipped. */
void httphead_init(struct httphead *h, struct buf *lines);
/* Takes bytes up to the end of the head; answers how many. */
size_t httphead_feed(struct httphead *h, const char *bytes, size_t count);
void httphead_free(struct httphead *h);

enum httpbody_state {
  HTTPBODY_DATA, HTTPBODY_SIZE, HTTPBODY_SIZE_END, HTTPBODY_EXTENSION, HTTPBODY_LINE_END, HTTPBODY_DATA_END,
  HTTPBODY_DATA_LINE_END, HTTPBODY_TRAILER, HTTPBODY_TRAILER_LINE, HTTPBODY_LAST_LINE_END, HTTPBODY_DONE,
  HTTPBODY_FAILED
};

struct httpbody {
  enum httpbody_state state;
  enum http_framing framing;
  uint64_t left;            /* of the body, or of the chunk */
  size_t count;             /* bytes of a size line, or of all trailers */
  const char *fault, *limit;
};

void httpbody_init(struct httpbody *b, enum http_framing framing, uint64_t length);
/* Gives the body's bytes to sink, as far as they have come; sink answers 0, or 1 to stop behind that piece. Answers how
** many bytes were taken; none behind the body's end. */
size_t httpbody_feed(struct httpbody *b, const char *bytes, size_t count,
                     int (*sink)(void *context, const char *bytes, size_t count), void *context);
/* The connection has ended: 0 if the body is complete, else -1. */
int httpbody_finish(struct httpbody *b);

#endif
