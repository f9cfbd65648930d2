/* json.h: strict JSON (RFC 8259), in two steps.
**
** json_parse checks the whole text and writes a tape: one node for each value and each member's name,
** in the order of the text, with counts, so that a reader can make tables of the right size and skip
** what it does not want. Strings stay in the text until they are asked for. Nothing is accepted that
** RFC 8259 refuses; in addition text must be valid UTF-8 without lone surrogates, numbers must fit a
** double, and depth (LIMIT_JSON_DEPTH) and length of numbers (LIMIT_JSON_NUMBER) are bounded.
**
** Pure: bytes in, values out. No Lua, no I/O. The caller owns the text and keeps it alive. */

#ifndef DW_JSON_H
#define DW_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum json_type {
  JSON_NULL,
  JSON_FALSE,
  JSON_TRUE,
  JSON_INTEGER, /* no fraction, no exponent, fits int64_t */
  JSON_NUMBER,  /* any other number */
  JSON_STRING,
  JSON_ARRAY,
  JSON_OBJECT
};

struct json_node {
  uint8_t type;    /* enum json_type */
  uint8_t escaped; /* a string with backslashes in the text */
  uint16_t unused;
  uint32_t offset; /* of the value in the text; of the first byte inside the quotes for a string */
  uint32_t count;  /* bytes in the text (string, number), items (array), members (object) */
  uint32_t next;   /* index of the node behind this value and all it holds */
};

struct json_doc {
  const char *text;        /* the caller's */
  size_t length;
  struct json_node *nodes; /* nodes[0] is the document's value; object members are name, value, … */
  uint32_t used, size;     /* nodes in use, nodes allocated */
};

struct json_fault {
  size_t offset;      /* where in the text */
  const char *reason; /* static text: "unexpected end", "control character in a string", … */
};

#define JSON_NONE UINT32_MAX /* no such node */

/* Parses text into doc (a zeroed struct, or one used before: its nodes are used again).
** 0, or -1 with the fault. */
int json_parse(struct json_doc *doc, const char *text, size_t length, struct json_fault *fault);
void json_free(struct json_doc *doc);

/* The node of a member's value (the last of that name, as a table would have it), or JSON_NONE; also
** where `object` is JSON_NONE or not an object, so that look-ups can be chained. */
uint32_t json_get(const struct json_doc *doc, uint32_t object, const char *name);

/* Readers that answer `fallback` where the node is JSON_NONE or of another type. */
int json_bool(const struct json_doc *doc, uint32_t node, int fallback);
int64_t json_integer(const struct json_doc *doc, uint32_t node, int64_t fallback);
int json_is(const struct json_doc *doc, uint32_t node, enum json_type type);

/* A string's bytes. Without escapes they lie in the text and scratch is untouched; else they are
** decoded into scratch (cleared first). *length is set; NULL if the node is no string, or memory ran
** out. */
const char *json_string(const struct json_doc *doc, uint32_t node, struct buf *scratch, size_t *length);
int json_string_is(const struct json_doc *doc, uint32_t node, const char *text); /* equals text? */

/* A number's value as a double (INTEGER or NUMBER). Independent of the locale. */
double json_double(const struct json_doc *doc, uint32_t node);

/* Writing. json_put_string refuses invalid UTF-8 with JSON_BAD_UTF8; others answer enum buf_status. */
#define JSON_BAD_UTF8 (-10)
int json_put_string(struct buf *b, const char *bytes, size_t length);
int json_put_integer(struct buf *b, int64_t value);
int json_put_double(struct buf *b, double value); /* shortest text that reads back the same; finite only */

#endif
