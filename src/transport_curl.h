/* transport_curl.h: what the transport's files share, and they alone: only these include curl.h.
**
**   transport.c  the life of a transport: a set of connections
**   watch.c      sockets and timers: libcurl's wishes, libuv's news
**   pace.c       how long the bytes of a stream may gather
**   transfer.c   requests and replies on which libcurl speaks HTTP
**   duplex.c     requests with a connection of their own, whose two directions live apart: uploads, upgrades
**   tlsend.c     how each direction of a TLS connection ends
*/

#ifndef DW_TRANSPORT_CURL_H
#define DW_TRANSPORT_CURL_H

#include <curl/curl.h>
#include <uv.h>

#include "httphead.h"
#include "limits.h"
#include "transport.h"

#define RECEIVE_BUFFER 32768 /* libcurl's, made anew for each request: from 64 KiB on, freeing it costs a heap consolidation */
#define STREAM_RECEIVE_BUFFER 102400 /* … for a stream, where that is little and system calls are much */

/* A socket that libcurl uses. */
struct watch {
  uv_poll_t poll;
  uv_timer_t rest;  /* until it is read again, whatever the socket does */
  int handles;      /* of these two, not yet closed */
  struct transfer *stream; /* that is read here; NULL: none */
  int resting, busy;  /* pace.c: between two reads; small reads that have followed one another */
  uint64_t read;      /* pace.c: uv_hrtime at the last one */
  struct transfer *duplex; /* whose own connection this is; NULL: libcurl's */
  struct transport *transport;
  curl_socket_t fd;
  int wanted;     /* UV_READABLE | UV_WRITABLE: what libcurl waits for; 0: nothing just now */
  int registered; /* what libuv watches */
  struct ssh *ssh; /* what is at its other end; NULL: anything else */
  struct transfer *user; /* ssh: the transfer that was the last to wait here, until that ends */
  int ours;       /* opened and closed by watch_open and watch_close; else libcurl's own (its resolver's) */
  struct watch *next, **link;
};

struct transport {
  struct loop *loop;
  CURLM *multi; /* NULL: closed */
  uv_timer_t *timer;
  int kick; /* libcurl wants to be called at once */
  unsigned references; /* its owner, and each transfer */
  struct transfer *transfers;
  struct watch *watches;
  struct ticker *ticker; /* pace.c's; NULL until it is needed */
  size_t connections;
  long idle, taken; /* connections to keep between requests; those that streams have taken for long */
  struct ssh_pool *ssh; /* ENDPOINT_SSH, else NULL */
  struct endpoint endpoint;
  int has_endpoint, tls, insecure;
  long connect_timeout; /* milliseconds */
  char *ca, *cert, *key;
  struct curl_slist *json_lines, *bare_lines; /* header lists that most requests share */
};

/* transport.c */
void transport_take(struct transport *t, long count); /* `taken` more connections (or fewer) */
void transport_release(struct transport *t);

/* watch.c: callbacks of libcurl… */
int watch_on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user);
int watch_on_timer(CURLM *multi, long ms, void *user);
curl_socket_t watch_open(void *user, curlsocktype purpose, struct curl_sockaddr *address);
int watch_close(void *user, curl_socket_t fd);
/* …and what the others do with sockets */
void watch_forget(struct transport *t, const struct transfer *x); /* x has ended */
struct watch *watch_find(struct transport *t, curl_socket_t fd);
void watch_events(struct watch *w, int events); /* UV_READABLE | UV_WRITABLE; 0: nothing */
void watch_again(struct watch *w);              /* its duplex is called in the loop's next turn, whatever the socket does */
/* Gives libcurl its turn: news of a socket, or CURL_SOCKET_TIMEOUT. */
void transport_drive(struct transport *t, curl_socket_t fd, int flags);
void transport_keep_kick(struct transport *t);  /* behind curl_multi_remove_handle outside of transport_drive */

/* pace.c */
void pace_read(struct watch *w);                /* of a stream: there is something to be read */
void pace_close(struct transport *t);

/* transfer.c */
void transfer_collect(struct transport *t);     /* ends what libcurl has finished */
void transfer_fail_all(struct transport *t);    /* FAULT_MEMORY */
void transfer_finish(struct transfer *x, enum transfer_fault fault); /* takes it out of the multi, too */
void transfer_wake(struct transfer *x);
void transfer_set_limit(struct transfer *x, const char *name);
int transfer_take(struct transfer *x, const char *bytes, size_t count); /* of the body; -1: x->fault says why */

/* duplex.c */
int duplex_start(struct transfer *x);           /* 0, or -1 with x->fault */
void duplex_connected(struct transfer *x);
void duplex_ready(struct transfer *x, int events);
void duplex_resume(struct transfer *x);         /* room for what comes */
void duplex_free(struct transfer *x);

/* tlsend.c: for a handle that curl_easy_send or curl_easy_recv was called with.
** There was nothing more to read: did the peer say so? */
int tls_was_ended(CURL *easy);
/* Says to a TLS peer that nothing more will come from us (close_notify) and goes on reading. */
enum tls_end { TLS_END_DONE, TLS_END_AGAIN /* when the socket can be written to */, TLS_END_IMPOSSIBLE };
enum tls_end tls_end_sending(CURL *easy);

#endif
