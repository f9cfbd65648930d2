/* fuzz_sshwords.c: any bytes as what ssh printed.
** fuzz: src/sshwords.c
**
** The first byte is the room for the text, the second the exit status. What must hold: the text stays within its room,
** has no control byte, no line, and no word that was not printed; there always is advice. */

#define _GNU_SOURCE /* memmem */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sshwords.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int truth) {
  if (!truth) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t room, count, length, i;
  char *bytes, *text;
  int status;
  if (size < 2) return 0;
  room = data[0], status = (int)data[1] - 1, count = size - 2;
  bytes = malloc(count ? count : 1);
  text = malloc(room ? room : 1);
  if (bytes && text) {
    memcpy(bytes, data + 2, count);
    sshwords(bytes, count, text, room);
    length = room ? strnlen(text, room) : 0;
    check(room == 0 || length < room);
    for (i = 0; i < length; i++) check((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
    check(strlen(sshwords_next(bytes, count, status)) > 0);
    if (status <= 0) check(!sshwords_unreached(bytes, count, status));
  }
  free(bytes);
  free(text);
  return 0;
}
