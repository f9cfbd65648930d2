/* jsonseq.c: see jsonseq.h.
**
** Inside brackets only strings, brackets and depth count; whether "[}" is JSON is json_parse's question. At the top,
** a number or word ends at a separator or where a bracket or a string begins; a string ends at its quote.
**
** A record separator can't be part of any JSON text. RFC 7464 has it mark the start of the next one, so it also ends
** a value that was cut before it: json_parse refuses what there is, and nobody waits for a bracket that never comes. */

#include "jsonseq.h"

#include <string.h>

#include "limits.h"

#define RECORD_SEPARATOR '\x1E'

void jsonseq_init(struct jsonseq *s) {
  memset(s, 0, sizeof *s);
}

static int is_separator(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == RECORD_SEPARATOR;
}

/* Looks at the next byte of a value. 0: the value goes on behind it; 1: it ends with this byte; 2: it ended before. */
static int step(struct jsonseq *s, char c) {
  if (c == RECORD_SEPARATOR) return 2;
  if (s->string) {
    if (s->escape) s->escape = 0;
    else if (c == '\\') s->escape = 1;
    else if (c == '"') s->string = 0;
    return !s->string && s->depth == 0;
  }
  if (s->scalar && (is_separator(c) || c == '{' || c == '[' || c == '"')) return 2;
  switch (c) {
    case '"':
      s->string = 1;
      return 0;
    case '{': case '[':
      s->depth++;
      return 0;
    case '}': case ']':
      if (s->depth > 0) return --s->depth == 0;
      break;
    default:
      break;
  }
  if (s->depth == 0) s->scalar = 1; /* a number or word, or a stray byte that json_parse will name */
  return 0;
}

int jsonseq_next(struct jsonseq *s, const char *bytes, size_t count, size_t *start, size_t *end) {
  size_t first = 0, i;
  while (first < count && is_separator(bytes[first])) first++;
  *start = *end = first;
  for (i = first + s->scanned; i < count; i++) {
    int verdict = step(s, bytes[i]);
    s->started = 1;
    if (verdict != 2) s->scanned++;
    if (s->scanned > LIMIT_JSON_ITEM) return -1;
    if (verdict != 0) {
      *end = first + s->scanned;
      jsonseq_init(s);
      return 1;
    }
  }
  return s->scanned > LIMIT_JSON_ITEM ? -1 : 0;
}

int jsonseq_finish(struct jsonseq *s, const char *bytes, size_t count, size_t *start, size_t *end) {
  int found = jsonseq_next(s, bytes, count, start, end);
  if (found != 0) return found;
  if (!s->started) return 0;
  if (!s->scalar) return -1;
  *end = *start + s->scanned;
  jsonseq_init(s);
  return 1;
}
