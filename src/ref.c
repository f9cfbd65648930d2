/* ref.c: see ref.h.
**
** Grammar (distribution/reference, regexp.go and normalize.go):
**
**   reference = [domain "/"] path [":" tag] ["@" digest]
**   domain    = (label *("." label) | "[" IPv6 "]") [":" digits]       label: [A-Za-z0-9] with "-" inside
**   path      = part *("/" part)          part: runs of [a-z0-9] with one of "." "_" "__" or any number of "-" between
**   tag       = [A-Za-z0-9_] up to 127 × [A-Za-z0-9_.-]
**   digest    = algorithm ":" 32 or more hex digits
**
** What stands before the first "/" is a domain if it is "localhost", has a "." or ":", or an upper-case letter. Else
** there is no domain, which means docker.io, where one-part paths are in library/.
**
** A familiar form is for showing, and for comparing with what the Engine shows: of docker.io/my.team/app it is
** "my.team/app", which would be read as a registry's. Requests use the full name (ref_put_name).
**
** Two differences, both narrower: digests are sha256 or sha512 (Go accepts what is compiled in), and what looks like a
** domain must be one: Go takes "my_host.lan/app" for a path without any domain, which no registry can answer. */

#include "ref.h"

#include <sodium.h>
#include <string.h>

#include "limits.h"

#define NAME_PREFIX "dw-"
#define NAME_HASH 8 /* hex digits of the SHA-256 behind a changed tag */

static const char hub_domain[] = "docker.io";
static const char hub_legacy_domain[] = "index.docker.io";
static const char hub_library[] = "library/";

static const char bad_format[] = "invalid reference format";
static const char bad_case[] = "repository name must be lowercase";
static const char bad_length[] = "repository name must not be more than 255 characters";
static const char bad_hex[] = "invalid repository name, cannot specify 64-byte hexadecimal strings";
static const char bad_digest[] = "invalid checksum digest format";
static const char bad_digest_length[] = "invalid checksum digest length";
static const char bad_algorithm[] = "unsupported digest algorithm (sha256 or sha512 expected)";
static const char bad_size[] = "reference is longer than LIMIT_REFERENCE";

/* Characters. By hand: <ctype.h> asks the locale. */

static int is_digit(char c) {
  return c >= '0' && c <= '9';
}

static int is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

static int is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

static int is_alnum(char c) {
  return is_digit(c) || is_lower(c) || is_upper(c);
}

static int is_lower_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

static int is_hex(char c) {
  return is_lower_hex(c) || (c >= 'A' && c <= 'F');
}

static int is_tag_char(char c) {
  return is_alnum(c) || c == '_' || c == '.' || c == '-';
}

/* Scanners: how many bytes of text[0..length) match; 0 for none. */

static size_t scan_digits(const char *text, size_t length) {
  size_t i = 0;
  while (i < length && is_digit(text[i])) i++;
  return i;
}

static size_t scan_label(const char *text, size_t length) {
  size_t i = 0;
  while (i < length && (is_alnum(text[i]) || text[i] == '-')) i++;
  return i > 0 && text[0] != '-' && text[i - 1] != '-' ? i : 0;
}

/* A run of [a-z0-9], of [A-Za-z0-9] where fold is set. */
static size_t scan_run(const char *text, size_t length, int fold) {
  size_t i = 0;
  while (i < length && (is_digit(text[i]) || is_lower(text[i]) || (fold && is_upper(text[i])))) i++;
  return i;
}

static size_t scan_separator(const char *text, size_t length) {
  size_t i = 0;
  if (length == 0) return 0;
  if (text[0] == '.') return 1;
  if (text[0] == '_') return length > 1 && text[1] == '_' ? 2 : 1;
  while (i < length && text[i] == '-') i++;
  return i;
}

/* The longest beginning that is a path: parts with "/" between. */
static size_t scan_path(const char *text, size_t length, int fold) {
  size_t i = scan_run(text, length, fold);
  while (i > 0 && i < length) {
    size_t between = text[i] == '/' ? 1 : scan_separator(text + i, length - i);
    size_t run = between ? scan_run(text + i + between, length - i - between, fold) : 0;
    if (run == 0) break;
    i += between + run;
  }
  return i;
}

static size_t scan_tag(const char *text, size_t length) {
  size_t i = 0;
  if (length == 0 || text[0] == '.' || text[0] == '-') return 0;
  while (i < length && i < 128 && is_tag_char(text[i])) i++;
  return i;
}

/* Predicates on the whole of text. */

static int is_domain(const char *text, size_t length) {
  size_t i = 0;
  if (length > 0 && text[0] == '[') {
    for (i = 1; i < length && (is_hex(text[i]) || text[i] == ':'); i++) continue;
    if (i == 1 || i == length || text[i] != ']') return 0;
    i++;
  } else {
    size_t label = scan_label(text, length);
    while (label > 0) {
      i += label;
      if (i == length || text[i] != '.') break;
      i++;
      label = scan_label(text + i, length - i);
    }
    if (label == 0) return 0;
  }
  if (i == length) return 1;
  return text[i] == ':' && length - i > 1 && scan_digits(text + i + 1, length - i - 1) == length - i - 1;
}

static int has_upper(const char *text, size_t length) {
  size_t i;
  for (i = 0; i < length; i++) {
    if (is_upper(text[i])) return 1;
  }
  return 0;
}

/* algorithm ":" hex, by the grammar alone: [A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)* and 32 digits or more. */
static int is_digest_shape(const char *text, size_t length) {
  size_t i = 0, first;
  for (;;) {
    if (i == length || !(is_lower(text[i]) || is_upper(text[i]))) return 0;
    while (i < length && is_alnum(text[i])) i++;
    if (i == length || !strchr("-_+.", text[i]) || text[i] == '\0') break;
    i++;
  }
  if (i == length || text[i] != ':') return 0;
  first = ++i;
  while (i < length && is_hex(text[i])) i++;
  return i == length && i - first >= 32;
}

/* NULL if text is a digest that we accept; else the reason. */
static const char *judge_digest(const char *text, size_t length) {
  static const struct { const char *prefix; size_t prefix_length, hex; } algorithms[] = {
    {"sha256:", 7, 64}, {"sha512:", 7, 128},
  };
  size_t a, i;
  for (a = 0; a < sizeof algorithms / sizeof algorithms[0]; a++) {
    size_t skip = algorithms[a].prefix_length;
    if (length < skip || memcmp(text, algorithms[a].prefix, skip) != 0) continue;
    if (length - skip != algorithms[a].hex) return bad_digest_length;
    for (i = skip; i < length; i++) {
      if (!is_lower_hex(text[i])) return bad_digest;
    }
    return NULL;
  }
  return bad_algorithm;
}

int ref_is_tag(const char *text, size_t length) {
  return length > 0 && scan_tag(text, length) == length;
}

int ref_is_digest(const char *text, size_t length) {
  return judge_digest(text, length) == NULL;
}

int ref_is_id(const char *text, size_t length) {
  size_t i;
  if (length != 64) return 0;
  for (i = 0; i < length; i++) {
    if (!is_lower_hex(text[i])) return 0;
  }
  return 1;
}

int ref_is_label_name(const char *text, size_t length) {
  size_t i;
  if (length == 0 || !(is_lower(text[0]) || is_digit(text[0]))) return 0;
  for (i = 1; i < length; i++) {
    if (!is_lower(text[i]) && !is_digit(text[i]) && text[i] != '_' && text[i] != '-') return 0;
  }
  return 1;
}

/* Parsing. */

static struct ref_part part(const char *text, size_t length) {
  struct ref_part p = {text, length};
  return p;
}

static int part_is(struct ref_part p, const char *text) {
  return p.length == strlen(text) && memcmp(p.text, text, p.length) == 0;
}

/* Domain, or not? Answers the length of the text that belongs to the domain and its "/"; 0 if there is none. */
static size_t split_domain(struct ref *r, const char *text, size_t length) {
  const char *slash = memchr(text, '/', length);
  struct ref_part first = part(text, slash ? (size_t)(slash - text) : 0);
  r->domain = part(hub_domain, sizeof hub_domain - 1);
  if (!slash) return 0;
  if (part_is(first, hub_legacy_domain)) return first.length + 1;
  if (part_is(first, "localhost") || memchr(first.text, '.', first.length) || memchr(first.text, ':', first.length) ||
      has_upper(first.text, first.length)) {
    r->domain = first;
    return first.length + 1;
  }
  return 0;
}

/* path [":" tag] ["@" digest]; NULL or the reason. */
static const char *parse_rest(struct ref *r, const char *text, size_t length) {
  const char *colon = memchr(text, ':', length);
  size_t i, n;
  /* as Go does: up to the first colon, so that an upper-case name is told apart from a broken one */
  if (has_upper(text, colon ? (size_t)(colon - text) : length)) return bad_case;
  i = scan_path(text, length, 0);
  if (i == 0) return bad_format;
  r->path = part(text, i);
  if (i < length && text[i] == ':') {
    n = scan_tag(text + i + 1, length - i - 1);
    if (n == 0) return bad_format;
    r->tag = part(text + i + 1, n);
    i += 1 + n;
  }
  if (i < length && text[i] == '@') {
    if (!is_digest_shape(text + i + 1, length - i - 1)) return bad_format;
    r->digest = part(text + i + 1, length - i - 1);
    i = length;
  }
  return i == length ? NULL : bad_format;
}

/* The domain's shape, judged after the rest, as Go's order of messages has it. */
static const char *judge_domain(const struct ref *r) {
  const char *text = r->domain.text;
  size_t length = r->domain.length;
  if (is_domain(text, length)) return NULL;
  /* "My_Team/app": a path but for the capitals */
  return has_upper(text, length) && scan_path(text, length, 1) == length ? bad_case : bad_format;
}

static const char *parse(struct ref *r, const char *text, size_t length) {
  const char *reason;
  size_t skip;
  if (length > LIMIT_REFERENCE) return bad_size;
  if (length == 0) return bad_format;
  if (ref_is_id(text, length)) return bad_hex;
  skip = split_domain(r, text, length);
  reason = parse_rest(r, text + skip, length - skip);
  if (!reason) reason = judge_domain(r);
  if (reason) return reason;
  r->library = part_is(r->domain, hub_domain) && !memchr(r->path.text, '/', r->path.length);
  if (r->path.length + (r->library ? sizeof hub_library - 1 : 0) > LIMIT_REFERENCE_PATH) return bad_length;
  return r->digest.text ? judge_digest(r->digest.text, r->digest.length) : NULL;
}

int ref_parse(struct ref *r, const char *text, size_t length, const char **reason) {
  memset(r, 0, sizeof *r);
  *reason = parse(r, text, length);
  return *reason ? -1 : 0;
}

/* Printing. The first failure stays. */

static int put(struct buf *b, int status, const char *text, size_t length) {
  return status == BUF_OK ? buf_append(b, text, length) : status;
}

int ref_put_path(struct buf *b, const struct ref *r) {
  int status = r->library ? buf_puts(b, hub_library) : BUF_OK;
  return put(b, status, r->path.text, r->path.length);
}

int ref_put_name(struct buf *b, const struct ref *r) {
  int status = put(b, BUF_OK, r->domain.text, r->domain.length);
  status = put(b, status, "/", 1);
  return status == BUF_OK ? ref_put_path(b, r) : status;
}

/* On Docker Hub the domain goes, and library/ before a single part. */
static int put_familiar_name(struct buf *b, const struct ref *r) {
  const size_t skip = sizeof hub_library - 1;
  struct ref_part path = r->path;
  int status;
  if (part_is(r->domain, hub_domain)) {
    if (path.length > skip && memcmp(path.text, hub_library, skip) == 0 &&
        !memchr(path.text + skip, '/', path.length - skip)) {
      path = part(path.text + skip, path.length - skip);
    }
    return put(b, BUF_OK, path.text, path.length);
  }
  status = put(b, BUF_OK, r->domain.text, r->domain.length);
  status = put(b, status, "/", 1);
  return put(b, status, path.text, path.length);
}

int ref_put_familiar(struct buf *b, const struct ref *r) {
  int status = put_familiar_name(b, r);
  if (r->tag.text) {
    status = put(b, status, ":", 1);
    status = put(b, status, r->tag.text, r->tag.length);
  }
  if (r->digest.text) {
    status = put(b, status, "@", 1);
    status = put(b, status, r->digest.text, r->digest.length);
  }
  return status;
}

/* Container names. */

static int put_hash(struct buf *b, int status, const char *text, size_t length) {
  static const char hex[] = "0123456789abcdef";
  unsigned char hash[crypto_hash_sha256_BYTES];
  char digits[1 + NAME_HASH] = {'-'};
  size_t i;
  crypto_hash_sha256(hash, (const unsigned char *)text, length);
  for (i = 0; i < NAME_HASH; i += 2) {
    digits[1 + i] = hex[hash[i / 2] >> 4];
    digits[2 + i] = hex[hash[i / 2] & 15];
  }
  return put(b, status, digits, sizeof digits);
}

int ref_container_name(struct buf *b, const char *project, size_t project_length, const char *stage,
                       size_t stage_length, const char *tag, size_t tag_length) {
  const size_t fixed = sizeof NAME_PREFIX - 1 + 2; /* "dw-", and a "-" behind project and stage */
  size_t room, i;
  int changed = 0, status;
  /* what is left for the tag must hold a byte of it and a hash, whatever the tag is */
  if (project_length > LIMIT_CONTAINER_NAME || stage_length > LIMIT_CONTAINER_NAME) return BUF_FULL;
  if (fixed + project_length + stage_length + 1 + 1 + NAME_HASH > LIMIT_CONTAINER_NAME) return BUF_FULL;
  room = LIMIT_CONTAINER_NAME - fixed - project_length - stage_length;
  for (i = 0; i < tag_length && !changed; i++) changed = !is_tag_char(tag[i]);
  if (tag_length > room) changed = 1;
  if (changed) room -= 1 + NAME_HASH;
  status = buf_puts(b, NAME_PREFIX);
  status = put(b, status, project, project_length);
  status = put(b, status, "-", 1);
  status = put(b, status, stage, stage_length);
  status = put(b, status, "-", 1);
  for (i = 0; i < tag_length && i < room; i++) status = put(b, status, is_tag_char(tag[i]) ? tag + i : "-", 1);
  return changed ? put_hash(b, status, tag, tag_length) : status;
}
