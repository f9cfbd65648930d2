/* httphead.c: see httphead.h. RFC 9112, sections 2 to 7, from the client's side. */

#include "httphead.h"

#include <string.h>
#include <strings.h>

#include "limits.h"

#define LONGEST_LENGTH (UINT64_MAX >> 2) /* more can't be meant */

/* ---- head ---- */

void httphead_init(struct httphead *h, struct buf *lines) {
  memset(h, 0, sizeof *h);
  buf_init(&h->line, LIMIT_HEADERS);
  h->lines = lines;
}

void httphead_free(struct httphead *h) {
  buf_free(&h->line);
}

static void fail(struct httphead *h, const char *fault) {
  h->state = HTTPHEAD_FAILED;
  h->fault = fault;
}

static void fail_limit(struct httphead *h) {
  h->limit = "LIMIT_HEADERS";
  fail(h, "the head of the reply is longer than LIMIT_HEADERS");
}

static void add(struct httphead *h, struct buf *b, const char *bytes, size_t count) {
  int status = buf_append(b, bytes, count);
  if (status == BUF_FULL) {
    fail_limit(h);
  } else if (status != BUF_OK) {
    h->no_memory = 1;
    fail(h, "out of memory");
  }
}

static int is_digit(char c) {
  return c >= '0' && c <= '9';
}

static int is_token(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit((char)c) ||
         (c && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Could the line become a status line? Known before its end: a peer that speaks something else may never end one. */
static int begins_well(const char *line, size_t length) {
  static const char begin[] = "HTTP/1.";
  return memcmp(line, begin, length < sizeof begin - 1 ? length : sizeof begin - 1) == 0;
}

/* HTTP/1.x SP 3DIGIT [ SP reason ] */
static void take_status_line(struct httphead *h, const char *line, size_t length) {
  size_t i;
  if (length < 12 || !begins_well(line, length) || (line[7] != '0' && line[7] != '1') || line[8] != ' ' ||
      !is_digit(line[9]) || line[9] == '0' || !is_digit(line[10]) || !is_digit(line[11]) ||
      (length > 12 && line[12] != ' ')) {
    fail(h, "no HTTP/1 status line");
    return;
  }
  for (i = 12; i < length; i++) {
    if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 127) {
      fail(h, "a control character in the status line");
      return;
    }
  }
  h->minor = line[7] - '0';
  h->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  h->has_length = h->has_coding = 0;
  h->length = 0;
  h->state = HTTPHEAD_LINES;
}

static void take_length(struct httphead *h, const char *value, size_t length) {
  uint64_t n = 0;
  size_t i;
  for (i = 0; i < length && is_digit(value[i]) && n <= LONGEST_LENGTH / 10; i++) n = n * 10 + (uint64_t)(value[i] - '0');
  if (length == 0 || i < length || n > LONGEST_LENGTH) fail(h, "a Content-Length that is no length");
  else if (h->has_length && h->length != n) fail(h, "two values of Content-Length");
  h->has_length = 1;
  h->length = n;
}

static void take_header(struct httphead *h, const char *line, size_t length) {
  size_t name = 0, end = length, i;
  const char *value;
  while (name < length && is_token((unsigned char)line[name])) name++;
  if (name == 0 || name == length || line[name] != ':') {
    fail(h, "a header line that is none");
    return;
  }
  for (i = name + 1; i < length; i++) {
    if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 127) {
      fail(h, "a control character in a header line");
      return;
    }
  }
  i = name + 1;
  while (i < end && (line[i] == ' ' || line[i] == '\t')) i++;
  while (end > i && (line[end - 1] == ' ' || line[end - 1] == '\t')) end--;
  value = line + i;
  if (name == 14 && strncasecmp(line, "Content-Length", name) == 0) {
    take_length(h, value, end - i);
  } else if (name == 17 && strncasecmp(line, "Transfer-Encoding", name) == 0) {
    if (h->has_coding || end - i != 7 || strncasecmp(value, "chunked", 7) != 0) {
      fail(h, "a Transfer-Encoding other than chunked");
    }
    h->has_coding = 1;
  }
}

/* The blank line has come. */
static void end_head(struct httphead *h) {
  h->state = HTTPHEAD_DONE;
  if (h->status == 101) {
    h->framing = HTTP_UPGRADED;
  } else if (h->status < 200) {
    buf_clear(h->lines);
    h->state = HTTPHEAD_STATUS;
  } else if (h->has_coding && (h->has_length || h->minor == 0)) {
    fail(h, "a reply whose length can be read in two ways");
  } else if (h->status == 204 || h->status == 304) {
    h->framing = HTTP_NO_BODY;
  } else {
    h->framing = h->has_coding ? HTTP_CHUNKED : h->has_length ? HTTP_LENGTH : HTTP_CLOSE;
  }
}

/* A whole line, without its end. */
static void take_line(struct httphead *h, const char *line, size_t length) {
  if (length && line[length - 1] == '\r') length--; /* a line may end with LF alone */
  if (h->state == HTTPHEAD_STATUS) {
    take_status_line(h, line, length);
  } else if (length == 0) {
    end_head(h);
  } else {
    take_header(h, line, length);
    if (h->state != HTTPHEAD_FAILED) add(h, h->lines, line, length);
    if (h->state != HTTPHEAD_FAILED) add(h, h->lines, "\r\n", 2);
  }
}

size_t httphead_feed(struct httphead *h, const char *bytes, size_t count) {
  size_t used = 0;
  while (used < count && (h->state == HTTPHEAD_STATUS || h->state == HTTPHEAD_LINES)) {
    const char *end = memchr(bytes + used, '\n', count - used);
    size_t length = end ? (size_t)(end - (bytes + used)) : count - used;
    size_t step = end ? length + 1 : length, room = LIMIT_HEADERS - h->total;
    int full = step > room;
    if (full) {
      if (length > room) length = room;
      step = room;
    }
    h->total += step;
    used += step;
    add(h, &h->line, bytes + used - step, length);
    if (h->state == HTTPHEAD_STATUS && !begins_well(h->line.data ? h->line.data : "", h->line.length)) {
      fail(h, "no HTTP/1 status line");
    }
    if (h->state == HTTPHEAD_FAILED) break;
    if (full) fail_limit(h);
    if (full || !end) continue;
    take_line(h, h->line.data ? h->line.data : "", h->line.length);
    buf_clear(&h->line);
  }
  return used;
}

/* ---- body ---- */

void httpbody_init(struct httpbody *b, enum http_framing framing, uint64_t length) {
  memset(b, 0, sizeof *b);
  b->framing = framing;
  switch (framing) {
    case HTTP_NO_BODY: b->state = HTTPBODY_DONE; break;
    case HTTP_LENGTH:
      b->left = length;
      b->state = length ? HTTPBODY_DATA : HTTPBODY_DONE;
      break;
    case HTTP_CHUNKED: b->state = HTTPBODY_SIZE; break;
    case HTTP_CLOSE:
    case HTTP_UPGRADED: b->state = HTTPBODY_DATA; break;
  }
}

static int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static void fail_body(struct httpbody *b, const char *fault) {
  b->state = HTTPBODY_FAILED;
  b->fault = fault;
}

/* A byte of the first line of a chunk: its size in hexadecimal, extensions, CR LF. */
static void take_size(struct httpbody *b, char c) {
  int value = hex_value(c);
  if (++b->count > LIMIT_CHUNK_LINE) {
    b->limit = "LIMIT_CHUNK_LINE";
    fail_body(b, "the first line of a chunk is longer than LIMIT_CHUNK_LINE");
  } else if (b->state == HTTPBODY_SIZE && value >= 0 && b->left <= LONGEST_LENGTH >> 4) {
    b->left = b->left << 4 | (uint64_t)value;
  } else if ((b->state == HTTPBODY_SIZE && b->count == 1) || (b->state == HTTPBODY_SIZE && value >= 0)) {
    fail_body(b, "a chunk without a good size");
  } else if (c == '\r') {
    b->state = HTTPBODY_LINE_END;
  } else if (b->state == HTTPBODY_EXTENSION) {
    if (c == '\n') fail_body(b, "a chunk's line without CR LF");
  } else if (c == ';') {
    b->state = HTTPBODY_EXTENSION;
  } else if (c == ' ' || c == '\t') {
    b->state = HTTPBODY_SIZE_END;
  } else {
    fail_body(b, "a chunk without a good size");
  }
}

/* A byte of the lines behind the last chunk, which are dropped. */
static void take_trailer(struct httpbody *b, char c) {
  if (++b->count > LIMIT_HEADERS) {
    b->limit = "LIMIT_HEADERS";
    fail_body(b, "the trailers of the reply are longer than LIMIT_HEADERS");
  } else if (b->state == HTTPBODY_TRAILER) {
    if (c == '\r') b->state = HTTPBODY_LAST_LINE_END;
    else if (c == '\n') fail_body(b, "a trailer without CR LF");
    else b->state = HTTPBODY_TRAILER_LINE;
  } else if (c == '\n') {
    b->state = HTTPBODY_TRAILER;
  }
}

/* A byte that is not the body's. */
static void take_frame_byte(struct httpbody *b, char c) {
  switch (b->state) {
    case HTTPBODY_SIZE:
    case HTTPBODY_SIZE_END:
    case HTTPBODY_EXTENSION: take_size(b, c); break;
    case HTTPBODY_LINE_END:
      b->count = 0;
      if (c != '\n') fail_body(b, "a chunk's line without CR LF");
      else b->state = b->left ? HTTPBODY_DATA : HTTPBODY_TRAILER;
      break;
    case HTTPBODY_DATA_END:
      b->state = HTTPBODY_DATA_LINE_END;
      if (c != '\r') fail_body(b, "a chunk that is longer than its size");
      break;
    case HTTPBODY_DATA_LINE_END:
      b->state = HTTPBODY_SIZE;
      if (c != '\n') fail_body(b, "a chunk that is longer than its size");
      break;
    case HTTPBODY_TRAILER:
    case HTTPBODY_TRAILER_LINE: take_trailer(b, c); break;
    case HTTPBODY_LAST_LINE_END:
      b->state = HTTPBODY_DONE;
      if (c != '\n') fail_body(b, "a trailer without CR LF");
      break;
    case HTTPBODY_DATA:
    case HTTPBODY_DONE:
    case HTTPBODY_FAILED: break;
  }
}

size_t httpbody_feed(struct httpbody *b, const char *bytes, size_t count,
                     int (*sink)(void *context, const char *bytes, size_t count), void *context) {
  size_t used = 0;
  while (used < count && b->state != HTTPBODY_DONE && b->state != HTTPBODY_FAILED) {
    size_t piece = count - used;
    int stop;
    if (b->state != HTTPBODY_DATA) {
      take_frame_byte(b, bytes[used++]);
      continue;
    }
    if (b->framing == HTTP_LENGTH || b->framing == HTTP_CHUNKED) {
      if (piece > b->left) piece = (size_t)b->left;
      b->left -= piece;
      if (b->left == 0) b->state = b->framing == HTTP_CHUNKED ? HTTPBODY_DATA_END : HTTPBODY_DONE;
    }
    stop = sink(context, bytes + used, piece);
    used += piece;
    if (stop) break;
  }
  return used;
}

int httpbody_finish(struct httpbody *b) {
  if (b->state == HTTPBODY_DATA && (b->framing == HTTP_CLOSE || b->framing == HTTP_UPGRADED)) b->state = HTTPBODY_DONE;
  return b->state == HTTPBODY_DONE ? 0 : -1;
}
