/* jsonseq.h: finds the JSON values in a stream of them: one after another, with newlines (NDJSON), concatenated, or
** with RFC 7464's record separators (0x1E); split anywhere. It only finds where values end (it counts braces and
** looks at strings); json_parse then judges each. Pure. */

#ifndef DW_JSONSEQ_H
#define DW_JSONSEQ_H

#include <stddef.h>

struct jsonseq {
  size_t scanned; /* bytes of the value at hand that were looked at already */
  int depth;      /* open brackets */
  int string;     /* inside a string? */
  int escape;     /* behind a backslash? */
  int scalar;     /* inside a top-level number or word? */
  int started;    /* any byte of a value seen? */
};

void jsonseq_init(struct jsonseq *s);

/* Looks at bytes[0..count), the unconsumed input from the start of the value at hand (give the same bytes again with
** more behind them: what was scanned is not scanned twice). 1: a value is at [*start, *end), consume *end bytes;
** 0: not complete yet, *start bytes of separators may be consumed; -1: the value is longer than LIMIT_JSON_ITEM. */
int jsonseq_next(struct jsonseq *s, const char *bytes, size_t count, size_t *start, size_t *end);

/* The input has ended with bytes[0..count) left: 1: a last value (a top-level number or word), 0: nothing but
** separators, -1: it was cut inside a value. */
int jsonseq_finish(struct jsonseq *s, const char *bytes, size_t count, size_t *start, size_t *end);

#endif
