/* ops.h: the Engine's operations as rows of one table. A new endpoint is a new row. The facts are those of the
** specification (Docker Engine API, newest); spec/unit/ops_spec.lua compares them with it. Pure. */

#ifndef DW_OPS_H
#define DW_OPS_H

#include <stddef.h>

#define OPS_NEWEST 55 /* we speak 1.55 at most… */
#define OPS_OLDEST 41 /* …and 1.41 at least (Docker 20.10) */

enum op_verb { VERB_GET, VERB_HEAD, VERB_POST, VERB_PUT, VERB_DELETE };
enum op_body { BODY_NONE, BODY_JSON, BODY_STREAM /* tar or stdin */ };
enum op_reply {
  REPLY_EMPTY,  /* nothing that is wanted */
  REPLY_JSON,
  REPLY_TEXT,   /* _ping */
  REPLY_FRAMES, /* streams: output of a container, framed, or bare where it has a TTY: logs */
  REPLY_ITEMS,  /* … of JSON values: events, stats */
  REPLY_PROGRESS, /* … of JSON values of which one may be a failure: pull, push, build, load */
  REPLY_BYTES,  /* … of a tar archive */
  REPLY_HIJACK  /* the connection becomes two-way: attach, exec start, session */
};

struct op {
  const char *id;    /* the specification's operationId */
  enum op_verb verb;
  const char *path;  /* "/containers/{id}/json" */
  const char *query; /* names of its query parameters with blanks between: "all limit size filters" */
  const char *header;/* names of its header parameters: "X-Registry-Auth" */
  enum op_body body;
  int since;         /* minor of the first API version that has it; OPS_OLDEST where it is older */
  short good[4];     /* statuses that are success, 0 behind the last; 304 is one on start and stop */
  enum op_reply reply;
  int idempotent;    /* may be sent again when the connection died before an answer */
};

extern const struct op ops_table[]; /* sorted by id */
extern const size_t ops_count;

const struct op *ops_find(const char *id); /* by operationId; NULL if there is none */
/* Is `name` (length bytes) a word of a blank-separated list? */
int ops_has(const char *list, const char *name, size_t length);
/* Names of request fields that the specification types as arrays ("Cmd", "Env", "Binds"): an empty Lua table there is
** []. */
int ops_is_array_field(const char *name, size_t length);

#endif
