/* fuzz_endpoint.c: any bytes as DOCKER_HOST.
** fuzz: src/endpoint.c
**
** What must hold: what was accepted holds no control character, no host or user that begins with "-", a port in range
** where there is one, and means the same when it is written down and parsed again. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int truth) {
  if (!truth) abort();
}

static void check_text(const char *text, size_t size) {
  size_t length = strnlen(text, size), i;
  check(length < size);
  for (i = 0; i < length; i++) check((unsigned char)text[i] >= ' ' && text[i] != 0x7F);
}

static void check_again(const struct endpoint *e) {
  char text[LIMIT_ENDPOINT + 1];
  const char *open = strchr(e->host, ':') ? "[" : "", *close = *open ? "]" : "", *at = *e->user ? "@" : "";
  const char *reason;
  struct endpoint again;
  if (e->kind == ENDPOINT_UNIX) {
    snprintf(text, sizeof text, "unix://%s", e->path);
  } else {
    const char *scheme = e->kind == ENDPOINT_SSH ? "ssh" : "tcp";
    char port[16] = "";
    if (e->port) snprintf(port, sizeof port, ":%d", e->port);
    snprintf(text, sizeof text, "%s://%s%s%s%s%s%s%s", scheme, e->user, at, open, e->host, close, port, e->path);
  }
  check(endpoint_parse(&again, text, strlen(text), e->tls, &reason) == 0);
  check(again.kind == e->kind && again.port == e->port && again.tls == e->tls);
  check(!strcmp(again.path, e->path) && !strcmp(again.host, e->host) && !strcmp(again.user, e->user));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size ? size : 1);
  const char *reason;
  struct endpoint e;
  int tls;
  if (!text) return 0;
  if (size) memcpy(text, data, size);
  for (tls = 0; tls < 2; tls++) {
    if (endpoint_parse(&e, text, size, tls, &reason) != 0) {
      check(reason != NULL);
      continue;
    }
    check(size <= LIMIT_ENDPOINT);
    check_text(e.path, sizeof e.path);
    check_text(e.host, sizeof e.host);
    check_text(e.user, sizeof e.user);
    check(e.host[0] != '-' && e.user[0] != '-');
    if (e.kind == ENDPOINT_UNIX) check(e.path[0] && !e.host[0] && !e.user[0] && e.port == 0 && !e.tls);
    else check(e.host[0] && e.port >= (e.kind == ENDPOINT_TCP) && e.port <= 65535 && (!e.path[0] || e.path[0] == '/'));
    if (e.kind == ENDPOINT_TCP) check(!e.user[0] && (e.tls || !tls));
    if (e.kind == ENDPOINT_SSH) check(!strpbrk(e.path, " $;&|`'\"\\<>(){}*?[]#!\t\n"));
    check_again(&e);
  }
  free(text);
  return 0;
}
