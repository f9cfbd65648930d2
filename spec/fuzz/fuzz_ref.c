/* fuzz_ref.c: any bytes as a reference, as its parts, and as a tag in a container's name.
** fuzz: src/ref.c src/buf.c -lsodium
**
** What must hold: the parts lie in the text or are docker.io; what was accepted is printed in its full form and parsed
** again to the same; so is its familiar form, unless that is 64 hex digits or begins with what looks like a domain (a
** flaw of familiar names); tags and digests of accepted references are tags and digests; a container's name has only
** characters that the Engine allows, and at most LIMIT_CONTAINER_NAME of them. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int truth) {
  if (!truth) abort();
}

static int same(struct ref_part a, struct ref_part b) {
  return !a.text == !b.text && a.length == b.length && (!a.text || memcmp(a.text, b.text, a.length) == 0);
}

static void check_inside(struct ref_part p, const char *text, size_t size) {
  if (p.text) check(p.length > 0 && p.text >= text && p.text + p.length <= text + size);
}

/* Parsed again from `b`, r comes out the same, its path compared in full. */
static void check_again(const struct ref *r, const struct buf *b) {
  struct buf one, other;
  struct ref again;
  const char *reason;
  buf_init(&one, 1 << 16);
  buf_init(&other, 1 << 16);
  check(ref_parse(&again, b->data, b->length, &reason) == 0);
  check(same(r->domain, again.domain) && same(r->tag, again.tag) && same(r->digest, again.digest));
  check(ref_put_name(&one, r) == BUF_OK && ref_put_name(&other, &again) == BUF_OK);
  check(one.length == other.length && memcmp(one.data, other.data, one.length) == 0);
  buf_free(&one);
  buf_free(&other);
}

/* Is this familiar form of r no reference, or that of something else? */
static int is_misread(const struct ref *r, const struct buf *b) {
  const char *slash = memchr(b->data, '/', b->length);
  size_t first = slash ? (size_t)(slash - b->data) : 0;
  if (ref_is_id(b->data, b->length)) return 1;
  if (first == 0 || r->domain.length != 9 || memcmp(r->domain.text, "docker.io", 9) != 0) return 0;
  return memchr(b->data, '.', first) || (first == 9 && memcmp(b->data, "localhost", 9) == 0);
}

static void check_accepted(const struct ref *r, const char *text, size_t size) {
  struct buf b;
  buf_init(&b, 1 << 16);
  check_inside(r->path, text, size);
  check_inside(r->tag, text, size);
  check_inside(r->digest, text, size);
  check(r->path.text && r->path.length <= LIMIT_REFERENCE_PATH);
  if (r->domain.text < text || r->domain.text >= text + size) {
    check(r->domain.length == 9 && memcmp(r->domain.text, "docker.io", 9) == 0);
  } else {
    check_inside(r->domain, text, size);
  }
  if (r->tag.text) check(ref_is_tag(r->tag.text, r->tag.length));
  if (r->digest.text) check(ref_is_digest(r->digest.text, r->digest.length));

  check(ref_put_familiar(&b, r) == BUF_OK);
  if (b.length <= LIMIT_REFERENCE && !is_misread(r, &b)) check_again(r, &b);

  buf_clear(&b);
  check(ref_put_name(&b, r) == BUF_OK);
  if (r->tag.text) check(buf_putc(&b, ':') == BUF_OK && buf_append(&b, r->tag.text, r->tag.length) == BUF_OK);
  if (r->digest.text) check(buf_putc(&b, '@') == BUF_OK && buf_append(&b, r->digest.text, r->digest.length) == BUF_OK);
  if (b.length <= LIMIT_REFERENCE) check_again(r, &b);
  buf_free(&b);
}

static void check_name(const char *tag, size_t size) {
  struct buf b;
  size_t i;
  buf_init(&b, 1 << 16);
  check(ref_container_name(&b, "shop", 4, "web", 3, tag, size) == BUF_OK);
  check(b.length <= LIMIT_CONTAINER_NAME && b.length >= 12 && memcmp(b.data, "dw-shop-web-", 12) == 0);
  for (i = 0; i < b.length; i++) check(b.data[i] == '-' || b.data[i] == '.' || ref_is_tag(b.data + i, 1));
  buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size ? size : 1); /* of the exact size: a read too far is seen */
  const char *reason = NULL;
  struct ref r;
  if (!text) return 0;
  if (size) memcpy(text, data, size);
  if (ref_parse(&r, text, size, &reason) == 0) check_accepted(&r, text, size);
  else check(reason != NULL && strlen(reason) > 0);
  ref_is_tag(text, size);
  ref_is_digest(text, size);
  ref_is_label_name(text, size);
  if (ref_is_id(text, size)) check(ref_parse(&r, text, size, &reason) != 0);
  check_name(text, size);
  free(text);
  return 0;
}
