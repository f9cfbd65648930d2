/* fuzz_jsonseq.c: any bytes as a stream of JSON values.
** fuzz: src/jsonseq.c src/json.c src/buf.c
**
** What must hold: fed whole, byte by byte, and in chunks of odd sizes, with separators consumed or left, the same
** values come out, and the same verdict at the end; a value is never empty and never begins or ends with a separator;
** and where the whole text is one JSON value, that is what is found. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "jsonseq.h"
#include "limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int truth) {
  if (!truth) abort();
}

static int is_separator(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0x1E;
}

/* Every value's place in the input, as pairs; then the verdict. */
struct outcome {
  struct buf places;
  int verdict;
};

static void note(struct outcome *o, const uint8_t *data, size_t start, size_t end) {
  size_t place[2] = {start, end};
  check(start < end && !is_separator((char)data[start]) && (end - start <= LIMIT_JSON_ITEM));
  check(buf_append(&o->places, place, sizeof place) == BUF_OK);
}

static int ask(struct jsonseq *s, const uint8_t *data, size_t count, int last, size_t *start, size_t *end) {
  char *copy = malloc(count ? count : 1); /* of the exact size: a read too far is seen */
  int found;
  check(copy != NULL);
  if (count) memcpy(copy, data, count);
  found = last ? jsonseq_finish(s, copy, count, start, end) : jsonseq_next(s, copy, count, start, end);
  check(*start <= count && *end <= count && *start <= *end);
  free(copy);
  return found;
}

static void run(struct outcome *o, const uint8_t *data, size_t size, size_t chunk, int leave) {
  struct jsonseq s;
  size_t have = 0, base = 0, start, end;
  jsonseq_init(&s);
  buf_init(&o->places, SIZE_MAX);
  o->verdict = 0;
  while (o->verdict == 0 && have < size) {
    have = chunk && size - have > chunk ? have + chunk : size;
    while ((o->verdict = ask(&s, data + base, have - base, 0, &start, &end)) == 1) {
      note(o, data, base + start, base + end);
      base += end;
    }
    if (!leave) base += start;
  }
  while (o->verdict == 0) {
    o->verdict = ask(&s, data + base, size - base, 1, &start, &end);
    if (o->verdict == 0) return;
    if (o->verdict < 0) break;
    note(o, data, base + start, base + end);
    base += end;
    o->verdict = 0;
  }
}

static void compare(const struct outcome *whole, const uint8_t *data, size_t size, size_t chunk, int leave) {
  struct outcome o;
  run(&o, data, size, chunk, leave);
  check(o.verdict == whole->verdict && o.places.length == whole->places.length);
  check(o.places.length == 0 || memcmp(o.places.data, whole->places.data, o.places.length) == 0);
  buf_free(&o.places);
}

static void compare_json(const struct outcome *whole, const uint8_t *data, size_t size) {
  struct json_doc doc = {0};
  struct json_fault fault;
  if (json_parse(&doc, (const char *)data, size, &fault) == 0) {
    size_t place[2];
    check(whole->verdict == 0 && whole->places.length == sizeof place);
    memcpy(place, whole->places.data, sizeof place);
    check(json_parse(&doc, (const char *)data + place[0], place[1] - place[0], &fault) == 0);
  }
  json_free(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct outcome whole;
  if (size > 4096) return 0; /* byte by byte costs the square of it */
  run(&whole, data, size, 0, 0);
  compare(&whole, data, size, 1, 0);
  compare(&whole, data, size, 1, 1);
  compare(&whole, data, size, 5, 0);
  compare_json(&whole, data, size);
  buf_free(&whole.places);
  return 0;
}
