/* auth.h: the X-Registry-Auth header: base64url with padding (RFC 4648 §5) of a JSON object, as the Engine
** decodes it; any other alphabet or missing padding makes the Engine go anonymous without a word.
** Pure. Buffers that held a credential are wiped with auth_wipe. */

#ifndef DW_AUTH_H
#define DW_AUTH_H

#include <stddef.h>

#include "buf.h"

struct auth {
  const char *username, *password;             /* NULL where absent; lengths beside, for embedded NULs */
  size_t username_length, password_length;
  const char *identitytoken, *registrytoken;
  size_t identitytoken_length, registrytoken_length;
  const char *serveraddress;
  size_t serveraddress_length;
};

/* Appends the header's value; an empty struct gives "e30=" ({}). 0, enum buf_status, or JSON_BAD_UTF8. */
int auth_encode(struct buf *b, const struct auth *a);

/* Appends bytes in that alphabet, padded; one growth of b at most. */
int auth_put_base64(struct buf *b, const struct buf *bytes);

/* Docker Hub's key is "https://index.docker.io/v1/", every other registry's its host[:port]. */
const char *auth_server(const char *domain, size_t length, size_t *server_length);

void auth_wipe(struct buf *b); /* zeroes the memory and frees it */

#endif
