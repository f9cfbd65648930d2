/* transport.h: HTTP over libcurl's multi interface, driven by the loop. Only the transport's own files know curl
** (transport_curl.h).
**
** A transport is a set of kept-alive connections (to one Engine, or to any http(s) hosts); a transfer is one request
** and its reply, used again and again: its easy handle keeps the options that do not change. Callbacks of libcurl
** append to bounded buffers and give verdicts to the transfer's wait; they know no Lua. */

#ifndef DW_TRANSPORT_H
#define DW_TRANSPORT_H

#include <stddef.h>

#include "buf.h"
#include "endpoint.h"
#include "loop.h"
#include "ssh.h"

struct transport;

struct transport_options {
  const struct endpoint *endpoint; /* NULL: requests name any http or https URL */
  double connect_timeout;          /* seconds */
  int tls;                         /* the endpoint speaks TLS */
  const char *ca, *cert, *key;     /* files; NULL: the system's CAs, no client certificate */
  int insecure;                    /* don't verify the peer's certificate */
};

enum transfer_method { TRANSFER_GET, TRANSFER_HEAD, TRANSFER_POST, TRANSFER_PUT, TRANSFER_DELETE, TRANSFER_PATCH };

/* Why a transfer failed below HTTP. */
enum transfer_fault {
  FAULT_NONE,
  FAULT_MISSING,     /* the socket's file is not there */
  FAULT_REFUSED,     /* nobody listens */
  FAULT_PERMISSION,  /* the socket's file may not be used */
  FAULT_UNREACHABLE, /* no such host, no route, connect timeout, … */
  FAULT_TLS,         /* fault_advice says what to do, or is NULL */
  FAULT_SSH,         /* ssh made no connection to the Engine; fault_text is what it said, fault_advice what to do */
  FAULT_CUT,         /* the connection ended before the reply did */
  FAULT_PROTOCOL,    /* not HTTP, or malformed */
  FAULT_TOO_LARGE,   /* a limit; fault_limit names it */
  FAULT_MEMORY,
  FAULT_CLOSED       /* the transport was closed meanwhile */
};

struct transfer_request {
  enum transfer_method method;
  const char *url;            /* NUL-terminated; for an endpoint only its path and query: "/v1.41/info" */
  const char *const *headers; /* "Name: value" lines, NULL behind the last; may be NULL */
  const char *content_type;   /* NULL: no body */
  const char *body;           /* stays the caller's and in place until the transfer ends */
  size_t body_length;
  int upload;                 /* the body comes by transfer_send, in chunks; content_type names it; not repeatable */
  int upgrade;                /* becomes a two-way connection by 101 (POST, JSON body); stream; not repeatable */
  int repeatable;             /* may be sent again on a fresh connection when a reused one died under it */
  int stream;                 /* hand out the body as it comes (pause when full) instead of gathering it */
  int paced;                  /* stream: let bytes gather between two reads (progress; not what someone watches) */
  size_t max_body;            /* gathering: more than this is FAULT_TOO_LARGE (its name: max_body_name) */
  const char *max_body_name;
  int keep_error_body;        /* http: a body with an error status is gathered like any other */
};

struct transfer {
  struct transport *transport;
  struct wait *wait;          /* gets READY at the end, when there is room again (transfer_room), and (stream) when
                              ** headers or bytes have come; NULL: nobody */
  struct wait *writer;        /* who waits for room only: READY whenever `wait` gets it; NULL: nobody */
  int active, done, paused;
  int sends;                  /* takes bytes by transfer_send still; 0 also when the engine has answered early */
  /* the reply */
  int status;                 /* HTTP; 0 until the status line is there */
  int headers_done;
  struct buf head;            /* header lines as they came, status line excluded */
  struct buf body;            /* stream: what was not yet consumed */
  enum transfer_fault fault;
  const char *fault_limit;    /* FAULT_TOO_LARGE: "LIMIT_REPLY", … */
  char fault_text[256];       /* libcurl's words, or ssh's */
  const char *fault_advice;   /* FAULT_SSH, FAULT_TLS */
  enum ssh_complaint ssh;     /* what it says in fault_text about the connection's end */
  int long_taken;             /* counted in the transport's `taken` */
  /* for the trace */
  int attempts;               /* how often the request was begun: 2 where a kept-alive connection had died */
  uint64_t sent_bytes;        /* of the request's body, handed over to be sent */
  uint64_t received;          /* bytes of the reply's body so far */
  uint64_t started;           /* loop_now at the start */
  /* the transport's own */
  void *easy;
  void *parsed_url;           /* endpoint: what path and query are set in; else NULL */
  void *lines;                /* header list of the request under way */
  struct transfer_request request;
  long sent_before;           /* what curl counts as sent, at the first attempt */
  struct duplex *duplex;      /* upload, upgrade: the connection of its own */
  size_t high;                /* stream: pause above this many unread bytes */
  struct buf url, last_url;
  int last_method, last_posts, last_stream; /* what the easy handle is set to… */
  const void *last_lines;      /* …and its header list, if a shared one */
  int engine_error;           /* status >= 300: the body is an error's */
  struct transfer *next, **link; /* the transport's list */
};

/* NULL: no memory. */
struct transport *transport_new(struct loop *loop, const struct transport_options *options);
/* Ends all transfers (FAULT_CLOSED) and connections. Its memory goes with the last transfer. */
void transport_close(struct transport *t);
size_t transport_connections(const struct transport *t); /* sockets open now */

struct transfer *transfer_new(struct transport *t); /* NULL: no memory, or the transport is closed */
void transfer_free(struct transfer *x);             /* aborts it first */

/* Starts a request; the transfer must not be active. wait gets the verdicts. The end may come before this returns. */
void transfer_start(struct transfer *x, const struct transfer_request *request, struct wait *wait);
/* Ends it now; its connection is closed unless the reply was complete. Harmless when it is not active. */
void transfer_abort(struct transfer *x);
/* stream: bytes were taken from x->body; go on if it was paused and is now below LIMIT_STREAM_BUFFER. */
void transfer_consumed(struct transfer *x);
/* stream: nothing can be made of what is left in x->body; go on, up to LIMIT_STREAM_BUFFER more. */
void transfer_needs_more(struct transfer *x);

/* upload, upgrade: how many bytes may be sent just now. When less than half of LIMIT_UPLOAD_BUFFER is free, the wait
** gets READY as soon as half is. */
size_t transfer_room(const struct transfer *x);
/* Copies bytes to be sent: BUF_OK, BUF_FULL (all or nothing; see transfer_room), BUF_NO_MEMORY. What comes when
** x->sends is 0 is dropped: the reply tells what became of the request. */
int transfer_send(struct transfer *x, const char *bytes, size_t count);
/* The end of the upload; of a two-way connection, our side of it is closed once all is written. */
void transfer_send_end(struct transfer *x);

/* The value of a reply's header (the first of that name), without blanks around it; NULL if absent. Not terminated. */
const char *transfer_header(const struct transfer *x, const char *name, size_t *length);
/* Iterates over header lines: *at starts at 0; 0 at the end. */
int transfer_next_header(const struct transfer *x, size_t *at, const char **name, size_t *name_length, const char **value,
                         size_t *value_length);

#endif
