/* pace.c: when a stream's socket is read (transport_curl.h).
**
** The Engine writes each line of a log or a progress by itself. Waking up for each costs more than all else that is
** done with it, and slows the Engine, too. So bytes are let gather:
**
** - progress, which nobody reads singly (`paced`): behind a read that brought something, an eighth of the time that the
**   stream has taken so far, at most PACE_LONGEST;
** - any other stream, while small reads follow one another faster than anyone could watch: REST. Whoever follows it
**   has each line within a millisecond still. A timer of libuv would rest five times as long, which is as much as a
**   Unix socket holds of lines (each counts for more than its bytes): the Engine would wait for us. Hence a timer of
**   the kernel's, one for all streams of a transport.
**
** Behind a rest the socket is read without asking epoll; only when nothing came is it watched again. */

#ifdef __linux__
#include <sys/timerfd.h>
#include <unistd.h>
#endif
#include <stdlib.h>

#include "transport_curl.h"

#define PACE_LONGEST 50     /* milliseconds */
#define REST 200000         /* nanoseconds */
#define BUSY 500000         /* nanoseconds between two reads, at most, for a stream to count as busy… */
#define BUSY_READS 4        /* …when so many have followed one another */
#define SMALL (RECEIVE_BUFFER * 3 / 4) /* bytes; a read of more may have left some behind */
#define READS 8             /* in a row, while they bring more than that */

/* ---- the short rest ---- */

#ifdef __linux__

struct ticker {
  uv_poll_t poll;
  struct transport *transport;
  int fd;
  int set, watched; /* the timer will expire; libuv watches it */
};

static void read_stream(struct watch *w, int rested);

static void free_ticker(uv_handle_t *handle) {
  struct ticker *k = handle->data;
  close(k->fd);
  free(k);
}

void pace_close(struct transport *t) {
  if (t->ticker) uv_close((uv_handle_t *)&t->ticker->poll, free_ticker);
  t->ticker = NULL;
}

static struct ticker *get_ticker(struct transport *t) {
  struct ticker *k = t->ticker;
  if (k) return k;
  k = calloc(1, sizeof *k);
  if (!k) return NULL;
  k->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (k->fd < 0 || uv_poll_init(loop_uv(t->loop), &k->poll, k->fd) != 0) {
    if (k->fd >= 0) close(k->fd);
    free(k);
    return NULL;
  }
  k->poll.data = k;
  k->transport = t;
  t->ticker = k;
  return k;
}

static void on_tick(uv_poll_t *poll, int status, int events) {
  struct ticker *k = poll->data;
  struct transport *t = k->transport;
  struct watch *w;
  (void)status, (void)events;
  k->set = 0;
  for (w = t->watches; w; w = w->next) {
    if (w->resting) w->resting = 2;
  }
  for (w = t->watches; w;) { /* reading may end any of them */
    if (w->resting != 2) {
      w = w->next;
      continue;
    }
    w->resting = 0;
    if (w->stream && w->wanted == UV_READABLE) read_stream(w, 1);
    else watch_events(w, w->wanted);
    w = t->watches;
  }
  if (!k->set) {
    uv_poll_stop(poll);
    k->watched = 0;
  }
}

/* 0, or -1: it can't be had. */
static int start_rest(struct watch *w) {
  struct ticker *k = get_ticker(w->transport);
  struct itimerspec rest = {{0, 0}, {0, REST}};
  if (!k) return -1;
  if (!k->set && timerfd_settime(k->fd, 0, &rest, NULL) != 0) return -1;
  k->set = 1;
  if (!k->watched) uv_poll_start(&k->poll, UV_READABLE, on_tick);
  k->watched = 1;
  watch_events(w, 0);
  w->resting = 1;
  return 0;
}

#else

void pace_close(struct transport *t) {
  (void)t;
}

static int start_rest(struct watch *w) {
  (void)w;
  return -1;
}

#endif

static void read_stream(struct watch *w, int rested) {
  struct transfer *x = w->stream;
  uint64_t begin = x->received, before, now;
  int reads = 0;
  do {
    before = x->received;
    transport_drive(w->transport, w->fd, CURL_CSELECT_IN);
    if (w->stream != x || !w->wanted) return; /* it has ended, or is paused */
  } while (rested && x->received - before > SMALL && ++reads < READS);
  now = uv_hrtime();
  if (x->received == begin || x->received - before > SMALL || (!rested && now - w->read > BUSY)) w->busy = 0;
  else if (w->busy < BUSY_READS) w->busy++;
  w->read = now;
  if (w->busy < BUSY_READS || start_rest(w) != 0) watch_events(w, w->wanted);
}

/* ---- the long rest ---- */

static void on_rested(uv_timer_t *timer);

static void read_paced(struct watch *w) {
  struct transfer *x = w->stream;
  uint64_t before = x->received, rest;
  transport_drive(w->transport, w->fd, CURL_CSELECT_IN);
  if (w->stream != x || !w->wanted) return; /* it has ended, or is paused */
  rest = x->received == before ? 0 : (uv_now(loop_uv(w->transport->loop)) - x->started) / 8;
  if (rest == 0) {
    watch_events(w, w->wanted);
    return;
  }
  watch_events(w, 0);
  uv_timer_start(&w->rest, on_rested, rest < PACE_LONGEST ? rest : PACE_LONGEST, 0);
}

static void on_rested(uv_timer_t *timer) {
  struct watch *w = timer->data;
  if (w->stream && w->wanted == UV_READABLE) pace_read(w);
  else watch_events(w, w->wanted);
}

void pace_read(struct watch *w) {
  if (w->stream->request.paced) read_paced(w);
  else read_stream(w, 0);
}
