/* buf.c: see buf.h. */

#include "buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256 /* the first allocation; small requests need no second */

void buf_init(struct buf *b, size_t cap) {
  memset(b, 0, sizeof *b);
  b->cap = cap;
}

void buf_free(struct buf *b) {
  free(b->data);
  buf_init(b, b->cap);
}

void buf_clear(struct buf *b) {
  b->length = 0;
}

void buf_shrink(struct buf *b, size_t keep) {
  if (b->size > keep) buf_free(b);
  else b->length = 0;
}

int buf_reserve(struct buf *b, size_t more) {
  size_t size = b->size ? b->size : BUF_FIRST;
  char *data;
  if (more > b->cap - b->length) return BUF_FULL;
  if (b->length + more <= b->size) return BUF_OK;
  while (size < b->length + more) {
    if (size > SIZE_MAX / 2) return BUF_NO_MEMORY;
    size *= 2;
  }
  data = realloc(b->data, size);
  if (!data) return BUF_NO_MEMORY;
  b->data = data;
  b->size = size;
  return BUF_OK;
}

int buf_append(struct buf *b, const void *bytes, size_t count) {
  int status = buf_reserve(b, count);
  if (status != BUF_OK) return status;
  if (count) memcpy(b->data + b->length, bytes, count);
  b->length += count;
  return BUF_OK;
}

int buf_puts(struct buf *b, const char *text) {
  return buf_append(b, text, strlen(text));
}

int buf_putc(struct buf *b, char c) {
  return buf_append(b, &c, 1);
}

int buf_printf(struct buf *b, const char *format, ...) {
  va_list args;
  int count, status;
  va_start(args, format);
  count = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (count < 0) return BUF_NO_MEMORY;
  status = buf_reserve(b, (size_t)count + 1); /* vsnprintf writes a NUL as well */
  if (status != BUF_OK) return status;
  va_start(args, format);
  vsnprintf(b->data + b->length, (size_t)count + 1, format, args);
  va_end(args);
  b->length += (size_t)count;
  return BUF_OK;
}

void buf_consume(struct buf *b, size_t count) {
  if (count >= b->length) {
    b->length = 0;
    return;
  }
  memmove(b->data, b->data + count, b->length - count);
  b->length -= count;
}

static int is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

int buf_percent(struct buf *b, const char *bytes, size_t count, const char *keep) {
  static const char hex[] = "0123456789ABCDEF";
  size_t i = 0;
  while (i < count) {
    size_t run = i;
    int status;
    while (run < count && (is_unreserved((unsigned char)bytes[run]) || (bytes[run] && strchr(keep, bytes[run])))) run++;
    status = buf_append(b, bytes + i, run - i);
    if (status != BUF_OK) return status;
    if (run < count) {
      unsigned char c = (unsigned char)bytes[run++];
      char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
      status = buf_append(b, escape, sizeof escape);
      if (status != BUF_OK) return status;
    }
    i = run;
  }
  return BUF_OK;
}
