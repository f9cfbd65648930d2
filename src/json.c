/* json.c: see json.h for the contract.
**
** The parser is one loop over the text with two jumps, "a value follows" and "a value has ended", and a small array of
** the containers that are open, so its stack does not depend on the input. Most bytes of the Engine's documents lie
** inside strings; those are looked at eight at a time for the four things that matter there: the closing quote, a
** backslash, a control character, a byte that is not ASCII. UTF-8 is judged only where the last turns up.
**
** Decisions where RFC 8259 leaves a choice: numbers without fraction and exponent that fit int64_t are integers ("-0"
** is the integer 0), all others are doubles; what no double can hold ("1e400") is refused, what is too small for one
** is 0.0. Of members with the same name the last counts. A byte order mark is an unexpected character. */

#include "json.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"

typedef unsigned char byte;

#define FIRST_NODES 64          /* and one for each 8 bytes of text: what the Engine's documents need */
#define SAFE_EXPONENT 150       /* with LIMIT_JSON_NUMBER digits before it a number still fits a double */
#define EXACT_INTEGER 9007199254740992.0 /* 2^53: every integer up to it is a double */

/* What a byte is outside of strings. */
#define BLANK 1
#define DIGIT 2
static const byte classes[256] = {
  [' '] = BLANK, ['\t'] = BLANK, ['\n'] = BLANK, ['\r'] = BLANK,
  ['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT,
  ['5'] = DIGIT, ['6'] = DIGIT, ['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT
};

/* The byte an escape's letter stands for; 0: no such escape (\u is handled apart). */
static const byte escapes[256] = {
  ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'
};

static const char unexpected_end[] = "unexpected end";
static const char unexpected_character[] = "unexpected character";
static const char invalid_number[] = "invalid number";

/* Where a scanner stopped: p is the offending byte. */
struct stop {
  const byte *p;
  const char *reason;
};

static const byte *stopped(struct stop *stop, const byte *p, const char *reason) {
  stop->p = p;
  stop->reason = reason;
  return NULL;
}

/* ---- strings ---- */

#define EACH(b) (0x0101010101010101u * (b))

/* The first byte in [p, end) that is a quote, a backslash, a control character or not ASCII; else end. Subtracting
** borrows from the byte above only where the byte itself matched, so the lowest mark is exact. Flipping bit 1 moves the
** quote (0x22) next to the control characters and the blank away from them: one comparison finds both. */
static inline const byte *plain_run(const byte *p, const byte *end) {
  while (end - p >= 8) {
    uint64_t x, marks;
    memcpy(&x, p, 8);
    marks = (((x ^ EACH(2u)) - EACH(0x21u)) | ((x ^ EACH(0x5cu)) - EACH(1u)) | x) & EACH(0x80u);
    if (marks) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
      return p + (__builtin_ctzll(marks) >> 3);
#else
      break;
#endif
    }
    p += 8;
  }
  while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
  return p;
}

/* Behind the well-formed sequence (Unicode, table 3-7) that starts at p with a byte ≥ 0x80; NULL if it is none. */
static const byte *utf8_sequence(const byte *p, const byte *end) {
  byte low = 0x80, high = 0xBF; /* what the second byte may be */
  byte lead = *p++;
  int more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  if (lead < 0xC2 || lead > 0xF4) return NULL;
  if (lead == 0xE0) low = 0xA0;       /* else overlong */
  else if (lead == 0xED) high = 0x9F; /* else a surrogate */
  else if (lead == 0xF0) low = 0x90;
  else if (lead == 0xF4) high = 0x8F; /* else beyond U+10FFFF */
  if (end - p < more || *p < low || *p > high) return NULL;
  while (--more > 0)
    if ((*++p & 0xC0) != 0x80) return NULL;
  return p + 1;
}

/* The value of four hexadecimal digits at p, or -1. */
static int hex4(const byte *p, const byte *end) {
  int i, value = 0;
  if (end - p < 4) return -1;
  for (i = 0; i < 4; i++) {
    int c = p[i], letter = c | 0x20;
    if (classes[c] & DIGIT) value = value * 16 + c - '0';
    else if (letter >= 'a' && letter <= 'f') value = value * 16 + letter - 'a' + 10;
    else return -1;
  }
  return value;
}

/* Behind the escape whose backslash is at p. */
static const byte *scan_escape(const byte *p, const byte *end, struct stop *stop) {
  int unit;
  if (end - p < 2) return stopped(stop, end, unexpected_end);
  if (escapes[p[1]]) return p + 2;
  if (p[1] != 'u') return stopped(stop, p, "invalid escape");
  unit = hex4(p + 2, end);
  if (unit < 0) return stopped(stop, p, "invalid escape");
  if (unit < 0xD800 || unit > 0xDFFF) return p + 6;
  if (unit <= 0xDBFF && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
    int low = hex4(p + 8, end);
    if (low >= 0xDC00 && low <= 0xDFFF) return p + 12;
  }
  return stopped(stop, p, "lone surrogate");
}

/* The closing quote of the string whose first byte is p. */
static const byte *scan_string(const byte *p, const byte *end, int *escaped, struct stop *stop) {
  *escaped = 0;
  for (;;) {
    p = plain_run(p, end);
    if (p == end) return stopped(stop, end, unexpected_end);
    if (*p == '"') return p;
    if (*p == '\\') {
      *escaped = 1;
      p = scan_escape(p, end, stop);
      if (!p) return NULL;
    } else if (*p < 0x20) {
      return stopped(stop, p, "control character in a string");
    } else {
      const byte *sequence = p;
      do p = utf8_sequence(sequence = p, end);
      while (p && p < end && *p >= 0x80);
      if (!p) return stopped(stop, sequence, "invalid UTF-8");
    }
  }
}

static size_t put_utf8(byte *to, unsigned code) {
  if (code < 0x80) {
    to[0] = (byte)code;
    return 1;
  }
  if (code < 0x800) {
    to[0] = (byte)(0xC0 | code >> 6);
    to[1] = (byte)(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    to[0] = (byte)(0xE0 | code >> 12);
    to[1] = (byte)(0x80 | (code >> 6 & 0x3F));
    to[2] = (byte)(0x80 | (code & 0x3F));
    return 3;
  }
  to[0] = (byte)(0xF0 | code >> 18);
  to[1] = (byte)(0x80 | (code >> 12 & 0x3F));
  to[2] = (byte)(0x80 | (code >> 6 & 0x3F));
  to[3] = (byte)(0x80 | (code & 0x3F));
  return 4;
}

/* Decodes one escape of a string that was checked; moves *p behind it and answers the number of bytes (≤ 4) at to. */
static size_t unescape(const byte **p, byte *to) {
  const byte *at = *p;
  unsigned code;
  if (at[1] != 'u') {
    *p = at + 2;
    *to = escapes[at[1]];
    return 1;
  }
  code = (unsigned)hex4(at + 2, at + 6);
  *p = at + 6;
  if (code >= 0xD800 && code <= 0xDBFF) {
    code = 0x10000 + ((code - 0xD800) << 10) + ((unsigned)hex4(at + 8, at + 12) - 0xDC00);
    *p = at + 12;
  }
  return put_utf8(to, code);
}

/* ---- numbers ---- */

static const byte *digits(const byte *p, const byte *end) {
  while (p < end && (classes[*p] & DIGIT)) p++;
  return p;
}

/* Do the digits at p, without a sign, make an int64_t? */
static int fits_int64(const byte *p, ptrdiff_t count, int negative) {
  if (count != 19) return count < 19;
  return memcmp(p, negative ? "9223372036854775808" : "9223372036854775807", 19) <= 0;
}

/* strtod in any locale: the text is at most LIMIT_JSON_NUMBER long and a number by JSON's grammar. */
static double read_double(const char *text, size_t count) {
  char copy[LIMIT_JSON_NUMBER + 16];
  const char *dot = memchr(text, '.', count);
  const char *point = localeconv()->decimal_point;
  size_t point_length = strlen(point), before = dot ? (size_t)(dot - text) : count;
  if (point_length > 8) return 0.0; /* no such locale */
  memcpy(copy, text, before);
  if (dot) {
    memcpy(copy + before, point, point_length);
    memcpy(copy + before + point_length, dot + 1, count - before - 1);
    count += point_length - 1;
  }
  copy[count] = '\0';
  return strtod(copy, NULL);
}

/* Behind the number at p; *type is JSON_INTEGER or JSON_NUMBER. */
static const byte *scan_number(const byte *p, const byte *end, byte *type, struct stop *stop) {
  const byte *start = p, *first, *next;
  int negative = *p == '-', exponent = 0;
  p += negative;
  first = p;
  if (p == end) return stopped(stop, end, unexpected_end);
  if (*p == '0') p++;
  else p = digits(p, end);
  if (p == first) return stopped(stop, p, invalid_number);
  *type = fits_int64(first, p - first, negative) ? JSON_INTEGER : JSON_NUMBER;
  if (p < end && *p == '.') {
    *type = JSON_NUMBER;
    next = digits(p + 1, end);
    if (next == p + 1) return stopped(stop, next, next == end ? unexpected_end : invalid_number);
    p = next;
  }
  if (p < end && (*p | 0x20) == 'e') {
    *type = JSON_NUMBER;
    p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    next = digits(p, end);
    if (next == p) return stopped(stop, next, next == end ? unexpected_end : invalid_number);
    for (; p < next; p++)
      if (exponent <= SAFE_EXPONENT) exponent = exponent * 10 + (*p - '0');
  }
  if (p - start > LIMIT_JSON_NUMBER) return stopped(stop, start, "number too long (LIMIT_JSON_NUMBER)");
  if (exponent > SAFE_EXPONENT && !isfinite(read_double((const char *)start, (size_t)(p - start))))
    return stopped(stop, start, "number out of range");
  return p;
}

/* ---- the parser ---- */

static const byte *scan_word(const byte *p, const byte *end, const char *word, struct stop *stop) {
  for (; *word; word++, p++)
    if (p == end || *p != (byte)*word) return stopped(stop, p, p == end ? unexpected_end : unexpected_character);
  return p;
}

static int grow(struct json_doc *doc, size_t length) {
  size_t size = doc->size ? (size_t)doc->size * 2 : length / 8 + FIRST_NODES;
  struct json_node *nodes;
  if (size > UINT32_MAX || size > SIZE_MAX / sizeof *nodes) return -1;
  nodes = realloc(doc->nodes, size * sizeof *nodes);
  if (!nodes) return -1;
  doc->nodes = nodes;
  doc->size = (uint32_t)size;
  return 0;
}

static void put_node(struct json_node *node, byte type, int escaped, size_t offset, size_t count, uint32_t next) {
  node->type = type;
  node->escaped = (byte)escaped;
  node->unused = 0;
  node->offset = (uint32_t)offset;
  node->count = (uint32_t)count;
  node->next = next;
}

static inline const byte *skip_blanks(const byte *p, const byte *end) {
  while (p < end && (classes[*p] & BLANK)) p++;
  return p;
}

/* Behind the document's value, or NULL. An open container's node counts its members as they come. */
static const byte *parse(struct json_doc *doc, const byte *text, const byte *end, struct stop *stop) {
  uint32_t open[LIMIT_JSON_DEPTH]; /* nodes of the containers around the current place */
  int depth = 0, escaped;
  uint32_t used = 0;
  byte type;
  const byte *p = text, *start;

value:
  p = skip_blanks(p, end);
unblanked_value:
  if (p == end) return stopped(stop, end, unexpected_end);
  if (used + 2 > doc->size && grow(doc, (size_t)(end - text)) != 0) return stopped(stop, p, "out of memory");
  start = p;
  switch (*p) {
    case '"':
      start++;
      p = scan_string(start, end, &escaped, stop);
      if (!p) return NULL;
      put_node(&doc->nodes[used], JSON_STRING, escaped, (size_t)(start - text), (size_t)(p - start), used + 1);
      used++;
      p++;
      break;
    case '{':
    case '[':
      type = *p == '{' ? JSON_OBJECT : JSON_ARRAY;
      if (depth == LIMIT_JSON_DEPTH) return stopped(stop, p, "nested too deeply (LIMIT_JSON_DEPTH)");
      put_node(&doc->nodes[used], type, 0, (size_t)(p - text), 0, 0);
      open[depth++] = used++;
      p = skip_blanks(p + 1, end);
      if (p == end) return stopped(stop, end, unexpected_end);
      if (*p == (type == JSON_OBJECT ? '}' : ']')) goto close;
      if (type == JSON_OBJECT) goto member;
      goto unblanked_value;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      p = scan_number(p, end, &type, stop);
      goto scalar;
    case 't':
      type = JSON_TRUE;
      p = scan_word(p, end, "true", stop);
      goto scalar;
    case 'f':
      type = JSON_FALSE;
      p = scan_word(p, end, "false", stop);
      goto scalar;
    case 'n':
      type = JSON_NULL;
      p = scan_word(p, end, "null", stop);
    scalar:
      if (!p) return NULL;
      put_node(&doc->nodes[used], type, 0, (size_t)(start - text), (size_t)(p - start), used + 1);
      used++;
      break;
    default:
      return stopped(stop, p, unexpected_character);
  }

ended: /* a value has ended at p */
  if (depth == 0) {
    doc->used = used;
    return p;
  }
  doc->nodes[open[depth - 1]].count++;
  p = skip_blanks(p, end);
  if (p == end) return stopped(stop, end, unexpected_end);
  type = doc->nodes[open[depth - 1]].type;
  if (*p == ',') {
    p++;
    if (type == JSON_ARRAY) goto value;
    p = skip_blanks(p, end);
    if (p == end) return stopped(stop, end, unexpected_end);
    goto member;
  }
  if (*p != (type == JSON_OBJECT ? '}' : ']')) return stopped(stop, p, unexpected_character);

close: /* p is at the bracket that closes the innermost container */
  p++;
  doc->nodes[open[--depth]].next = used;
  goto ended;

member: /* p is where a name must start */
  if (*p != '"') return stopped(stop, p, unexpected_character);
  if (used + 2 > doc->size && grow(doc, (size_t)(end - text)) != 0) return stopped(stop, p, "out of memory");
  start = p + 1;
  p = scan_string(start, end, &escaped, stop);
  if (!p) return NULL;
  put_node(&doc->nodes[used], JSON_STRING, escaped, (size_t)(start - text), (size_t)(p - start), used + 1);
  used++;
  p = skip_blanks(p + 1, end);
  if (p == end) return stopped(stop, end, unexpected_end);
  if (*p != ':') return stopped(stop, p, unexpected_character);
  p++;
  goto value;
}

int json_parse(struct json_doc *doc, const char *text, size_t length, struct json_fault *fault) {
  struct stop stop = {NULL, NULL};
  const byte *start = (const byte *)text, *p;
  doc->text = text;
  doc->length = length;
  doc->used = 0;
  if (length == 0 || length >= UINT32_MAX) {
    fault->offset = 0;
    fault->reason = length ? "text too long" : unexpected_end;
    return -1;
  }
  p = parse(doc, start, start + length, &stop);
  if (p) {
    p = skip_blanks(p, start + length);
    if (p == start + length) return 0;
    stopped(&stop, p, "bytes behind the value");
  }
  doc->used = 0;
  fault->offset = (size_t)(stop.p - start);
  fault->reason = stop.reason;
  return -1;
}

void json_free(struct json_doc *doc) {
  free(doc->nodes);
  memset(doc, 0, sizeof *doc);
}

/* ---- readers ---- */

int json_is(const struct json_doc *doc, uint32_t node, enum json_type type) {
  return node < doc->used && doc->nodes[node].type == type; /* JSON_NONE is never below used */
}

uint32_t json_get(const struct json_doc *doc, uint32_t object, const char *name) {
  uint32_t found = JSON_NONE, i, members;
  size_t length = strlen(name);
  if (!json_is(doc, object, JSON_OBJECT)) return JSON_NONE;
  i = object + 1;
  for (members = doc->nodes[object].count; members > 0; members--) {
    const struct json_node *key = &doc->nodes[i];
    if (key->escaped ? json_string_is(doc, i, name)
                     : key->count == length && memcmp(doc->text + key->offset, name, length) == 0)
      found = i + 1;
    i = doc->nodes[i + 1].next;
  }
  return found;
}

int json_bool(const struct json_doc *doc, uint32_t node, int fallback) {
  if (json_is(doc, node, JSON_TRUE)) return 1;
  return json_is(doc, node, JSON_FALSE) ? 0 : fallback;
}

int64_t json_integer(const struct json_doc *doc, uint32_t node, int64_t fallback) {
  const char *p, *end;
  uint64_t value = 0;
  int negative;
  if (!json_is(doc, node, JSON_INTEGER)) return fallback;
  p = doc->text + doc->nodes[node].offset;
  end = p + doc->nodes[node].count;
  negative = *p == '-';
  for (p += negative; p < end; p++) value = value * 10 + (uint64_t)(*p - '0');
  if (!negative) return (int64_t)value;
  return value ? -(int64_t)(value - 1) - 1 : 0; /* without overflow for INT64_MIN */
}

double json_double(const struct json_doc *doc, uint32_t node) {
  if (json_is(doc, node, JSON_INTEGER)) return (double)json_integer(doc, node, 0);
  if (!json_is(doc, node, JSON_NUMBER)) return 0.0;
  return read_double(doc->text + doc->nodes[node].offset, doc->nodes[node].count);
}

const char *json_string(const struct json_doc *doc, uint32_t node, struct buf *scratch, size_t *length) {
  const byte *p, *end;
  byte *to;
  if (!json_is(doc, node, JSON_STRING)) return NULL;
  *length = doc->nodes[node].count;
  p = (const byte *)doc->text + doc->nodes[node].offset;
  if (!doc->nodes[node].escaped) return (const char *)p;
  end = p + *length;
  buf_clear(scratch);
  if (buf_reserve(scratch, *length) != BUF_OK) return NULL; /* decoded is never longer */
  to = (byte *)scratch->data;
  while (p < end) {
    const byte *escape = memchr(p, '\\', (size_t)(end - p));
    size_t plain = (size_t)((escape ? escape : end) - p);
    memcpy(to, p, plain);
    to += plain;
    p += plain;
    if (escape) to += unescape(&p, to);
  }
  scratch->length = *length = (size_t)((char *)to - scratch->data);
  return scratch->data;
}

int json_string_is(const struct json_doc *doc, uint32_t node, const char *text) {
  const byte *p, *end;
  size_t length = strlen(text);
  if (!json_is(doc, node, JSON_STRING)) return 0;
  p = (const byte *)doc->text + doc->nodes[node].offset;
  end = p + doc->nodes[node].count;
  if (!doc->nodes[node].escaped) return (size_t)(end - p) == length && memcmp(p, text, length) == 0;
  while (p < end) {
    byte piece[4];
    size_t count = 1;
    if (*p == '\\') count = unescape(&p, piece);
    else piece[0] = *p++;
    if (count > length || memcmp(piece, text, count) != 0) return 0;
    text += count;
    length -= count;
  }
  return length == 0;
}

/* ---- writing ---- */

static int put_escape(struct buf *b, byte c) {
  static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* byte, letter, … */
  const char *at;
  for (at = letters; *at; at += 2) {
    if ((byte)*at == c) {
      char escape[2] = {'\\', at[1]};
      return buf_append(b, escape, 2);
    }
  }
  return buf_printf(b, "\\u%04x", c);
}

static int put_content(struct buf *b, const byte *p, const byte *end) {
  while (p < end) {
    const byte *next = plain_run(p, end);
    int status;
    while (next && next < end && *next >= 0x80) {
      next = utf8_sequence(next, end);
      if (next) next = plain_run(next, end);
    }
    if (!next) return JSON_BAD_UTF8;
    status = buf_append(b, p, (size_t)(next - p));
    if (status == BUF_OK && next < end) status = put_escape(b, *next++);
    if (status != BUF_OK) return status;
    p = next;
  }
  return BUF_OK;
}

int json_put_string(struct buf *b, const char *bytes, size_t length) {
  size_t before = b->length;
  const byte *start = (const byte *)(length ? bytes : "");
  int status = buf_putc(b, '"');
  if (status == BUF_OK) status = put_content(b, start, start + length);
  if (status == BUF_OK) status = buf_putc(b, '"');
  if (status != BUF_OK) b->length = before; /* nothing half-written stays */
  return status;
}

int json_put_integer(struct buf *b, int64_t value) {
  char text[24];
  int count = snprintf(text, sizeof text, "%lld", (long long)value);
  return buf_append(b, text, (size_t)count);
}

/* Integral values are written without a fraction, as the Engine's integer fields want them. */
int json_put_double(struct buf *b, double value) {
  char text[40]; /* sign, 17 digits, point, exponent */
  const char *point = localeconv()->decimal_point;
  char *at;
  int precision = 1;
  if (value == 0.0 && signbit(value)) return buf_puts(b, "-0.0");
  if (fabs(value) <= EXACT_INTEGER && value == floor(value)) return json_put_integer(b, (int64_t)value);
  do snprintf(text, sizeof text, "%.*g", precision, value);
  while (strtod(text, NULL) != value && ++precision <= DBL_DECIMAL_DIG);
  at = strstr(text, point);
  if (!at) return buf_puts(b, text);
  *at = '.';
  memmove(at + 1, at + strlen(point), strlen(at + strlen(point)) + 1);
  return buf_puts(b, text);
}
