/* transport.c: see transport.h.
**
** libcurl tells us which sockets to watch (on_socket) and when to call again (on_timer); libuv watches. Watches
** outlive requests: when libcurl loses interest in a kept-alive connection, the socket stays registered with epoll
** until it is closed or speaks unasked, so a request on a warm connection costs no epoll_ctl.
**
** Rules that libcurl's documentation and our tests taught: no curl_multi_* call from inside a callback (kick is set
** instead and looked at behind each curl_multi_socket_action); FOLLOWLOCATION off, since redirects would carry
** X-Registry-Auth elsewhere; a request that must not be repeated is stopped at its second attempt (on_attempt), because
** libcurl would otherwise send it again, unasked, when a reused connection dies before the answer; a reply counts only
** when its headers were complete, which libcurl does not ask for; an error that epoll tells of is left to libcurl to
** meet when it reads, since it gives up for good where it is told. */

#include "transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits.h"

#define USER_AGENT "docker-watcher"
#define RECEIVE_BUFFER 32768L /* libcurl's, made anew for each request: from 64 KiB on, freeing it costs a heap consolidation */
#define PACE_LONGEST 50       /* milliseconds between two reads of a paced stream */
#define KICKS 16              /* immediate timeouts served in a row before the loop gets its turn */
#define LONGEST_CONNECT 86400.0 /* seconds */
#define KEEP_BODY 65536       /* memory that an idle transfer keeps for its next reply */

/* A socket that libcurl uses. */
struct watch {
  uv_poll_t poll;
  uv_timer_t rest;  /* paced streams: between two reads */
  int handles;      /* of these two, not yet closed */
  struct transfer *paced; /* the paced stream that is read here; NULL: none */
  struct transport *transport;
  curl_socket_t fd;
  int wanted;     /* UV_READABLE | UV_WRITABLE: what libcurl waits for; 0: nothing just now */
  int registered; /* what libuv watches */
  int ours;       /* opened and closed by on_open and on_close; else libcurl's own (its resolver's) */
  struct watch *next, **link;
};

struct transport {
  struct loop *loop;
  CURLM *multi; /* NULL: closed */
  uv_timer_t *timer;
  int kick; /* libcurl wants to be called at once */
  int given_up; /* some upload was given up while libcurl had paused it */
  unsigned references; /* its owner, and each transfer */
  struct transfer *transfers;
  struct watch *watches;
  size_t connections;
  struct endpoint endpoint;
  int has_endpoint, tls, insecure;
  long connect_timeout; /* milliseconds */
  char *ca, *cert, *key;
  struct curl_slist *json_lines, *bare_lines; /* header lists that most requests share */
};

/* ---- life of a transport ---- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void) {
  curl_global_init(CURL_GLOBAL_DEFAULT); /* never cleaned up: others in the process may use libcurl too */
}

static void free_timer(uv_handle_t *handle) {
  free(handle);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user);
static int on_timer(CURLM *multi, long ms, void *user);

static void transport_release(struct transport *t) {
  if (--t->references > 0) return;
  curl_slist_free_all(t->json_lines);
  curl_slist_free_all(t->bare_lines);
  free(t->ca);
  free(t->cert);
  free(t->key);
  loop_unref(t->loop);
  free(t);
}

static char *copy(const char *text) {
  return text ? strdup(text) : NULL;
}

/* For libcurl, whose 0 means its default. */
static long connect_milliseconds(double seconds) {
  if (seconds < 0.001) return 1;
  return (long)((seconds < LONGEST_CONNECT ? seconds : LONGEST_CONNECT) * 1000);
}

struct transport *transport_new(struct loop *loop, const struct transport_options *options) {
  struct transport *t;
  pthread_once(&curl_once, init_curl);
  t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->loop = loop;
  loop_ref(loop);
  t->references = 1;
  t->multi = curl_multi_init();
  t->timer = calloc(1, sizeof *t->timer);
  t->json_lines = curl_slist_append(NULL, "Content-Type: application/json");
  if (t->json_lines && !curl_slist_append(t->json_lines, "Expect:")) curl_slist_free_all(t->json_lines), t->json_lines = NULL;
  t->bare_lines = curl_slist_append(NULL, "Content-Type:");
  if (t->bare_lines && !curl_slist_append(t->bare_lines, "Expect:")) curl_slist_free_all(t->bare_lines), t->bare_lines = NULL;
  t->ca = copy(options->ca);
  t->cert = copy(options->cert);
  t->key = copy(options->key);
  if (!t->multi || !t->timer || !t->json_lines || !t->bare_lines || (options->ca && !t->ca) ||
      (options->cert && !t->cert) || (options->key && !t->key)) {
    if (t->multi) curl_multi_cleanup(t->multi);
    free(t->timer);
    transport_release(t);
    return NULL;
  }
  uv_timer_init(loop_uv(loop), t->timer);
  t->timer->data = t;
  if (options->endpoint) {
    t->endpoint = *options->endpoint;
    t->has_endpoint = 1;
  }
  t->tls = options->tls;
  t->insecure = options->insecure;
  t->connect_timeout = connect_milliseconds(options->connect_timeout);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)LIMIT_IDLE_CONNECTIONS);
  return t;
}

static void finish_transfer(struct transfer *x, enum transfer_fault fault);

void transport_close(struct transport *t) {
  CURLM *multi = t->multi;
  if (!multi) return;
  while (t->transfers) {
    struct transfer *x = t->transfers;
    curl_multi_remove_handle(multi, x->easy);
    snprintf(x->fault_text, sizeof x->fault_text, "the client was closed");
    finish_transfer(x, FAULT_CLOSED);
  }
  curl_multi_cleanup(multi); /* closes the connections: on_close still knows t */
  t->multi = NULL;
  uv_close((uv_handle_t *)t->timer, free_timer);
  t->timer = NULL;
  transport_release(t);
}

size_t transport_connections(const struct transport *t) {
  return t->connections;
}

/* ---- sockets and timers: libcurl's wishes, libuv's news ---- */

static void drive(struct transport *t, curl_socket_t fd, int flags);

static void free_watch(uv_handle_t *handle) {
  struct watch *w = handle->data;
  if (--w->handles == 0) free(w);
}

static void watch_socket(struct watch *w, int events);

/* Paced streams. The Engine writes each line of progress by itself; a wake-up for each would cost more than all the
** rest of a pull. So behind a read that brought something we rest, an eighth of the time that the stream has taken so
** far (at most PACE_LONGEST), and then read again without asking epoll; only when nothing came do we wait for the
** socket. */
static void on_rested(uv_timer_t *timer);

static void read_paced(struct watch *w) {
  struct transfer *x = w->paced;
  uint64_t before = x->received, rest;
  drive(w->transport, w->fd, CURL_CSELECT_IN);
  if (!w->paced || !w->wanted) return; /* it has ended, or is paused */
  if (x->received == before) {
    watch_socket(w, w->wanted);
    return;
  }
  rest = (uv_now(loop_uv(w->transport->loop)) - x->started) / 8;
  if (rest == 0) {
    watch_socket(w, w->wanted);
    return;
  }
  watch_socket(w, 0);
  uv_timer_start(&w->rest, on_rested, rest < PACE_LONGEST ? rest : PACE_LONGEST, 0);
}

static void on_rested(uv_timer_t *timer) {
  struct watch *w = timer->data;
  if (w->paced && w->wanted == UV_READABLE) read_paced(w);
  else watch_socket(w, w->wanted);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct watch *w = poll->data;
  int flags = 0;
  if (!w->wanted) { /* an idle connection speaks or ends: libcurl will see it when it wants to use it */
    watch_socket(w, 0);
    return;
  }
  if (w->paced && status == 0 && events == UV_READABLE) {
    read_paced(w);
    return;
  }
  if (status < 0) { /* libuv has stopped watching */
    w->registered = 0;
    events = w->wanted;
  }
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  drive(w->transport, w->fd, flags);
  if (status < 0 && w->wanted) watch_socket(w, w->wanted); /* else it is closed; w goes in the loop's next turn */
}

static void watch_socket(struct watch *w, int events) {
  if (w->registered == events) return;
  if (events) uv_poll_start(&w->poll, events, on_poll); /* fails for closed descriptors only */
  else uv_poll_stop(&w->poll);
  w->registered = events;
}

static struct watch *find_watch(struct transport *t, curl_socket_t fd) {
  struct watch *w = t->watches; /* a handful: LIMIT_IDLE_CONNECTIONS and those in use */
  while (w && w->fd != fd) w = w->next;
  return w;
}

static struct watch *new_watch(struct transport *t, curl_socket_t fd) {
  struct watch *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  if (uv_poll_init_socket(loop_uv(t->loop), &w->poll, fd) != 0) {
    free(w);
    return NULL;
  }
  uv_timer_init(loop_uv(t->loop), &w->rest);
  w->poll.data = w->rest.data = w;
  w->handles = 2;
  w->transport = t;
  w->fd = fd;
  w->next = t->watches;
  w->link = &t->watches;
  if (w->next) w->next->link = &w->next;
  t->watches = w;
  return w;
}

static void end_watch(struct watch *w) {
  *w->link = w->next;
  if (w->next) w->next->link = w->link;
  w->wanted = 0;
  w->paced = NULL;
  uv_close((uv_handle_t *)&w->poll, free_watch);
  uv_close((uv_handle_t *)&w->rest, free_watch);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
  struct transport *t = user;
  struct watch *w = socket_user ? socket_user : find_watch(t, fd);
  char *private = NULL;
  struct transfer *x;
  if (what == CURL_POLL_REMOVE) {
    if (!w) return 0;
    w->wanted = 0;
    w->paced = NULL;
    if (!w->ours) { /* may be closed without a word to us, and its number used again */
      end_watch(w);
    } else if (w->registered & UV_WRITABLE) { /* would fire for ever */
      watch_socket(w, 0);
    }
    return 0;
  }
  if (!w) w = new_watch(t, fd);
  if (!w) return 0; /* its resolver looks again by and by; -1 would be the end of all transfers, for ever */
  if (!socket_user) curl_multi_assign(t->multi, fd, w);
  w->wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
  x = (struct transfer *)(void *)private;
  w->paced = x->request.paced ? x : NULL;
  if (!uv_is_active((uv_handle_t *)&w->rest)) watch_socket(w, w->wanted);
  return 0;
}

static void on_timeout(uv_timer_t *timer) {
  drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *user) {
  struct transport *t = user;
  (void)multi;
  t->kick = ms == 0;
  if (ms > 0) uv_timer_start(t->timer, on_timeout, (uint64_t)ms, 0);
  else uv_timer_stop(t->timer);
  loop_nudge(t->loop);
  return 0;
}

/* A kick that came from outside drive, or behind its last look. */
static void keep_kick(struct transport *t) {
  if (!t->kick || !t->timer) return;
  t->kick = 0;
  uv_timer_start(t->timer, on_timeout, 0, 0);
}

/* Our own sockets are close-on-exec: libcurl's would leak into credential helpers. */
static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
  struct transport *t = user;
  curl_socket_t fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  struct watch *w;
  (void)purpose;
  if (fd == CURL_SOCKET_BAD) return fd;
  w = new_watch(t, fd);
  if (!w) {
    close(fd);
    return CURL_SOCKET_BAD;
  }
  w->ours = 1;
  t->connections++;
  return fd;
}

static int on_close(void *user, curl_socket_t fd) {
  struct transport *t = user;
  struct watch *w = find_watch(t, fd);
  if (w) end_watch(w);
  t->connections--;
  return close(fd);
}

/* ---- the reply: libcurl's callbacks of a transfer ---- */

static void wake(struct transfer *x) {
  if (x->wait) wait_wake(x->wait, WAIT_READY);
}

static void set_limit(struct transfer *x, const char *name) {
  x->fault = FAULT_TOO_LARGE;
  x->fault_limit = name;
}

/* The engine has answered before the body was sent, and wants no more of it: libcurl stops to send then, but does not
** see the end of a reply while sending is paused (drive looks for that). */
static void give_up_sending(struct transfer *x) {
  x->sends = 0;
  x->out_at = 0;
  buf_clear(&x->out);
  if (x->send_paused) x->transport->given_up = 1;
  wake(x);
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
      if (x->engine_error && x->sends) give_up_sending(x);
      if (x->request.stream) wake(x);
    }
    return length;
  }
  switch (buf_append(&x->head, line, length)) {
    case BUF_OK: return length;
    case BUF_FULL: set_limit(x, "LIMIT_HEADERS"); break;
    default: x->fault = FAULT_MEMORY;
  }
  return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user) {
  struct transfer *x = user;
  size_t length = size * count;
  int status;
  x->received += length;
  if (x->engine_error && !x->request.keep_error_body) { /* the beginning will do */
    size_t room = x->body.length < LIMIT_ERROR_BODY ? LIMIT_ERROR_BODY - x->body.length : 0;
    if (buf_append(&x->body, bytes, length < room ? length : room) == BUF_OK) return length;
    x->fault = FAULT_MEMORY;
    return CURL_WRITEFUNC_ERROR;
  }
  if (x->request.stream) {
    if (x->body.length > 0 && x->body.length + length > x->high) {
      x->paused = 1;
      wake(x);
      return CURL_WRITEFUNC_PAUSE;
    }
    status = buf_append(&x->body, bytes, length);
    wake(x);
  } else {
    if (length > x->request.max_body - x->body.length) {
      set_limit(x, x->request.max_body_name);
      return CURL_WRITEFUNC_ERROR;
    }
    status = buf_append(&x->body, bytes, length);
  }
  if (status == BUF_OK) return length;
  if (status == BUF_FULL) set_limit(x, "LIMIT_JSON_ITEM");
  else x->fault = FAULT_MEMORY;
  return CURL_WRITEFUNC_ERROR;
}

/* Before each attempt to send the request. The first one fails unnoticed where a kept-alive connection turns out to be
** closed: another may follow unless the engine can have seen any of it. */
static int on_attempt(void *user, char *ip, char *local_ip, int port, int local_port) {
  struct transfer *x = user;
  long sent = 0;
  (void)ip, (void)local_ip, (void)port, (void)local_port;
  x->attempts++;
  if (x->request.repeatable) return CURL_PREREQFUNC_OK;
  curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &sent);
  if (x->attempts == 1) x->sent_before = sent;
  return sent > x->sent_before ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* A streamed body: what transfer_send has brought. */
static size_t read_upload(struct transfer *x, char *bytes, size_t length) {
  size_t left = x->out.length - x->out_at;
  if (x->engine_error) return CURL_READFUNC_ABORT; /* an end here would look like the whole body */
  if (left == 0 && !x->send_ended) {
    x->send_paused = 1;
    return CURL_READFUNC_PAUSE;
  }
  if (length > left) length = left;
  if (length) memcpy(bytes, x->out.data + x->out_at, length);
  x->out_at += length;
  x->sent_bytes += length;
  if (x->out_at == x->out.length) {
    x->out_at = 0;
    buf_clear(&x->out);
  }
  if (x->crowded && transfer_room(x) >= LIMIT_UPLOAD_BUFFER / 2) {
    x->crowded = 0;
    wake(x);
  }
  return length;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *user) {
  struct transfer *x = user;
  size_t left, length = size * count;
  if (x->request.upload) return read_upload(x, bytes, length);
  left = x->request.body_length - (size_t)x->sent_bytes;
  if (length > left) length = left;
  memcpy(bytes, x->request.body + x->sent_bytes, length);
  x->sent_bytes += length;
  return length;
}

/* ---- transfers ---- */

/* 0, or -1: no memory (strings are copied; a handle that lost its socket's path would look for a host). */
static int set_fixed_options(CURL *easy, struct transfer *x, struct transport *t) {
  int on_socket_file = t->has_endpoint && t->endpoint.kind == ENDPOINT_UNIX;
  if (curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK) return -1;
  if (t->ca && curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca) != CURLE_OK) return -1;
  if (t->cert && curl_easy_setopt(easy, CURLOPT_SSLCERT, t->cert) != CURLE_OK) return -1;
  if (t->key && curl_easy_setopt(easy, CURLOPT_SSLKEY, t->key) != CURLE_OK) return -1;
  if (on_socket_file && curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, t->endpoint.path) != CURLE_OK) return -1;
  if (on_socket_file && curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK) return -1;
  if (!t->has_endpoint) { /* an Engine does without: 5 % of a ping */
    if (curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT) != CURLE_OK) return -1;
  }
  curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, t->connect_timeout);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_attempt);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, x);
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
  curl_easy_setopt(easy, CURLOPT_READDATA, x);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, t);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->fault_text);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0L : 2L);
  if (t->has_endpoint) curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  if (!on_socket_file) curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  return 0;
}

/* The URL of an endpoint without path: parsed once for each transfer, which spares a tenth of a small request. */
static CURLU *endpoint_url(const struct transport *t) {
  const struct endpoint *e = &t->endpoint;
  const char *format = strchr(e->host, ':') ? "%s://[%s]:%d/" : "%s://%s:%d/";
  char origin[512];
  CURLU *url = curl_url();
  if (e->kind == ENDPOINT_UNIX) snprintf(origin, sizeof origin, "http://docker/");
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
  buf_init(&x->out, LIMIT_UPLOAD_BUFFER);
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
  buf_free(&x->out);
  buf_free(&x->url);
  buf_free(&x->last_url);
  transport_release(x->transport);
  free(x);
}

/* The one place where a transfer ends; it is out of the multi already. */
static void finish_transfer(struct transfer *x, enum transfer_fault fault) {
  struct curl_slist *line;
  x->active = 0;
  x->done = 1;
  x->paused = x->send_paused = x->sends = 0;
  buf_free(&x->out);
  x->out_at = 0;
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
  wake(x);
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

static void collect_finished(struct transport *t) {
  CURLMsg *message;
  int left;
  while (t->multi && (message = curl_multi_info_read(t->multi, &left)) != NULL) {
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result;
    char *private = NULL;
    struct transfer *x;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    x = (struct transfer *)(void *)private;
    curl_multi_remove_handle(t->multi, easy);
    if (code == CURLE_OK && !x->headers_done) {
      code = CURLE_PARTIAL_FILE;
    } else if (code != CURLE_OK && x->request.upload && x->engine_error && x->fault == FAULT_NONE) {
      code = CURLE_OK; /* refused early: the connection may well be cut, with bytes of ours that nobody read */
    } else if (code == CURLE_OUT_OF_MEMORY && !x->headers_done && has_answered(easy)) {
      set_limit(x, "LIMIT_HEADERS"); /* libcurl's word for a line of more than 100 KiB */
    }
    if (code != CURLE_OK && x->fault_text[0] == '\0') {
      snprintf(x->fault_text, sizeof x->fault_text, "%s", curl_easy_strerror(code));
    }
    finish_transfer(x, fault_of(easy, code));
  }
}

static void act(struct transport *t, curl_socket_t fd, int flags) {
  int running;
  CURLMcode code = curl_multi_socket_action(t->multi, fd, flags, &running);
  if (code == CURLM_OK || code == CURLM_BAD_SOCKET) return;
  while (t->transfers) { /* no memory: it has lost its way, and would not wake us again */
    struct transfer *x = t->transfers;
    curl_multi_remove_handle(t->multi, x->easy);
    finish_transfer(x, FAULT_MEMORY);
  }
}

/* Pauses are one word to libcurl, for both directions. */
static void set_pauses(struct transfer *x) {
  curl_easy_pause(x->easy, (x->paused ? CURLPAUSE_RECV : 0) | (x->send_paused ? CURLPAUSE_SEND : 0));
}

static void resume_given_up(struct transport *t) {
  struct transfer *x;
  t->given_up = 0;
  for (x = t->transfers; x; x = x->next) {
    if (!x->send_paused || x->sends) continue;
    x->send_paused = 0;
    set_pauses(x);
  }
}

static void drive(struct transport *t, curl_socket_t fd, int flags) {
  int kicks = 0;
  t->references++; /* a verdict must not take it away under our feet */
  if (fd == CURL_SOCKET_TIMEOUT) t->kick = 0; /* this is it */
  act(t, fd, flags);
  for (;;) {
    if (t->given_up) resume_given_up(t);
    if (!t->kick) break;
    t->kick = 0;
    if (++kicks > KICKS) {
      t->kick = 1;
      break;
    }
    act(t, CURL_SOCKET_TIMEOUT, 0);
  }
  collect_finished(t);
  keep_kick(t);
  transport_release(t);
}

/* Method and body: only what differs from the handle's last request is set. 0, or -1: no memory. */
static int set_method(struct transfer *x, const struct transfer_request *r) {
  CURL *easy = x->easy;
  int has_body = r->content_type != NULL;
  curl_off_t size = r->upload ? -1 : has_body ? (curl_off_t)r->body_length : 0;
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
    int by_callback = has_body && !r->repeatable;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, size);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, by_callback ? NULL : has_body ? r->body : "");
  }
  return 0;
}

/* 0, or -1: no memory. */
static int set_headers(struct transfer *x, const struct transfer_request *r) {
  struct transport *t = x->transport;
  struct curl_slist *lines = NULL, *next;
  const char *const *h;
  if (!r->headers && !r->upload && (!r->content_type || strcmp(r->content_type, "application/json") == 0)) {
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
  if (next && r->upload) next = curl_slist_append(lines, "Transfer-Encoding: chunked");
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
  if (e->kind != ENDPOINT_UNIX) status = buf_puts(&x->url, e->path);
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
  x->wait = wait;
  x->active = 1;
  x->done = x->paused = x->status = x->headers_done = x->engine_error = 0;
  x->fault = FAULT_NONE;
  x->fault_limit = NULL;
  x->fault_text[0] = '\0';
  x->sends = request->upload || request->upgrade;
  x->send_ended = x->send_paused = x->crowded = 0;
  x->attempts = 0;
  x->sent_bytes = 0;
  x->received = 0;
  x->started = loop_now(t->loop);
  x->high = LIMIT_STREAM_BUFFER;
  buf_clear(&x->head);
  buf_shrink(&x->body, KEEP_BODY);
  x->body.cap = request->stream ? LIMIT_JSON_ITEM + LIMIT_STREAM_BUFFER
                : request->max_body > LIMIT_ERROR_BODY ? request->max_body : LIMIT_ERROR_BODY;
  x->next = t->transfers;
  x->link = &t->transfers;
  if (x->next) x->next->link = &x->next;
  t->transfers = x;
  if (!t->multi) {
    finish_transfer(x, FAULT_CLOSED);
    return;
  }
  status = set_url(x, request->url);
  if (status != BUF_OK) {
    if (status == BUF_FULL) set_limit(x, "LIMIT_PATH");
    finish_transfer(x, FAULT_MEMORY);
    return;
  }
  if (set_method(x, request) != 0 || set_headers(x, request) != 0 ||
      curl_multi_add_handle(t->multi, x->easy) != CURLM_OK) {
    finish_transfer(x, FAULT_MEMORY);
    return;
  }
  drive(t, CURL_SOCKET_TIMEOUT, 0);
}

void transfer_abort(struct transfer *x) {
  if (!x->active) return;
  x->wait = NULL;
  curl_multi_remove_handle(x->transport->multi, x->easy);
  keep_kick(x->transport);
  finish_transfer(x, FAULT_CLOSED);
}

void transfer_consumed(struct transfer *x) {
  x->high = x->body.length + LIMIT_STREAM_BUFFER;
  if (!x->paused || !x->active) return;
  x->paused = 0;
  set_pauses(x);
  drive(x->transport, CURL_SOCKET_TIMEOUT, 0);
}

size_t transfer_room(const struct transfer *x) {
  return LIMIT_UPLOAD_BUFFER - (x->out.length - x->out_at);
}

/* libcurl has asked in vain for more. */
static void resume_sending(struct transfer *x) {
  if (!x->send_paused || !x->active) return;
  x->send_paused = 0;
  set_pauses(x);
  drive(x->transport, CURL_SOCKET_TIMEOUT, 0);
}

int transfer_send(struct transfer *x, const char *bytes, size_t count) {
  int status;
  if (!x->sends) return BUF_OK;
  if (x->out_at && count > x->out.cap - x->out.length) {
    buf_consume(&x->out, x->out_at);
    x->out_at = 0;
  }
  status = buf_append(&x->out, bytes, count);
  if (status == BUF_NO_MEMORY) return status;
  if (transfer_room(x) < LIMIT_UPLOAD_BUFFER / 2) x->crowded = 1;
  if (status == BUF_OK) resume_sending(x);
  return status;
}

void transfer_send_end(struct transfer *x) {
  if (!x->sends) return;
  x->sends = 0;
  x->send_ended = 1;
  resume_sending(x);
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
