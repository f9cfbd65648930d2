/* auth.c: see auth.h.
**
** Memory that has held a credential is never handed to realloc, which would leave a copy behind: room for the longest
** possible text is taken at once, and wiped before it is freed. */

#include "auth.h"

#include <sodium.h>
#include <string.h>

#include "json.h"
#include "limits.h"

#define HUB_SERVER "https://index.docker.io/v1/"
#define ESCAPED 6      /* bytes that one byte takes in JSON at most: \u00XX */
#define MEMBER_EXTRA 24 /* quotes, colon and comma of a member, and its name */

struct member {
  const char *name;
  const char *text;
  size_t length;
};

#define MEMBERS 5

/* The room that the JSON may need, or 0 where a value alone is longer than all headers may be. */
static size_t room_for(const struct member *members) {
  size_t room = 2, i;
  for (i = 0; i < MEMBERS; i++) {
    if (!members[i].text) continue;
    if (members[i].length > LIMIT_HEADERS) return 0;
    room += members[i].length * ESCAPED + MEMBER_EXTRA;
  }
  return room;
}

static int put_object(struct buf *json, const struct member *members) {
  const char *before = "{";
  size_t i;
  int status = BUF_OK;
  for (i = 0; i < MEMBERS && status == BUF_OK; i++) {
    if (!members[i].text) continue;
    status = buf_puts(json, before);
    if (status == BUF_OK) status = json_put_string(json, members[i].name, strlen(members[i].name));
    if (status == BUF_OK) status = buf_putc(json, ':');
    if (status == BUF_OK) status = json_put_string(json, members[i].text, members[i].length);
    before = ",";
  }
  if (status == BUF_OK && *before == '{') status = buf_putc(json, '{'); /* no member at all */
  return status == BUF_OK ? buf_putc(json, '}') : status;
}

int auth_put_base64(struct buf *b, const struct buf *json) {
  const int variant = sodium_base64_VARIANT_URLSAFE; /* with padding */
  size_t size = sodium_base64_encoded_len(json->length, variant); /* counts a NUL */
  int status = buf_reserve(b, size);
  if (status != BUF_OK) return status;
  sodium_bin2base64(b->data + b->length, size, (const unsigned char *)json->data, json->length, variant);
  b->length += size - 1;
  return BUF_OK;
}

int auth_encode(struct buf *b, const struct auth *a) {
  const struct member members[MEMBERS] = {
    {"username", a->username, a->username_length},
    {"password", a->password, a->password_length},
    {"identitytoken", a->identitytoken, a->identitytoken_length},
    {"registrytoken", a->registrytoken, a->registrytoken_length},
    {"serveraddress", a->serveraddress, a->serveraddress_length},
  };
  size_t room = room_for(members);
  struct buf json;
  int status;
  if (room == 0) return BUF_FULL;
  buf_init(&json, room);
  status = buf_reserve(&json, room);
  if (status == BUF_OK) status = put_object(&json, members);
  if (status == BUF_OK) status = auth_put_base64(b, &json);
  auth_wipe(&json);
  return status;
}

const char *auth_server(const char *domain, size_t length, size_t *server_length) {
  static const char *const hub[] = {"docker.io", "index.docker.io"};
  size_t i;
  for (i = 0; i < sizeof hub / sizeof hub[0]; i++) {
    if (length == strlen(hub[i]) && memcmp(domain, hub[i], length) == 0) {
      *server_length = sizeof HUB_SERVER - 1;
      return HUB_SERVER;
    }
  }
  *server_length = length;
  return domain;
}

void auth_wipe(struct buf *b) {
  if (b->data) sodium_memzero(b->data, b->size);
  buf_free(b);
}
