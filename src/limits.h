/* limits.h: every size, depth and count that this library bounds, each with its reason.
**
** Whoever hits one is told its name (LIMIT_REPLY, …) in the error, so that a report says at once
** which line of this file it is about. */

#ifndef DW_LIMITS_H
#define DW_LIMITS_H

#include <stddef.h>

/* JSON */
#define LIMIT_JSON_DEPTH 64                     /* nesting; the Engine's own documents stay below 16 */
#define LIMIT_JSON_NUMBER 128                   /* characters of one number; a double needs 25 */

/* HTTP */
#define LIMIT_REPLY ((size_t)64 << 20)          /* a whole JSON reply: 40,000 listed containers */
#define LIMIT_ERROR_BODY ((size_t)64 << 10)     /* an error's body that is kept; the rest is dropped */
#define LIMIT_ERROR_TEXT 256                    /* bytes of a foreign body that an error message quotes */
#define LIMIT_HEADERS ((size_t)64 << 10)        /* all header lines of one reply */
#define LIMIT_CHUNK_LINE 1024                   /* the line before each chunk of a chunked reply; 18 without extensions */
#define LIMIT_REQUEST ((size_t)16 << 20)        /* a request's JSON body; configs and secrets are ≤ 1 MiB */
#define LIMIT_PATH ((size_t)64 << 10)           /* a request's path and query, filters included */
#define LIMIT_CONTENT_TYPE 95                   /* characters of a request's Content-Type that a caller gives */
#define LIMIT_IDLE_CONNECTIONS 32L              /* kept open by one client between requests */

/* streams */
#define LIMIT_STREAM_BUFFER ((size_t)256 << 10) /* unread bytes of a stream before the transfer is paused */
#define LIMIT_UPLOAD_BUFFER ((size_t)256 << 10) /* bytes of a streamed request body that wait to be sent */
#define LIMIT_JSON_ITEM ((size_t)4 << 20)       /* one JSON value of a progress or event stream */
#define LIMIT_FRAME ((size_t)16 << 20)          /* payload of one stdio frame; the Engine writes ≤ 64 KiB */
#define LIMIT_CHUNK ((size_t)64 << 10)          /* bytes that one read() of a log stream returns at most */

/* names */
#define LIMIT_REFERENCE 4096                    /* an image reference as text; its path is held to 255 */
#define LIMIT_REFERENCE_PATH 255                /* distribution/reference: NameTotalLengthMax */
#define LIMIT_CONTAINER_NAME 200                /* of a generated name; keeps host names and paths valid */
#define LIMIT_ID 255                            /* id or name of a container, image, network, … */
#define LIMIT_ENDPOINT 1024                     /* text of DOCKER_HOST */
#define LIMIT_DIRECTORY ((size_t)64 << 10)      /* all names in a folder that is listed; docker contexts: 900 */
#define LIMIT_SOCKET_PATH 107                   /* sockaddr_un.sun_path less its NUL */

/* processes */
#define LIMIT_PROCESS_OUTPUT ((size_t)64 << 10) /* of each of stdout and stderr; a credential helper prints < 8 KiB */
#define LIMIT_PROCESS_WORDS 1024                /* arguments, or environment variables */
/* archives (docker_watcher.tar) */
#define LIMIT_TAR_BLOCK ((size_t)64 << 10)      /* bytes that one read() of an archive or an entry returns at most */
#define LIMIT_TAR_NAME 4096                     /* an entry's name, a link's target, a path on this machine (PATH_MAX) */
#define LIMIT_TAR_FOLDER ((size_t)1 << 20)      /* names in one folder: all are held, to be sorted */
#define LIMIT_TAR_LINKS ((size_t)1 << 20)       /* files with several names that one archive remembers */
#define LIMIT_TAR_TRAILER ((size_t)1 << 20)     /* bytes behind an archive's end that are read and dropped */
#define LIMIT_TAR_SKIPPED 1000                  /* names of entries not extracted that extract() tells */

/* ssh */
#define LIMIT_SSH_COMPLAINT ((size_t)8 << 10)   /* what one ssh prints to its stderr; the rest is dropped */
#define LIMIT_SSH_STARTING 8                    /* that log in at a time; sshd drops some from ten on (MaxStartups) */
#define LIMIT_SSH_IDLE 16                       /* kept open by one client between requests: each is a process here,
                                                   and three over there */

/* waits, in milliseconds */
#define LIMIT_BLOCK_TICK 100                    /* a blocking call looks for Ctrl-C this often */

/* tasks */
#define LIMIT_CANCELLED_WAITS 1000             /* waits that a task may still make while run() ends on an error */

#endif
