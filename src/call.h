/* call.h: one call of an Engine operation, from request to result, written once for blocking callers and tasks.
**
** A method of the client begins a call, fills in the row of the table (ops.h), path, query and body, and runs it with a
** function that shapes the result:
**
**   static int inspect_done(lua_State *L, struct call *k) { …push results…; return 1; }
**
**   static int meth_inspect_network(lua_State *L) {
**     size_t n;
**     const char *id = lx_checkid(L, 2, "inspect_network", "network", &n);
**     struct call *k = call_begin(L, "inspect_network", 3, known, id);   // checks options, pushes the call's box
**     call_request(L, k, "NetworkInspect");
**     call_path(L, k, id, n);
**     call_query(L, k, "verbose", "true", 4);
**     return call_run(L, k, inspect_done);
**   }
**
** call_run negotiates the API version where that has not happened, sends, waits (blocks or yields), asks again where
** the version was refused, turns refusals into nil, err, parses the JSON, and calls the finish function. That may
** make the next request of the same operation (call_request … return call_run: same deadline, same context), so an
** operation of several requests is a chain of finish functions. The stack stays as it was: 1 is the client, 2… the
** method's arguments, k->box the call. What must live from one request to the next is in k (step, count, scratch,
** note), or on the stack above the box up to k->top. */

#ifndef DW_CALL_H
#define DW_CALL_H

#include <lua.h>

#include "buf.h"
#include "json.h"
#include "limits.h"
#include "loop.h"
#include "lx.h"
#include "ops.h"
#include "transport.h"

struct client;
struct call;

#define CALL_AGAIN (-1) /* not done yet */

/* Pushes the results and answers their number, or the answer of another call_run, call_run_stream, call_pause,
** call_fail… */
typedef int (*call_finish)(lua_State *L, struct call *k);
/* A stream's body as it comes: takes what it understands from the front of `body` (buf_consume). CALL_AGAIN: go on;
** else the call ends with that many results. With `ended` the body is complete: CALL_AGAIN then goes to the finish
** function. */
typedef int (*call_feed)(lua_State *L, struct call *k, struct buf *body, int ended);

/* User values of a box. */
enum { CALL_CLIENT = 1, CALL_TEXT, CALL_SOURCE };

/* A body that comes from a function or an object with read() (call_upload.c). */
enum call_upload {
  UPLOAD_NONE,
  UPLOAD_READY,  /* nothing was asked of it yet */
  UPLOAD_OPEN,
  UPLOAD_ASKING, /* its function runs; its results will be at the stack's top */
  UPLOAD_ENDED
};

enum call_state { CALL_FREE, CALL_BEGUN, CALL_NEGOTIATING, CALL_SENT, CALL_OPEN /* call_run_open */, CALL_PAUSING,
                  CALL_TAKEN /* a stream owns the box now */ };

struct call {
  struct client *client;
  struct transfer *transfer;
  struct wait *wait;
  enum call_state state;
  int inside;              /* a finish or feed function runs: call_run must not start to wait itself */
  const char *name;        /* of the operation as the caller knows it: "pull_image" */
  char called[48];         /* … where that is no literal of ours */
  char subject[256];       /* what it is about, for errors; cut if longer */
  int box;                 /* stack index of this userdata; its uservalue is the client's userdata */
  int options;             /* stack index of the options table; 0: none */
  double timeout;          /* seconds, < 0: none */
  uint64_t deadline;       /* set when the first request is sent */
  double first_byte, idle; /* seconds, < 0: none: until a reply's headers; of a stream, between two bytes */
  const char *phase;       /* option whose time runs now; NULL: only the deadline's */
  uint64_t phase_until;
  int waiting;             /* wait_begin was called */
  int negotiations;        /* so many times in this call */
  int version;             /* the request was sent in; the client's may be another by now, for another call's sake */
  int needed;              /* what was seen by call_needs as given: the newest such version, and what for */
  const char *needed_what;
  int by_get;              /* the ping is repeated as a GET */
  int opens;               /* the request is call_run_open's */
  int top;                 /* the stack is kept up to here from one request to the next: the box, or more */
  call_finish finish;
  call_finish rescue;      /* see call_rescue; NULL: failures are returned as they are */
  int failed;              /* nil, err of this call was made */
  int told;                /* …and it was that the call is cancelled */
  call_feed feed;          /* NULL: the body is gathered */
  call_finish refused;     /* makes nil, err of a bad status; NULL: call_fail_status */
  /* the request */
  const struct op *op;
  struct buf path;         /* with query, without version */
  const char *rest;        /* of the row's path template: what is not yet written */
  int has_query, has_body;
  struct buf body;         /* JSON */
  const char *text;        /* another body, or a piece of one that is uploaded: the string in the user value CALL_TEXT */
  size_t text_length;
  char content_type[LIMIT_CONTENT_TYPE + 1];
  enum call_upload upload;
  size_t text_sent;        /* upload: so much of the piece */
  int has_source;          /* upload: there is more to ask for; 0: the piece is all */
  struct buf auth;         /* a header line with credentials, wiped at the end */
  struct buf url;
  const char *headers[2];
  int upgrade;             /* a two-way connection is wanted (CALL_OPEN), not the row's plain reply */
  int paced;               /* a stream whose items nobody sees singly (transport.h); set it behind call_request */
  int accepted[4];         /* statuses that the operation looks at itself */
  /* the reply */
  int status;              /* HTTP */
  /* for the trace */
  int traced;              /* a request was begun and not yet told of */
  int resent, retry;       /* times that the request at hand was repeated for its version; as it was begun */
  uint64_t begun;          /* uv_hrtime */
  struct json_doc doc;     /* of the whole body; doc.used is 0 where that was empty or no JSON */
  /* the operation's own, from one request to the next; cleared by call_begin */
  struct buf scratch;
  int step;
  int64_t count;
  uint32_t node;
  char note[128];
};

/* Checks the arguments: a client at index 1 that is open, and at index `options` (0: there is none) an options table
** as `known` says (lx_checkoptions; `known` ends with LX_COMMON_OPTIONS). Sets the stack's top to max(options, top),
** takes a call from the pool and pushes its box. subject may be NULL. */
struct call *call_begin(lua_State *L, const char *name, int options, const struct lx_option *known,
                        const char *subject);
/* Calls that wait by their nature (pull, wait, logs) have no default timeout. Right behind call_begin. */
void call_no_default_timeout(lua_State *L, struct call *k);
void call_add_timeout(struct call *k, double seconds); /* adds to a timeout, if there is one */
/* A call whose reply is a stream: no default for the whole; the options first_byte_timeout (by default, where the
** Engine sends headers at once, the client's timeout) and idle_timeout. */
void call_stream_timeouts(lua_State *L, struct call *k, int at_once);
/* Behind call_begin: `name` is no literal. */
void call_name(struct call *k, const char *name);

/* Starts to fill in a request: the row by its operationId; forgets the former request. */
void call_request(lua_State *L, struct call *k, const char *operation_id);
void call_path(lua_State *L, struct call *k, const char *text, size_t length); /* the next {parameter} of the path */
/* Query parameters, by their names in the row; only behind the last call_path. */
void call_query(lua_State *L, struct call *k, const char *name, const char *text, size_t length);
void call_query_integer(lua_State *L, struct call *k, const char *name, lua_Integer value);
void call_query_boolean(lua_State *L, struct call *k, const char *name, int value);
void call_query_json(lua_State *L, struct call *k, const char *name); /* the value at the top, as JSON; pops it */
/* The value at the stack's top is the JSON body (popped). What can't be sent is misuse, at the caller's line. */
void call_body(lua_State *L, struct call *k);
/* A body that is no JSON: the string at the stack's top (popped), which is kept until the call ends. */
void call_text(lua_State *L, struct call *k, const char *content_type);
/* The same from a function () → bytes | nil (end) | nil, err, or an object with such a method `read` (it gets a size,
** as files want it): asked while there is room for more, outside all callbacks; it may block or yield. What it raises
** ends the transfer and is raised again; its nil, err ends it and is the cause of the call's. A string is such a body
** of one piece. Where the value at the top is neither: 0, and it stays there. */
int call_source(lua_State *L, struct call *k, const char *content_type);
/* A header line, one at most. Raises where the value could be more than one line. */
void call_header(lua_State *L, struct call *k, const char *name, const char *value, size_t length);
/* The same from the value at the stack's top (popped): its JSON in base64url. */
void call_header_json(lua_State *L, struct call *k, const char *name);
/* X-Registry-Auth from the option `auth` of the call (checked here: a table with username and password, or
** identitytoken, or registrytoken; serveraddress, by default that of `domain`). Without the option: anonymous ({}).
** */
void call_auth(lua_State *L, struct call *k, const char *domain, size_t length);
/* The finish function wants to see this status itself (at most 4). */
void call_accept(struct call *k, int status);

/* Runs the request; answers the number of results (finish's, or nil, err). Tail calls: return call_run(L, k, done). */
int call_run(lua_State *L, struct call *k, call_finish finish);
int call_run_stream(lua_State *L, struct call *k, call_feed feed, call_finish finish);
int call_pause(lua_State *L, struct call *k, double seconds, call_finish finish); /* sleeps first */
/* Makes sure that the version is known, without another request where it is. Where it is below 1.{since}, the Engine is
** asked again: it may have been replaced. */
int call_negotiate(lua_State *L, struct call *k, int since, call_finish finish);
int call_ping(lua_State *L, struct call *k, call_finish finish); /* asks in any case */
/* Takes the running request out of call_run's hands, once its headers are there and its status is good: finish is
** then called at once and the transfer goes on (stream.c). */
int call_run_open(lua_State *L, struct call *k, call_finish finish);

/* Has `rescue` called in place of this call's next failure, whatever it is (a fault, a refusal, a verdict; its nil,
** err are at the stack's top). It may keep them (return 2), answer something else, or go on with another request;
** only once, so set it again there if need be. After a deadline (k->wait->verdict is WAIT_TIMEOUT) that needs
** call_extend: so many seconds more from now. */
void call_rescue(struct call *k, call_finish rescue);
void call_extend(lua_State *L, struct call *k, double seconds);

/* From now on so many seconds are allowed (negative: no more than the deadline); if they pass, call_fail_verdict names
** `option`. */
void call_phase(struct call *k, double seconds, const char *option);

/* nil, err about this call; each answers 2. */
int call_fail(lua_State *L, struct call *k, enum lx_kind kind, const char *format, ...);
int call_fail_status(lua_State *L, struct call *k);   /* from HTTP status and the Engine's message */
int call_fail_fault(lua_State *L, struct call *k);    /* from the transfer's fault */
int call_fail_wait(lua_State *L, struct call *k, const struct wait *w); /* from the verdict of another wait */
int call_fail_verdict(lua_State *L, struct call *k);  /* from the wait's verdict: timeout, cancelled, interrupted */
/* Pushes the Engine's message of an error reply, trimmed and escaped; "" if it sent none. */
const char *call_message(lua_State *L, struct call *k);
/* 0 if the reply's document is of that type; else nil, err kind=protocol and 2. */
int call_expect(lua_State *L, struct call *k, enum json_type type);

/* Minor of the negotiated version: 41 for "1.41". Known in every finish function. */
int call_version(const struct call *k);
/* 0, or nil, err kind=version and 2 where the negotiated version is below 1.{since}: `what` (a literal) is the option
** that it lacks. The same comes of the request where the Engine turns out to be an older one by then. */
int call_needs(lua_State *L, struct call *k, const char *what, int since);

/* Driving an upload, for whoever waits for the call (call.c, stream.c); k->box and its user values are on the stack.
** call_upload_send hands over what there is and room for: 1 if the source is to be asked for more; then call_upload_ask
** does that (its status and results are lua_pcallk's), and call_upload_take, with that status, takes the results:
** CALL_AGAIN, or 2 for nil, err, or CALL_RAISE for an error at the stack's top. */
#define CALL_RAISE (-2)
int call_upload_send(lua_State *L, struct call *k);
int call_upload_ask(lua_State *L, struct call *k, lua_KContext ctx, lua_KFunction again);
int call_upload_take(lua_State *L, struct call *k, int status);

/* Between the call_*.c files. */
void call_forget_text(lua_State *L, struct call *k);
void call_set_type(lua_State *L, struct call *k, const char *content_type);
/* Fills in what is known of the request but its wait; the version is settled. */
void call_make_request(lua_State *L, struct call *k, struct transfer_request *request);

/* Gives the call back to the pool; call_run does it by itself. */
void call_release(lua_State *L, struct call *k);
void call_free(struct call *k); /* of a box that is collected */

void call_open(lua_State *L); /* metatable of boxes */

#endif
