/* endpoint.c: see endpoint.h.
**
** Reasons are static text, so nothing of what was written can leak through them: a DOCKER_HOST may hold a password,
** and one that does is refused. Host and user names never begin with "-", which ssh would take for an option; a path
** behind ssh:// has no byte that the shell over there would take for something else. */

#include "endpoint.h"

#include <string.h>

#define PORT_HTTP 2375
#define PORT_HTTPS 2376

static const char bad_scheme[] = "unix:///path, tcp://host:port, http://, https:// or ssh://host expected";
static const char bad_size[] = "the address is longer than LIMIT_ENDPOINT";
static const char bad_fd[] = "fd:// is for the daemon; unix:///path or tcp://host:port expected";
static const char bad_npipe[] = "npipe:// is for Windows; unix:///path or tcp://host:port expected";
static const char bad_path[] = "a socket's path expected behind unix://";
static const char bad_path_size[] = "the socket's path is longer than LIMIT_SOCKET_PATH";
static const char bad_byte[] = "a control character in the address";
static const char bad_password[] = "no password may stand in the address";
static const char bad_user[] = "a user name of letters, digits and '.', '_', '-' expected before the '@'";
static const char bad_http_user[] = "a user name before '@' is only for ssh://";
static const char bad_host[] = "a host name or address expected; IPv6 in brackets";
static const char bad_port[] = "a port from 1 to 65535 expected behind the host's ':'";
static const char bad_prefix[] = "a path behind the host may hold letters, digits and '/._~-' only, and no '..'";

struct piece {
  const char *text;
  size_t length;
};

static int is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* All bytes letters, digits or one of extra? */
static int is_made_of(struct piece p, const char *extra) {
  size_t i;
  for (i = 0; i < p.length; i++) {
    if (!is_alnum(p.text[i]) && (p.text[i] == '\0' || !strchr(extra, p.text[i]))) return 0;
  }
  return 1;
}

/* Takes what is before the first c off p; 0 and nothing changed if there is no c. */
static int take_before(struct piece *p, char c, struct piece *before) {
  const char *at = memchr(p->text, c, p->length);
  if (!at) return 0;
  before->text = p->text;
  before->length = (size_t)(at - p->text);
  p->text = at + 1;
  p->length -= before->length + 1;
  return 1;
}

static int take_prefix(struct piece *p, const char *prefix) {
  size_t n = strlen(prefix);
  if (p->length < n || memcmp(p->text, prefix, n) != 0) return 0;
  p->text += n;
  p->length -= n;
  return 1;
}

static void copy(char *to, struct piece p) {
  memcpy(to, p.text, p.length);
  to[p.length] = '\0';
}

static const char *parse_socket(struct endpoint *e, struct piece rest) {
  if (rest.length == 0) return bad_path;
  if (rest.length > LIMIT_SOCKET_PATH) return bad_path_size;
  copy(e->path, rest);
  return NULL;
}

/* ":port", or nothing. */
static const char *parse_port(struct endpoint *e, struct piece rest) {
  size_t i;
  int port = 0;
  if (rest.length == 0) return NULL;
  if (rest.text[0] != ':' || rest.length < 2 || rest.length > 6) return bad_port;
  for (i = 1; i < rest.length; i++) {
    if (rest.text[i] < '0' || rest.text[i] > '9') return bad_port;
    port = port * 10 + (rest.text[i] - '0');
  }
  if (port < 1 || port > 65535) return bad_port;
  e->port = port;
  return NULL;
}

static int is_ipv6(struct piece p) {
  size_t i;
  for (i = 0; i < p.length; i++) {
    if (p.text[i] == '\0' || !strchr("0123456789abcdefABCDEF:.", p.text[i])) return 0;
  }
  return p.length >= 2 && p.length <= 45 && memchr(p.text, ':', p.length);
}

static const char *parse_host(struct endpoint *e, struct piece rest) {
  struct piece host = rest;
  if (rest.length > 0 && rest.text[0] == '[') {
    rest.text++;
    rest.length--;
    if (!take_before(&rest, ']', &host) || !is_ipv6(host)) return bad_host;
  } else {
    const char *colon = memchr(rest.text, ':', rest.length);
    if (colon) host.length = (size_t)(colon - rest.text);
    rest.text += host.length;
    rest.length -= host.length;
    if (host.length == 0 || host.length >= sizeof e->host) return bad_host;
    if (!is_alnum(host.text[0]) || !is_made_of(host, "._-")) return bad_host;
    if (rest.length > 0 && memchr(rest.text + 1, ':', rest.length - 1)) return bad_host; /* IPv6 without brackets */
  }
  copy(e->host, host);
  return parse_port(e, rest);
}

/* What follows the host's "/": kept with that slash and without one at its end. */
static const char *parse_prefix(struct endpoint *e, struct piece prefix) {
  size_t i;
  if (prefix.length > 0 && !is_made_of(prefix, "/._~-")) return bad_prefix;
  while (prefix.length > 0 && prefix.text[prefix.length - 1] == '/') prefix.length--;
  if (prefix.length == 0) return NULL;
  if (prefix.length + 1 > LIMIT_SOCKET_PATH || prefix.text[0] == '/') return bad_prefix;
  for (i = 0; i + 1 < prefix.length; i++) {
    if (prefix.text[i] == '.' && prefix.text[i + 1] == '.') return bad_prefix;
    if (prefix.text[i] == '/' && prefix.text[i + 1] == '/') return bad_prefix;
  }
  e->path[0] = '/';
  copy(e->path + 1, prefix);
  return NULL;
}

static const char *parse_http(struct endpoint *e, struct piece rest) {
  struct piece authority, user;
  const char *reason;
  int more = take_before(&rest, '/', &authority);
  if (!more) authority = rest;
  if (take_before(&authority, '@', &user)) return memchr(user.text, ':', user.length) ? bad_password : bad_http_user;
  reason = parse_host(e, authority);
  return reason || !more ? reason : parse_prefix(e, rest);
}

static const char *parse_ssh(struct endpoint *e, struct piece rest) {
  struct piece authority, user;
  const char *reason;
  int more = take_before(&rest, '/', &authority);
  if (!more) authority = rest;
  if (take_before(&authority, '@', &user)) {
    if (memchr(user.text, ':', user.length)) return bad_password;
    if (user.length == 0 || user.length >= sizeof e->user || user.text[0] == '-') return bad_user;
    if (!is_made_of(user, "._-")) return bad_user;
    copy(e->user, user);
  }
  reason = parse_host(e, authority);
  return reason || !more ? reason : parse_prefix(e, rest);
}

static const char *parse(struct endpoint *e, struct piece text, int tls) {
  size_t i;
  if (text.length > LIMIT_ENDPOINT) return bad_size;
  for (i = 0; i < text.length; i++) {
    if ((unsigned char)text.text[i] < ' ' || text.text[i] == 0x7F) return bad_byte;
  }
  if (take_prefix(&text, "unix://")) {
    e->kind = ENDPOINT_UNIX;
    return parse_socket(e, text);
  }
  if (take_prefix(&text, "ssh://")) {
    e->kind = ENDPOINT_SSH;
    return parse_ssh(e, text);
  }
  if (take_prefix(&text, "fd://")) return bad_fd;
  if (take_prefix(&text, "npipe://")) return bad_npipe;
  e->kind = ENDPOINT_TCP;
  if (take_prefix(&text, "https://")) e->tls = 1;
  else if (take_prefix(&text, "tcp://") || take_prefix(&text, "http://")) e->tls = tls != 0;
  else return bad_scheme;
  e->port = e->tls ? PORT_HTTPS : PORT_HTTP;
  return parse_http(e, text);
}

int endpoint_parse(struct endpoint *e, const char *text, size_t length, int tls, const char **reason) {
  struct piece whole = {text, length};
  memset(e, 0, sizeof *e);
  *reason = parse(e, whole, tls);
  return *reason ? -1 : 0;
}
