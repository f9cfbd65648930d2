/* transfer.c: requests and replies on which libcurl speaks HTTP (see transport.h).
**
** A transfer's easy handle keeps the options that do not change from one request to the next; of the others, only what
** differs is set. Where a request needs a connection of its own (upload, upgrade), it is handed on to duplex.c, which
** fills in the same struct. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tlswords.h"
#include "transport_curl.h"

#define USER_AGENT "docker-watcher"
#define TOO_LARGE 100   /* CURLE_TOO_LARGE, since libcurl 8.6 */
#define KEEP_BODY 65536 /* memory that an idle transfer keeps for its next reply */

/* ---- the reply: libcurl's callbacks ---- */

void transfer_wake(struct transfer *x) {
  if (x->wait) wait_wake(x->wait, WAIT_READY);
  if (x->writer) wait_wake(x->writer, WAIT_READY);
}

void transfer_set_limit(struct transfer *x, const char *name) {
  x->fault = FAULT_TOO_LARGE;
  x->fault_limit = name;
}

static size_t on_header(char *line, size_t size, size_t count, void *user) {
  struct transfer *x = user;
  size_t length = size * count;
  if (length > 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new reply: behind a 100 */
    const char *blank = memchr(line, ' ', length);
    buf_clear(&x->head);
    x->status = 0;
    if (blank && (size_t)(line + length - blank) > 4) x->status = (int)strtol(blank + 1, NULL, 10);
    return length;
  }
  if (length <= 2 && (line[0] == '\r' || line[0] == '\n')) {
    if (x->status >= 101 || x->status == 0) {
      x->headers_done = 1;
      x->engine_error = x->status >= 300;
      if (x->request.stream) transfer_wake(x);
    }
    return length;
  }
  switch (buf_append(&x->head, line, length)) {
    case BUF_OK: return length;
    case BUF_FULL: transfer_set_limit(x, "LIMIT_HEADERS"); break;
    default: x->fault = FAULT_MEMORY;
  }
  return 0;
}

int transfer_take(struct transfer *x, const char *bytes, size_t count) {
  int status;
  x->received += count;
  if (x->engine_error && !x->request.keep_error_body) { /* the beginning will do */
    size_t room = x->body.length < LIMIT_ERROR_BODY ? LIMIT_ERROR_BODY - x->body.length : 0;
    if (buf_append(&x->body, bytes, count < room ? count : room) == BUF_OK) return 0;
    x->fault = FAULT_MEMORY;
    return -1;
  }
  if (!x->request.stream && count > x->request.max_body - x->body.length) {
    transfer_set_limit(x, x->request.max_body_name);
    return -1;
  }
  status = buf_append(&x->body, bytes, count);
  if (x->request.stream) transfer_wake(x);
  if (status == BUF_OK) return 0;
  if (status == BUF_FULL) transfer_set_limit(x, "LIMIT_JSON_ITEM");
  else x->fault = FAULT_MEMORY;
  return -1;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user) {
  struct transfer *x = user;
  size_t length = size * count;
  int streams = x->request.stream && (!x->engine_error || x->request.keep_error_body);
  if (streams && x->body.length > 0 && x->body.length + length > x->high) {
    x->paused = 1;
    transfer_wake(x);
    return CURL_WRITEFUNC_PAUSE;
  }
  return transfer_take(x, bytes, length) == 0 ? length : CURL_WRITEFUNC_ERROR;
}

/* Before each attempt to send the request. The first one fails unnoticed where a kept-alive connection turns out to be
** closed: another may follow unless the engine can have seen any of it. */
static int on_attempt(void *user, char *ip, char *local_ip, int port, int local_port) {
  struct transfer *x = user;
  long sent = 0;
  (void)ip, (void)local_ip, (void)port, (void)local_port;
  x->attempts++;
  if (!x->duplex) x->sent_bytes = x->request.body_length;
  if (x->request.repeatable) return CURL_PREREQFUNC_OK;
  curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &sent);
  if (x->attempts == 1) x->sent_before = sent;
  return sent > x->sent_before ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* ---- transfers ---- */

/* The Unix socket to connect to; NULL: by TCP. For ssh it is a name in place of the address that watch_open finds: with
** it, libcurl resolves no host and asks no proxy. */
static const char *socket_path(const struct transport *t) {
  if (!t->has_endpoint || t->endpoint.kind == ENDPOINT_TCP) return NULL;
  return t->endpoint.kind == ENDPOINT_SSH ? "ssh" : t->endpoint.path;
}

/* 0, or -1: no memory (strings are copied; a handle that lost its socket's path would look for a host). */
static int set_fixed_options(CURL *easy, struct transfer *x, struct transport *t) {
  const char *socket_file = socket_path(t);
  if (curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK) return -1;
  if (t->ca && curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca) != CURLE_OK) return -1;
#if LIBCURL_VERSION_NUM >= 0x075700
  if (t->ca) curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* it may be exchanged under the living client */
#endif
  if (t->cert && curl_easy_setopt(easy, CURLOPT_SSLCERT, t->cert) != CURLE_OK) return -1;
  if (t->key && curl_easy_setopt(easy, CURLOPT_SSLKEY, t->key) != CURLE_OK) return -1;
  if (socket_file && curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket_file) != CURLE_OK) return -1;
  if (socket_file && curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK) return -1;
  if (!t->has_endpoint) { /* an Engine does without: 5 % of a ping */
    if (curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT) != CURLE_OK) return -1;
  }
  curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, t->connect_timeout);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_attempt);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, x);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, watch_open);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, watch_close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, t);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->fault_text);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0L : 2L);
  if (t->has_endpoint) curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  if (!socket_file) curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  return 0;
}

/* The URL of an endpoint without path: parsed once for each transfer, which spares a tenth of a small request. */
static CURLU *endpoint_url(const struct transport *t) {
  const struct endpoint *e = &t->endpoint;
  const char *format = strchr(e->host, ':') ? "%s://[%s]:%d/" : "%s://%s:%d/";
  char origin[512];
  CURLU *url = curl_url();
  if (e->kind != ENDPOINT_TCP) snprintf(origin, sizeof origin, "http://docker/");
  else snprintf(origin, sizeof origin, format, t->tls ? "https" : "http", e->host, e->port);
  if (url && curl_url_set(url, CURLUPART_URL, origin, 0) != CURLUE_OK) {
    curl_url_cleanup(url);
    url = NULL;
  }
  return url;
}

struct transfer *transfer_new(struct transport *t) {
  struct transfer *x;
  if (!t->multi) return NULL;
  x = calloc(1, sizeof *x);
  if (!x) return NULL;
  x->easy = curl_easy_init();
  if (!x->easy) {
    free(x);
    return NULL;
  }
  x->transport = t;
  t->references++;
  x->last_method = -1;
  buf_init(&x->head, LIMIT_HEADERS);
  buf_init(&x->body, LIMIT_REPLY);
  buf_init(&x->url, LIMIT_PATH);
  buf_init(&x->last_url, LIMIT_PATH);
  if (t->has_endpoint) x->parsed_url = endpoint_url(t);
  if (set_fixed_options(x->easy, x, t) != 0 || (t->has_endpoint && !x->parsed_url)) {
    transfer_free(x);
    return NULL;
  }
  if (t->has_endpoint) {
    curl_easy_setopt(x->easy, CURLOPT_CURLU, x->parsed_url);
  }
  return x;
}

void transfer_free(struct transfer *x) {
  if (!x) return;
  transfer_abort(x);
  curl_easy_cleanup(x->easy);
  curl_url_cleanup(x->parsed_url);
  buf_free(&x->head);
  buf_free(&x->body);
  buf_free(&x->url);
  buf_free(&x->last_url);
  transport_release(x->transport);
  free(x);
}

/* Does nothing but the connection's end tell where the reply's body, or a two-way connection, ends? */
static int ends_with_connection(const struct transfer *x) {
  size_t length;
  if (x->request.method == TRANSFER_HEAD || x->status == 204 || x->status == 304) return 0;
  return !transfer_header(x, "Content-Length", &length) && !transfer_header(x, "Transfer-Encoding", &length);
}

/* The one place where a transfer ends. */
void transfer_finish(struct transfer *x, enum transfer_fault fault) {
  struct curl_slist *line;
  x->active = 0;
  x->done = 1;
  x->paused = x->sends = 0;
  if (x->transport->multi) {
    curl_multi_remove_handle(x->transport->multi, x->easy);
    transport_keep_kick(x->transport);
  }
  if (x->transport->ssh) {
    watch_forget(x->transport, x);
    if (fault == FAULT_CUT && x->ssh == SSH_UNREACHED) fault = FAULT_SSH;
    if (fault == FAULT_NONE && x->ssh == SSH_LOST && ends_with_connection(x)) fault = FAULT_CUT;
    if (x->long_taken && x->transport->multi) transport_take(x->transport, -1);
    x->long_taken = 0;
  }
  if (x->duplex) duplex_free(x);
  if (x->fault == FAULT_NONE) x->fault = fault;
  *x->link = x->next;
  if (x->next) x->next->link = x->link;
  x->next = NULL;
  x->link = NULL;
  if (x->lines) {
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
    x->last_lines = NULL;
    for (line = x->lines; line; line = line->next) explicit_bzero(line->data, strlen(line->data)); /* credentials */
    curl_slist_free_all(x->lines);
    x->lines = NULL;
  }
  transfer_wake(x);
}

static enum transfer_fault fault_of(CURL *easy, CURLcode code) {
  long number = 0;
  switch (code) {
    case CURLE_OK: return FAULT_NONE;
    case CURLE_COULDNT_CONNECT:
      curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
      if (number == ENOENT) return FAULT_MISSING;
      if (number == ECONNREFUSED) return FAULT_REFUSED;
      if (number == EACCES || number == EPERM) return FAULT_PERMISSION;
      return FAULT_UNREACHABLE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_OPERATION_TIMEDOUT: /* only the connect timeout is libcurl's; deadlines are ours */
    case CURLE_INTERFACE_FAILED:
      return FAULT_UNREACHABLE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
      return FAULT_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_ABORTED_BY_CALLBACK: /* on_attempt */
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return FAULT_CUT;
    case CURLE_OUT_OF_MEMORY: return FAULT_MEMORY;
    default: return FAULT_PROTOCOL;
  }
}

/* Has a byte of the reply come? */
static int has_answered(CURL *easy) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &microseconds);
  return microseconds > 0;
}

/* A peer that refuses our certificate says so behind the handshake, so that libcurl takes it for the reply's end. Its
** words may be overtaken by the connection's end: mostly before anything of the request could be sent, else a reset is
** all that is read. That is taken for a refusal too where nothing hangs on it that the request might have been done. */
static enum transfer_fault tls_fault(struct transfer *x, CURLcode code, enum transfer_fault fault) {
  int has_cert = x->transport->cert != NULL;
  long connects = 0, sent = 0, number = 0;
  x->fault_advice = NULL;
  if (fault == FAULT_CUT && !x->headers_done && !has_answered(x->easy)) {
    curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &sent);
    curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &number);
    if (connects > 0 && tlswords_refused(x->fault_text)) {
      fault = FAULT_TLS;
    } else if (connects > 0 && ((code == CURLE_SEND_ERROR && sent == 0) || (code == CURLE_RECV_ERROR &&
                                (number == ECONNRESET || number == EPIPE) && x->request.repeatable))) {
      x->fault_advice = tlswords_closed(x->fault_text, sizeof x->fault_text, has_cert);
      return FAULT_TLS;
    }
  }
  if (fault == FAULT_TLS) x->fault_advice = tlswords(x->fault_text, sizeof x->fault_text, has_cert);
  return fault;
}

void transfer_collect(struct transport *t) {
  CURLMsg *message;
  int left;
  while (t->multi && (message = curl_multi_info_read(t->multi, &left)) != NULL) {
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result;
    char *private = NULL;
    struct transfer *x;
    enum transfer_fault fault;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    x = (struct transfer *)(void *)private;
    if (code == CURLE_OK && x->duplex) {
      duplex_connected(x);
      continue;
    }
    if (code == CURLE_OK && !x->headers_done) {
      code = CURLE_PARTIAL_FILE;
    } else if (!x->headers_done &&
               ((int)code == TOO_LARGE || (code == CURLE_OUT_OF_MEMORY && has_answered(easy)))) {
      transfer_set_limit(x, "LIMIT_HEADERS"); /* libcurl's words for a line of more than 100 KiB */
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
      char words[sizeof x->fault_text];
      memcpy(words, x->fault_text, sizeof words);
      snprintf(x->fault_text, sizeof x->fault_text, "no connection for as long as connect_timeout allows%s%.160s",
               words[0] ? ": " : "", words);
    }
    if (code != CURLE_OK && x->fault_text[0] == '\0') {
      snprintf(x->fault_text, sizeof x->fault_text, "%s", curl_easy_strerror(code));
    }
    fault = fault_of(easy, code);
    if (x->transport->tls && code != CURLE_OK) fault = tls_fault(x, code, fault);
    transfer_finish(x, fault);
  }
}

void transfer_fail_all(struct transport *t) {
  while (t->transfers) transfer_finish(t->transfers, FAULT_MEMORY);
}

/* ---- the request ---- */

/* Method and body: only what differs from the handle's last request is set. 0, or -1: no memory. */
static int set_method(struct transfer *x, const struct transfer_request *r) {
  CURL *easy = x->easy;
  int has_body = r->content_type != NULL;
  int posts = r->method != TRANSFER_GET && r->method != TRANSFER_HEAD && (r->method != TRANSFER_DELETE || has_body);
  if (x->last_method != (int)r->method || x->last_posts != posts) {
    const char *verb = NULL;
    x->last_method = -1;
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (posts) curl_easy_setopt(easy, CURLOPT_POST, 1L);
    switch (r->method) {
      case TRANSFER_GET:
      case TRANSFER_POST: break;
      case TRANSFER_HEAD: curl_easy_setopt(easy, CURLOPT_NOBODY, 1L); break;
      case TRANSFER_PUT: verb = "PUT"; break;
      case TRANSFER_PATCH: verb = "PATCH"; break;
      case TRANSFER_DELETE: verb = "DELETE"; break;
    }
    if (curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, verb) != CURLE_OK) return -1;
    x->last_method = (int)r->method;
    x->last_posts = posts;
  }
  if (posts) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(has_body ? r->body_length : 0));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, has_body ? r->body : "");
  }
  return 0;
}

/* 0, or -1: no memory. */
static int set_headers(struct transfer *x, const struct transfer_request *r) {
  struct transport *t = x->transport;
  struct curl_slist *lines = NULL, *next;
  const char *const *h;
  if (!r->headers && (!r->content_type || strcmp(r->content_type, "application/json") == 0)) {
    struct curl_slist *shared = r->content_type ? t->json_lines : r->method == TRANSFER_POST ? t->bare_lines : NULL;
    if (x->last_lines != shared) curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, shared);
    x->last_lines = shared;
    return 0;
  }
  lines = curl_slist_append(NULL, "Expect:");
  if (!lines) return -1;
  if (!r->content_type) {
    next = curl_slist_append(lines, "Content-Type:");
  } else {
    char line[256];
    snprintf(line, sizeof line, "Content-Type: %s", r->content_type);
    next = curl_slist_append(lines, line);
  }
  for (h = r->headers; next && h && *h; h++) next = curl_slist_append(lines, *h);
  if (!next) {
    curl_slist_free_all(lines);
    return -1;
  }
  x->lines = lines;
  curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, lines);
  return 0;
}

/* Path and query of a request to the endpoint; its prefix, if it has one, before the path. */
static int set_endpoint_url(struct transfer *x, const char *text) {
  const struct endpoint *e = &x->transport->endpoint;
  const char *query = strchr(text, '?');
  int status = BUF_OK;
  buf_clear(&x->url);
  if (e->kind == ENDPOINT_TCP) status = buf_puts(&x->url, e->path);
  if (status == BUF_OK) status = buf_append(&x->url, text, query ? (size_t)(query - text) : strlen(text));
  if (status == BUF_OK) status = buf_putc(&x->url, '\0');
  if (status != BUF_OK) return status;
  if (curl_url_set(x->parsed_url, CURLUPART_PATH, x->url.data, 0) != CURLUE_OK ||
      curl_url_set(x->parsed_url, CURLUPART_QUERY, query ? query + 1 : NULL, 0) != CURLUE_OK) {
    return BUF_NO_MEMORY;
  }
  return BUF_OK;
}

/* Sets what differs from the handle's last request. */
static int set_url(struct transfer *x, const char *text) {
  size_t size = strlen(text) + 1;
  int status;
  if (size == x->last_url.length && memcmp(text, x->last_url.data, size) == 0) return BUF_OK;
  buf_clear(&x->last_url);
  if (x->parsed_url) status = set_endpoint_url(x, text);
  else status = curl_easy_setopt(x->easy, CURLOPT_URL, text) == CURLE_OK ? BUF_OK : BUF_NO_MEMORY;
  return status == BUF_OK ? buf_append(&x->last_url, text, size) : status;
}

void transfer_start(struct transfer *x, const struct transfer_request *request, struct wait *wait) {
  struct transport *t = x->transport;
  int status;
  x->request = *request;
  if (request->upgrade) x->request.stream = 1;
  x->wait = wait;
  x->writer = NULL;
  x->active = 1;
  x->done = x->paused = x->status = x->headers_done = x->engine_error = 0;
  x->fault = FAULT_NONE;
  x->fault_limit = NULL;
  x->ssh = SSH_NONE;
  x->fault_text[0] = '\0';
  x->sends = request->upload || request->upgrade;
  x->attempts = 0;
  x->sent_bytes = 0;
  x->received = 0;
  x->started = loop_now(t->loop);
  x->high = LIMIT_STREAM_BUFFER;
  buf_clear(&x->head);
  buf_shrink(&x->body, KEEP_BODY);
  x->body.cap = x->request.stream ? LIMIT_JSON_ITEM + LIMIT_STREAM_BUFFER
                : request->max_body > LIMIT_ERROR_BODY ? request->max_body : LIMIT_ERROR_BODY;
  x->next = t->transfers;
  x->link = &t->transfers;
  if (x->next) x->next->link = &x->next;
  t->transfers = x;
  if (!t->multi) {
    transfer_finish(x, FAULT_CLOSED);
    return;
  }
  if (x->sends) {
    if (duplex_start(x) != 0) {
      transfer_finish(x, FAULT_MEMORY);
      return;
    }
    transport_drive(t, CURL_SOCKET_TIMEOUT, 0);
    return;
  }
  status = set_url(x, request->url);
  if (status != BUF_OK) {
    if (status == BUF_FULL) transfer_set_limit(x, "LIMIT_PATH");
    transfer_finish(x, FAULT_MEMORY);
    return;
  }
  if (x->last_stream != request->stream) {
    curl_easy_setopt(x->easy, CURLOPT_BUFFERSIZE, (long)(request->stream ? STREAM_RECEIVE_BUFFER : RECEIVE_BUFFER));
    x->last_stream = request->stream;
  }
  if (set_method(x, request) != 0 || set_headers(x, request) != 0 ||
      curl_multi_add_handle(t->multi, x->easy) != CURLM_OK) {
    transfer_finish(x, FAULT_MEMORY);
    return;
  }
  if (t->ssh && request->stream) { /* others shall not have to log in anew each time while it has this connection */
    x->long_taken = 1;
    transport_take(t, 1);
  }
  transport_drive(t, CURL_SOCKET_TIMEOUT, 0);
}

void transfer_abort(struct transfer *x) {
  if (!x->active) return;
  x->wait = NULL;
  transfer_finish(x, FAULT_CLOSED);
}

/* Not for less room than what libcurl has read already may need: it would be paused at once again, and copy that. */
static void go_on(struct transfer *x) {
  if (!x->paused || !x->active || x->body.length + STREAM_RECEIVE_BUFFER > x->high) return;
  x->paused = 0;
  if (x->duplex) {
    duplex_resume(x);
    return;
  }
  curl_easy_pause(x->easy, CURLPAUSE_CONT);
  transport_drive(x->transport, CURL_SOCKET_TIMEOUT, 0);
}

void transfer_consumed(struct transfer *x) {
  x->high = LIMIT_STREAM_BUFFER;
  go_on(x);
}

void transfer_needs_more(struct transfer *x) {
  x->high = x->body.length + LIMIT_STREAM_BUFFER;
  go_on(x);
}

/* ---- headers ---- */

int transfer_next_header(const struct transfer *x, size_t *at, const char **name, size_t *name_length, const char **value,
                         size_t *value_length) {
  while (*at < x->head.length) {
    const char *line = x->head.data + *at, *colon;
    const char *end = memchr(line, '\n', x->head.length - *at);
    size_t length = end ? (size_t)(end - line) : x->head.length - *at;
    *at += end ? length + 1 : length;
    while (length && (line[length - 1] == '\r' || line[length - 1] == ' ' || line[length - 1] == '\t')) length--;
    colon = memchr(line, ':', length);
    if (!colon) continue;
    *name = line;
    *name_length = (size_t)(colon - line);
    *value = colon + 1;
    *value_length = length - *name_length - 1;
    while (*value_length && (**value == ' ' || **value == '\t')) ++*value, --*value_length;
    return 1;
  }
  return 0;
}

const char *transfer_header(const struct transfer *x, const char *wanted, size_t *length) {
  const char *name, *value;
  size_t at = 0, name_length, wanted_length = strlen(wanted);
  while (transfer_next_header(x, &at, &name, &name_length, &value, length)) {
    if (name_length == wanted_length && strncasecmp(name, wanted, wanted_length) == 0) return value;
  }
  return NULL;
}
