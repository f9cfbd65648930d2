/* endpoint.h: where an Engine is: the text of DOCKER_HOST or -H, taken apart. Pure. */

#ifndef DW_ENDPOINT_H
#define DW_ENDPOINT_H

#include <stddef.h>

#include "limits.h"

enum endpoint_kind { ENDPOINT_UNIX, ENDPOINT_TCP, ENDPOINT_SSH };

struct endpoint {
  enum endpoint_kind kind;
  char path[LIMIT_SOCKET_PATH + 1]; /* unix: the socket; tcp: a path prefix, "" mostly; ssh: the socket there, or "" */
  char host[256];                   /* tcp, ssh: name or address; IPv6 without brackets */
  char user[64];                    /* ssh */
  int port;                         /* tcp: 2375, or 2376 with TLS, where none was written; ssh: 0, its own choice */
  int tls;                          /* tcp: TLS was asked for, or https:// was written */
};

/* unix:///path, unix://path, tcp://host[:port][/prefix], http://…, https://…, ssh://[user@]host[:port][/path].
** fd://, npipe:// and anything with a password in it are refused. 0, or -1 with a static reason that says what was expected. */
int endpoint_parse(struct endpoint *e, const char *text, size_t length, int tls, const char **reason);

#endif
