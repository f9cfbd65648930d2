/* fuzz_auth.c: any bytes as credentials.
** fuzz: src/auth.c src/json.c src/buf.c -lsodium
**
** The first byte says which fields there are; the rest is shared out among them. What must hold: the header's value
** decodes as base64url with padding to strict JSON with exactly those fields and values, or the input was not UTF-8. */

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int truth) {
  if (!truth) abort();
}

static void check_field(const struct json_doc *doc, const char *name, const char *text, size_t length) {
  uint32_t node = json_get(doc, 0, name);
  struct buf scratch;
  const char *value;
  size_t value_length;
  if (!text) {
    check(node == JSON_NONE);
    return;
  }
  buf_init(&scratch, 1 << 20);
  value = json_string(doc, node, &scratch, &value_length);
  check(value && value_length == length && memcmp(value, text, length) == 0);
  buf_free(&scratch);
}

static void check_value(const struct buf *b, const struct auth *a) {
  size_t length;
  const char *end;
  char *json = malloc(b->length);
  struct json_doc doc = {0};
  struct json_fault fault;
  check(json != NULL);
  check(sodium_base642bin((unsigned char *)json, b->length, b->data, b->length, NULL, &length, &end,
                          sodium_base64_VARIANT_URLSAFE) == 0);
  check(end == b->data + b->length);
  check(json_parse(&doc, json, length, &fault) == 0);
  check_field(&doc, "username", a->username, a->username_length);
  check_field(&doc, "password", a->password, a->password_length);
  check_field(&doc, "identitytoken", a->identitytoken, a->identitytoken_length);
  check_field(&doc, "registrytoken", a->registrytoken, a->registrytoken_length);
  check_field(&doc, "serveraddress", a->serveraddress, a->serveraddress_length);
  json_free(&doc);
  free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct auth a = {0};
  struct buf b;
  size_t share, server_length, i;
  char *text;
  int status, fields = 0;
  if (size == 0) return 0;
  for (i = 0; i < 5; i++) fields += data[0] >> i & 1;
  share = fields ? (size - 1) / (size_t)fields : 0;
  text = malloc(share * (size_t)fields + 1);
  if (!text) return 0;
  memcpy(text, data + 1, share * (size_t)fields);
  i = 0;
  if (data[0] & 1) { a.username = text + share * i++; a.username_length = share; }
  if (data[0] & 2) { a.password = text + share * i++; a.password_length = share; }
  if (data[0] & 4) { a.identitytoken = text + share * i++; a.identitytoken_length = share; }
  if (data[0] & 8) { a.registrytoken = text + share * i++; a.registrytoken_length = share; }
  if (data[0] & 16) { a.serveraddress = text + share * i++; a.serveraddress_length = share; }
  buf_init(&b, 4 << 20);
  status = auth_encode(&b, &a);
  check(status == BUF_OK || status == JSON_BAD_UTF8);
  if (status == BUF_OK) check_value(&b, &a);
  else check(b.length == 0);
  check(auth_server(text, share, &server_length) != NULL);
  auth_wipe(&b);
  free(text);
  return 0;
}
