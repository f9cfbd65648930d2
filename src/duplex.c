/* duplex.c: requests with a connection of their own, whose two directions live apart (transport_curl.h).
**
** An upload's body comes by and by, and the engine may answer, refuse or go away before it is complete; an upgraded
** connection is no HTTP any more. libcurl is no help with either: while a body is paused it does not see that the reply
** is complete or the connection gone, and it knows no 101 but its own. So libcurl only makes the connection here
** (CURLOPT_CONNECT_ONLY: sockets, TLS, proxies and their errors as for all others) and moves bytes
** (curl_easy_send, curl_easy_recv); the request is written, and the reply read, by ourselves. The easy handle stays in
** the multi until the end, as libcurl asks; taking it out closes the connection, which never was anyone else's.
**
** What is to be sent is in two buffers: one is being written and does not change (TLS wants to be given the same bytes
** again where it could not take them), the other one gathers what comes meanwhile. Bytes of a two-way connection wait
** for the 101: they would be taken for another request where the engine refuses. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "transport_curl.h"

#define SEND_STEP 65536 /* bytes given to libcurl at once */
#define READS 16        /* in a row before the loop gets its turn */
#define CHUNK_FRAME 32  /* room for the line before a chunk, what is behind it, and the last chunk */

enum duplex_phase { DUPLEX_CONNECTING, DUPLEX_HEAD, DUPLEX_BODY, DUPLEX_OPEN /* 101: two-way */ };

struct duplex {
  enum duplex_phase phase;
  struct watch *watch;     /* NULL: not connected */
  struct httphead head;
  struct httpbody body;
  struct buf out;          /* is being written, from out_at; at first the request's head (and JSON body) */
  size_t out_at;
  struct buf next;         /* comes behind it */
  int begun;               /* the head is written */
  int ended, closed;       /* nothing follows next; our side of an upgraded connection is closed */
  int crowded;             /* more than half of LIMIT_UPLOAD_BUFFER was in use: someone may wait for room */
};

/* ---- life ---- */

static int put_head(struct transfer *x, struct buf *b) {
  static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"};
  const struct transfer_request *r = &x->request;
  const struct endpoint *e = &x->transport->endpoint;
  const char *const *h;
  int status, tcp = e->kind == ENDPOINT_TCP;
  status = buf_printf(b, "%s %s%s HTTP/1.1\r\n", methods[r->method], tcp ? e->path : "", r->url);
  if (status == BUF_OK && !tcp) status = buf_puts(b, "Host: docker\r\n");
  if (status == BUF_OK && tcp && !strchr(e->host, ':')) status = buf_printf(b, "Host: %s:%d\r\n", e->host, e->port);
  if (status == BUF_OK && tcp && strchr(e->host, ':')) status = buf_printf(b, "Host: [%s]:%d\r\n", e->host, e->port);
  if (status == BUF_OK) status = buf_puts(b, r->upgrade ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "Connection: close\r\n");
  for (h = r->headers; status == BUF_OK && h && *h; h++) status = buf_printf(b, "%s\r\n", *h);
  if (status == BUF_OK && r->content_type) status = buf_printf(b, "Content-Type: %s\r\n", r->content_type);
  if (status == BUF_OK && r->upload) status = buf_puts(b, "Transfer-Encoding: chunked\r\n\r\n");
  if (status == BUF_OK && !r->upload) {
    status = buf_printf(b, "Content-Length: %zu\r\n\r\n", r->content_type ? r->body_length : 0);
    if (status == BUF_OK && r->content_type) status = buf_append(b, r->body, r->body_length);
  }
  if (status == BUF_FULL) transfer_set_limit(x, "LIMIT_REQUEST");
  return status;
}

static void free_out(struct duplex *d) {
  if (d->out.data) explicit_bzero(d->out.data, d->out.size); /* credentials may be in the head */
  buf_free(&d->out);
  buf_free(&d->next);
  d->out_at = 0;
}

void duplex_free(struct transfer *x) {
  struct duplex *d = x->duplex;
  struct transport *t = x->transport;
  if (d->watch) d->watch->duplex = NULL;
  if (d->phase != DUPLEX_CONNECTING) {
    transport_take(t, -1);
  }
  httphead_free(&d->head);
  free_out(d);
  free(d);
  x->duplex = NULL;
  curl_easy_setopt(x->easy, CURLOPT_CONNECT_ONLY, 0L);
  curl_easy_setopt(x->easy, CURLOPT_HTTPPROXYTUNNEL, 0L);
}

int duplex_start(struct transfer *x) {
  const struct transfer_request *r = &x->request;
  struct duplex *d;
  if (!x->transport->has_endpoint) {
    x->fault = FAULT_PROTOCOL;
    snprintf(x->fault_text, sizeof x->fault_text, "uploads and two-way connections are for engines only");
    return -1;
  }
  d = calloc(1, sizeof *d);
  if (!d) return -1;
  x->duplex = d;
  httphead_init(&d->head, &x->head);
  buf_init(&d->out, LIMIT_PATH + LIMIT_HEADERS + LIMIT_REQUEST);
  buf_init(&d->next, LIMIT_UPLOAD_BUFFER);
  if (put_head(x, &d->out) != BUF_OK) return -1;
  x->sent_bytes = r->upload ? 0 : r->body_length;
  curl_easy_setopt(x->easy, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(x->easy, CURLOPT_HTTPPROXYTUNNEL, 1L); /* where there is a proxy: we don't speak its HTTP */
  return curl_multi_add_handle(x->transport->multi, x->easy) == CURLM_OK ? 0 : -1;
}

/* ---- what we send ---- */

static size_t unsent(const struct duplex *d) {
  return (d->begun ? d->out.length - d->out_at : 0) + d->next.length;
}

/* The peer wants no more of it, or is gone: what it has said, or why, comes by reading. */
static void stop_sending(struct transfer *x) {
  struct duplex *d = x->duplex;
  x->sends = 0;
  d->ended = d->closed = d->begun = 1;
  free_out(d);
}

/* What is out is written. 1: there is more that may be. */
static int take_next(struct transfer *x) {
  struct duplex *d = x->duplex;
  struct buf written = d->out;
  if (!d->begun) { /* it was the head */
    explicit_bzero(written.data, written.size);
    buf_free(&written);
    buf_init(&written, LIMIT_UPLOAD_BUFFER);
    d->begun = 1;
  }
  buf_clear(&written);
  d->out = written;
  d->out_at = 0;
  if (d->next.length == 0 || !(x->request.upload || d->phase == DUPLEX_OPEN)) return 0;
  d->out = d->next;
  d->next = written;
  return 1;
}

static void end_sending(struct transfer *x) {
  struct duplex *d = x->duplex;
  enum tls_end how = TLS_END_DONE;
  if (x->transport->tls) how = tls_end_sending(x->easy);
  else shutdown(d->watch->fd, SHUT_WR); /* fails where the peer is gone, which reading tells */
  d->closed = how != TLS_END_AGAIN;
  if (how != TLS_END_IMPOSSIBLE) return;
  snprintf(x->fault_text, sizeof x->fault_text, "with this libcurl (%.80s), what is sent can't be ended while the "
           "connection stays open", curl_version());
  transfer_finish(x, FAULT_TLS);
}

/* Writes what may be written and goes; may end the transfer. */
static void flush(struct transfer *x) {
  struct duplex *d = x->duplex;
  int blocked = 0;
  if (d->phase == DUPLEX_CONNECTING || d->closed) return;
  while (!blocked && (d->out_at < d->out.length || take_next(x))) {
    size_t left = d->out.length - d->out_at, count = 0;
    CURLcode code = curl_easy_send(x->easy, d->out.data + d->out_at, left < SEND_STEP ? left : SEND_STEP, &count);
    if (code != CURLE_OK && code != CURLE_AGAIN) {
      x->fault_text[0] = '\0';
      stop_sending(x);
      transfer_wake(x);
      return;
    }
    d->out_at += count;
    blocked = code == CURLE_AGAIN;
  }
  if (d->crowded && transfer_room(x) >= LIMIT_UPLOAD_BUFFER / 2) {
    d->crowded = 0;
    transfer_wake(x);
  }
  if (!blocked && d->ended && d->phase == DUPLEX_OPEN) end_sending(x);
}

static void watch(struct transfer *x) {
  struct duplex *d = x->duplex;
  int unfinished = d->out_at < d->out.length || (d->ended && !d->closed && d->phase == DUPLEX_OPEN);
  watch_events(d->watch, (x->paused ? 0 : UV_READABLE) | (unfinished ? UV_WRITABLE : 0));
}

size_t transfer_room(const struct transfer *x) {
  const struct duplex *d = x->duplex;
  size_t used;
  if (!d || !x->sends) return LIMIT_UPLOAD_BUFFER; /* all is dropped */
  used = unsent(d) + (x->request.upload ? CHUNK_FRAME : 0);
  return used < LIMIT_UPLOAD_BUFFER ? LIMIT_UPLOAD_BUFFER - used : 0;
}

int transfer_send(struct transfer *x, const char *bytes, size_t count) {
  struct duplex *d = x->duplex;
  size_t before;
  int status = BUF_OK;
  if (!x->sends || count == 0) return BUF_OK;
  before = d->next.length;
  if (count > transfer_room(x)) {
    status = BUF_FULL;
  } else if (x->request.upload) {
    status = buf_printf(&d->next, "%zx\r\n", count);
    if (status == BUF_OK) status = buf_append(&d->next, bytes, count);
    if (status == BUF_OK) status = buf_puts(&d->next, "\r\n");
  } else {
    status = buf_append(&d->next, bytes, count);
  }
  if (status == BUF_OK) x->sent_bytes += count;
  else d->next.length = before;
  if (transfer_room(x) < LIMIT_UPLOAD_BUFFER / 2) d->crowded = 1;
  if (status != BUF_OK) return status;
  flush(x);
  if (x->active && d->watch) watch(x);
  return BUF_OK;
}

void transfer_send_end(struct transfer *x) {
  struct duplex *d = x->duplex;
  if (!x->sends) return;
  x->sends = 0;
  d->ended = 1;
  if (x->request.upload && buf_puts(&d->next, "0\r\n\r\n") != BUF_OK) {
    transfer_finish(x, FAULT_MEMORY);
    return;
  }
  flush(x);
  if (x->active && d->watch) watch(x);
}

/* ---- what comes ---- */

static void fail(struct transfer *x, enum transfer_fault fault, const char *text) {
  if (text) snprintf(x->fault_text, sizeof x->fault_text, "%s", text);
  transfer_finish(x, fault);
}

static int take_body(void *user, const char *bytes, size_t count) {
  return transfer_take(user, bytes, count) != 0;
}

/* The head is complete. 0, or -1: the transfer has ended. */
static int take_head(struct transfer *x) {
  struct duplex *d = x->duplex;
  x->status = d->head.status;
  x->headers_done = 1;
  x->engine_error = x->status >= 300;
  if (d->head.framing == HTTP_UPGRADED && !x->request.upgrade) {
    fail(x, FAULT_PROTOCOL, "the reply is an upgrade that nobody asked for");
    return -1;
  }
  d->phase = d->head.framing == HTTP_UPGRADED ? DUPLEX_OPEN : DUPLEX_BODY;
  if (d->phase == DUPLEX_BODY && (x->request.upgrade || x->engine_error)) stop_sending(x);
  httpbody_init(&d->body, d->head.framing, d->head.length);
  if (x->request.stream || !x->sends) transfer_wake(x);
  return 0;
}

/* Bytes of the reply, or of the peer's side of a two-way connection. */
static void take(struct transfer *x, const char *bytes, size_t count) {
  struct duplex *d = x->duplex;
  if (d->phase == DUPLEX_HEAD) {
    size_t used = httphead_feed(&d->head, bytes, count);
    if (d->head.limit) transfer_set_limit(x, d->head.limit);
    if (d->head.state == HTTPHEAD_FAILED) {
      fail(x, d->head.no_memory ? FAULT_MEMORY : FAULT_PROTOCOL, d->head.fault);
      return;
    }
    if (d->head.state != HTTPHEAD_DONE || take_head(x) != 0) return;
    bytes += used;
    count -= used;
  }
  httpbody_feed(&d->body, bytes, count, take_body, x); /* what is behind the end goes with the connection */
  if (x->fault != FAULT_NONE) {
    fail(x, x->fault, NULL);
  } else if (d->body.state == HTTPBODY_FAILED) {
    if (d->body.limit) transfer_set_limit(x, d->body.limit);
    fail(x, FAULT_PROTOCOL, d->body.fault);
  } else if (d->body.state == HTTPBODY_DONE) {
    fail(x, FAULT_NONE, "");
  }
}

/* The peer has closed its side: of a two-way connection that is the end, of a reply perhaps. */
static void take_end(struct transfer *x) {
  struct duplex *d = x->duplex;
  int cut = x->transport->tls && !tls_was_ended(x->easy);
  if (d->phase == DUPLEX_HEAD) fail(x, FAULT_CUT, "the connection ended before the reply");
  else if (cut) fail(x, FAULT_CUT, "the connection was cut: TLS was not ended");
  else if (httpbody_finish(&d->body) != 0) fail(x, FAULT_CUT, "the connection ended inside the reply");
  else fail(x, FAULT_NONE, "");
}

/* Reads what is there; may end the transfer. */
static void receive(struct transfer *x) {
  struct duplex *d = x->duplex;
  char bytes[RECEIVE_BUFFER];
  int reads;
  for (reads = 0; reads < READS; reads++) {
    int gathers = !x->request.stream || (x->engine_error && !x->request.keep_error_body);
    size_t count = 0;
    CURLcode code;
    if (!gathers && x->body.length >= x->high) {
      x->paused = 1;
      transfer_wake(x);
      return;
    }
    code = curl_easy_recv(x->easy, bytes, sizeof bytes, &count);
    if (code == CURLE_AGAIN) return;
    if (code != CURLE_OK) {
      fail(x, FAULT_CUT, x->fault_text[0] ? NULL : curl_easy_strerror(code));
      return;
    }
    if (count == 0) take_end(x);
    else take(x, bytes, count);
    if (!x->active) return;
    if (count < sizeof bytes && !x->transport->tls) return; /* the socket was empty; a TLS record proves nothing */
  }
  watch_again(d->watch); /* the socket need not become readable once more */
}

/* ---- events ---- */

void duplex_ready(struct transfer *x, int events) {
  if ((events & UV_READABLE) && !x->paused) receive(x);
  if (x->active) flush(x);
  if (x->active) watch(x);
}

void duplex_resume(struct transfer *x) {
  duplex_ready(x, UV_READABLE);
}

void duplex_connected(struct transfer *x) {
  struct duplex *d = x->duplex;
  struct transport *t = x->transport;
  curl_socket_t fd = CURL_SOCKET_BAD;
  curl_easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &fd);
  d->watch = fd == CURL_SOCKET_BAD ? NULL : watch_find(t, fd);
  if (!d->watch) {
    fail(x, FAULT_MEMORY, NULL);
    return;
  }
  d->watch->duplex = x;
  d->phase = DUPLEX_HEAD;
  x->attempts = 1;
  transport_take(t, 1);
  flush(x);
  if (x->active) watch(x);
}
