/* fuzz_json.c: json_parse, json_string and the writers under libFuzzer.
**
** The input lies in a heap block of exactly its size, so that reading one byte too many is seen. What was accepted must
** be a sound tape; writing it out must give a text that is accepted again, with the same tape but for offsets, and the
** same strings and numbers. One document is used for all inputs, as the client does.
**
** fuzz: src/json.c src/buf.c -lm */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static void require(int condition) {
  if (!condition) abort();
}

/* Writes node and answers the node behind it. */
static uint32_t write(const struct json_doc *doc, uint32_t node, struct buf *out, struct buf *scratch) {
  static const char *const words[] = {"null", "false", "true"};
  const struct json_node *n = &doc->nodes[node];
  uint32_t next = node + 1, i;
  size_t length;
  const char *bytes;
  require(node < doc->used);
  require(n->offset <= doc->length);
  switch (n->type) {
    case JSON_NULL: case JSON_FALSE: case JSON_TRUE:
      require(buf_puts(out, words[n->type]) == BUF_OK);
      break;
    case JSON_INTEGER:
      require(json_put_integer(out, json_integer(doc, node, 0)) == BUF_OK);
      break;
    case JSON_NUMBER:
      require(json_put_double(out, json_double(doc, node)) == BUF_OK);
      break;
    case JSON_STRING:
      bytes = json_string(doc, node, scratch, &length);
      require(bytes && length <= n->count);
      if (!memchr(bytes, 0, length)) {
        char *copy = malloc(length + 1);
        require(copy != NULL);
        memcpy(copy, bytes, length);
        copy[length] = 0;
        require(json_string_is(doc, node, copy));
        free(copy);
      }
      require(json_put_string(out, bytes, length) == BUF_OK);
      break;
    default:
      require(n->type == JSON_ARRAY || n->type == JSON_OBJECT);
      require(buf_putc(out, n->type == JSON_ARRAY ? '[' : '{') == BUF_OK);
      for (i = 0; i < n->count; i++) {
        if (i > 0) require(buf_putc(out, ',') == BUF_OK);
        if (n->type == JSON_OBJECT) {
          require(json_is(doc, next, JSON_STRING));
          next = write(doc, next, out, scratch);
          require(buf_putc(out, ':') == BUF_OK);
        }
        next = write(doc, next, out, scratch);
      }
      require(buf_putc(out, n->type == JSON_ARRAY ? ']' : '}') == BUF_OK);
      break;
  }
  require(next == n->next);
  return next;
}

static void same_strings(const struct json_doc *a, const struct json_doc *b, uint32_t i) {
  struct buf one, two;
  size_t one_length, two_length;
  const char *one_bytes, *two_bytes;
  buf_init(&one, SIZE_MAX);
  buf_init(&two, SIZE_MAX);
  one_bytes = json_string(a, i, &one, &one_length);
  two_bytes = json_string(b, i, &two, &two_length);
  require(one_bytes && two_bytes && one_length == two_length && memcmp(one_bytes, two_bytes, one_length) == 0);
  buf_free(&one);
  buf_free(&two);
}

static void same_tape(const struct json_doc *a, const struct json_doc *b) {
  uint32_t i;
  require(a->used == b->used);
  for (i = 0; i < a->used; i++) {
    const struct json_node *one = &a->nodes[i], *two = &b->nodes[i];
    int number = one->type == JSON_NUMBER || one->type == JSON_INTEGER;
    require(one->next == two->next);
    if (number) { /* 1e2 is written as 100 */
      require(two->type == JSON_NUMBER || two->type == JSON_INTEGER);
      require(json_double(a, i) == json_double(b, i));
      continue;
    }
    require(one->type == two->type);
    if (one->type == JSON_STRING) same_strings(a, b, i);
    else if (one->type == JSON_ARRAY || one->type == JSON_OBJECT) require(one->count == two->count);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct json_doc doc; /* used again for each input; reachable at the end, so no leak */
  struct json_doc again;
  struct json_fault fault = {0, NULL};
  struct buf out, scratch;
  char *text = malloc(size ? size : 1);
  require(text != NULL);
  if (size) memcpy(text, data, size);
  if (json_parse(&doc, text, size, &fault) != 0) {
    require(fault.reason != NULL && fault.offset <= size && doc.used == 0);
    free(text);
    return 0;
  }
  memset(&again, 0, sizeof again);
  buf_init(&out, SIZE_MAX);
  buf_init(&scratch, SIZE_MAX);
  require(write(&doc, 0, &out, &scratch) == doc.used);
  require(json_parse(&again, out.data, out.length, &fault) == 0);
  same_tape(&doc, &again);
  buf_free(&out);
  buf_free(&scratch);
  json_free(&again);
  free(text);
  return 0;
}
