/* fuzz_tar.c: src/tar/untar.c, the glue round libarchive's reader: any bytes, in pieces of any size, left at any moment.
** What must hold: it comes to an end, an entry has a type, a link has a target, and nothing but UNTAR_INPUT asks for
** bytes. The first byte says how large the pieces are, the second whether and when the archive is left. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tar/untar.h"

#define MOST_CONTENTS ((size_t)1 << 20) /* of one input; a sparse file may claim any number of zeros */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
  const char *bytes;
  char *given; /* a copy, so that its end is guarded; it goes when more is wanted */
  size_t left, piece, pieces, leave;
};

/* Feeds until there is an answer; UNTAR_INPUT: it was left. */
static enum untar_says feed(struct untar *u, struct input *in, enum untar_says says) {
  while (says == UNTAR_INPUT) {
    size_t count = in->left < in->piece ? in->left : in->piece;
    free(in->given);
    in->given = NULL;
    if (in->leave && in->pieces++ == in->leave) return UNTAR_INPUT;
    if (count == 0) {
      says = untar_ended(u);
      continue;
    }
    in->given = malloc(count);
    if (!in->given) abort();
    memcpy(in->given, in->bytes, count);
    in->bytes += count;
    in->left -= count;
    says = untar_give(u, in->given, count);
  }
  return says;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in;
  struct untar *u;
  enum untar_says says;
  size_t contents = 0;
  if (size < 2) return 0;
  in.piece = data[0] < 128 ? (size_t)data[0] + 1 : (size_t)data[0] * 64;
  in.leave = data[1] < 128 ? 0 : (size_t)data[1] - 127;
  in.given = NULL;
  in.pieces = 0;
  in.bytes = (const char *)data + 2;
  in.left = size - 2;
  u = untar_open();
  if (!u) abort();
  while ((says = feed(u, &in, untar_next(u))) == UNTAR_ENTRY) {
    const struct untar_entry *e = untar_entry(u);
    if (!e->name || (e->hard && !e->link)) abort();
    if (e->link && strlen(e->link) + strlen(e->name) > 2 * size + 2) abort(); /* it invents nothing */
    while (contents < MOST_CONTENTS && (says = feed(u, &in, untar_data(u))) == UNTAR_BYTES) {
      const char *bytes;
      size_t count;
      untar_piece(u, &bytes, &count);
      if (count == 0) abort();
      contents += count;
    }
    if (contents >= MOST_CONTENTS || says != UNTAR_DONE) break;
  }
  if (says == UNTAR_FAILED) abort(); /* no disk is asked */
  if ((says == UNTAR_CUT || says == UNTAR_BROKEN) && !*untar_message(u)) abort();
  untar_close(u);
  free(in.given);
  return 0;
}
