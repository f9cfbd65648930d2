/* watch.c: the sockets and timers of a transport (transport_curl.h).
**
** libcurl tells us which sockets to watch (watch_on_socket) and when to call again (watch_on_timer); libuv watches.
** Watches outlive requests: when libcurl loses interest in a kept-alive connection, the socket stays registered with
** epoll until it is closed or speaks unasked, so a request on a warm connection costs no epoll_ctl. A connection that
** has become a duplex (duplex.c) is watched for that one. */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport_curl.h"

#define KICKS 16        /* immediate timeouts served in a row before the loop gets its turn */

/* ---- a socket ---- */

static void free_watch(uv_handle_t *handle) {
  struct watch *w = handle->data;
  if (--w->handles == 0) free(w);
}

static void on_poll(uv_poll_t *poll, int status, int events);

void watch_events(struct watch *w, int events) {
  if (w->registered == events) return;
  if (events) uv_poll_start(&w->poll, events, on_poll); /* fails for closed descriptors only */
  else uv_poll_stop(&w->poll);
  w->registered = events;
}

struct watch *watch_find(struct transport *t, curl_socket_t fd) {
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
  w->stream = w->duplex = NULL;
  uv_close((uv_handle_t *)&w->poll, free_watch);
  uv_close((uv_handle_t *)&w->rest, free_watch);
}

/* ---- news of it ---- */

static void on_again(uv_timer_t *timer) {
  struct watch *w = timer->data;
  if (w->duplex) duplex_ready(w->duplex, UV_READABLE);
}

void watch_again(struct watch *w) {
  uv_timer_start(&w->rest, on_again, 0, 0);
  loop_nudge(w->transport->loop);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct watch *w = poll->data;
  int flags = 0;
  if (w->duplex) {
    if (status < 0) w->registered = 0; /* libuv has stopped watching */
    duplex_ready(w->duplex, status < 0 ? UV_READABLE | UV_WRITABLE : events);
    return;
  }
  if (!w->wanted) { /* an idle connection speaks or ends: libcurl will see it when it wants to use it */
    watch_events(w, 0);
    return;
  }
  if (w->stream && status == 0 && events == UV_READABLE) {
    pace_read(w);
    return;
  }
  if (status < 0) { /* libuv has stopped watching */
    w->registered = 0;
    events = w->wanted;
  }
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  transport_drive(w->transport, w->fd, flags);
  if (status < 0 && w->wanted) watch_events(w, w->wanted); /* else it is closed; w goes in the loop's next turn */
}

/* ---- libcurl's wishes ---- */

int watch_on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
  struct transport *t = user;
  struct watch *w = socket_user ? socket_user : watch_find(t, fd);
  char *private = NULL;
  struct transfer *x;
  if (what == CURL_POLL_REMOVE) {
    if (!w) return 0;
    w->wanted = 0;
    w->stream = NULL;
    if (w->duplex) return 0;
    if (!w->ours) { /* may be closed without a word to us, and its number used again */
      end_watch(w);
    } else if (w->registered & UV_WRITABLE) { /* would fire for ever */
      watch_events(w, 0);
    }
    return 0;
  }
  if (!w) w = new_watch(t, fd);
  if (!w) return 0; /* its resolver looks again by and by; -1 would be the end of all transfers, for ever */
  if (!socket_user) curl_multi_assign(t->multi, fd, w);
  w->wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
  x = (struct transfer *)(void *)private;
  w->stream = x->request.stream ? x : NULL;
  if (w->ssh) w->user = x;
  if (!w->resting && !uv_is_active((uv_handle_t *)&w->rest)) watch_events(w, w->wanted);
  return 0;
}

static void on_timeout(uv_timer_t *timer) {
  transport_drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

int watch_on_timer(CURLM *multi, long ms, void *user) {
  struct transport *t = user;
  (void)multi;
  t->kick = ms == 0;
  if (ms > 0) uv_timer_start(t->timer, on_timeout, (uint64_t)ms, 0);
  else uv_timer_stop(t->timer);
  loop_nudge(t->loop);
  return 0;
}

/* A kick that came from outside drive, or behind its last look. */
void transport_keep_kick(struct transport *t) {
  if (!t->kick || !t->timer) return;
  t->kick = 0;
  uv_timer_start(t->timer, on_timeout, 0, 0);
}

/* A socket for a connection by ssh: libcurl connects it to where ssh will be. */
static curl_socket_t open_ssh(struct transport *t, struct curl_sockaddr *address, struct ssh **ssh) {
  struct sockaddr_un there;
  socklen_t length;
  curl_socket_t fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == CURL_SOCKET_BAD) return fd;
  *ssh = ssh_open(t->ssh, fd, &there, &length);
  if (!*ssh) {
    close(fd);
    return CURL_SOCKET_BAD;
  }
  memcpy(&address->addr, &there, length); /* libcurl has room there for an address of any kind */
  address->addrlen = length;
  return fd;
}

/* Our own sockets are close-on-exec: libcurl's would leak into credential helpers. */
curl_socket_t watch_open(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
  struct transport *t = user;
  struct ssh *ssh = NULL;
  curl_socket_t fd;
  struct watch *w;
  (void)purpose;
  if (t->ssh) fd = open_ssh(t, address, &ssh);
  else fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd == CURL_SOCKET_BAD) return fd;
  w = new_watch(t, fd);
  if (!w) {
    if (ssh) ssh_close(ssh);
    close(fd);
    return CURL_SOCKET_BAD;
  }
  w->ssh = ssh;
  w->ours = 1;
  t->connections++;
  return fd;
}

/* Connections are closed before anyone says whether the transfer that used them has failed: what ssh tells is kept for
** transfer_finish. */
static void close_ssh(struct watch *w) {
  struct transfer *x = w->duplex ? w->duplex : w->user;
  if (x && x->status) ssh_answered(w->ssh);
  if (x) x->ssh = ssh_complaint(w->ssh, w->fd, x->fault_text, sizeof x->fault_text, &x->fault_advice);
  ssh_close(w->ssh);
  w->ssh = NULL;
}

int watch_close(void *user, curl_socket_t fd) {
  struct transport *t = user;
  struct watch *w = watch_find(t, fd);
  if (w && w->ssh) close_ssh(w);
  if (w) end_watch(w);
  t->connections--;
  return close(fd);
}

void watch_forget(struct transport *t, const struct transfer *x) {
  struct watch *w;
  for (w = t->watches; w; w = w->next) {
    if (w->user != x) continue;
    if (x->status) ssh_answered(w->ssh);
    w->user = NULL;
  }
}

/* ---- libcurl's turn ---- */

static void act(struct transport *t, curl_socket_t fd, int flags) {
  int running;
  CURLMcode code = curl_multi_socket_action(t->multi, fd, flags, &running);
  if (code == CURLM_OK || code == CURLM_BAD_SOCKET) return;
  transfer_fail_all(t); /* no memory: it has lost its way, and would not wake us again */
}

void transport_drive(struct transport *t, curl_socket_t fd, int flags) {
  int kicks = 0;
  t->references++; /* a verdict must not take it away under our feet */
  if (fd == CURL_SOCKET_TIMEOUT) t->kick = 0; /* this is it */
  act(t, fd, flags);
  while (t->kick) {
    t->kick = 0;
    if (++kicks > KICKS) {
      t->kick = 1;
      break;
    }
    act(t, CURL_SOCKET_TIMEOUT, 0);
  }
  transfer_collect(t);
  transport_keep_kick(t);
  transport_release(t);
}
