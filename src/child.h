/* child.h: a child process on the loop: started without a shell, in a session and process group of its own, what it
** prints gathered in bounded buffers, its end told, and no zombie left of it.
**
** It inherits descriptors 0, 1 and 2 as they are made here and no other one, whoever opened that; the default
** dispositions of all signals and an empty mask; and no terminal, so that nothing in it can ask a person something.
** The process's own handling of signals stays as it is. */

#ifndef DW_CHILD_H
#define DW_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "buf.h"
#include "loop.h"

struct child_options {
  char *const *argv;   /* argv[0] is looked up in PATH if there is no '/' in it */
  char *const *env;    /* "NAME=value", all of them; NULL: ours */
  const char *folder;  /* where it runs; NULL: where we are */
  int socket;          /* becomes its 0 and 1, and stays the caller's; -1: input, and output gathered */
  const char *input;   /* what it reads; stays in place until the child is released; NULL: nothing */
  size_t input_length;
  size_t output_cap;   /* of each of out and err; what is beyond is dropped */
};

struct child_pipe { /* our end of one of its descriptors */
  uv_poll_t poll;
  int fd;              /* -1: none, or closed */
};

struct child {
  pid_t pid;
  int ended;           /* out and err are then complete, but for what processes that it left behind may still write */
  int status;          /* waitpid's, or -1 where somebody else's wait took it */
  int overflow;        /* 1 or 2: that descriptor brought more than output_cap; -1: no memory for it */
  struct buf out, err;
  void (*changed)(void *user); /* ended or overflow has changed; may release the child; NULL: nobody listens */
  void *user;
  /* child.c's own */
  struct loop *loop;
  struct loop_guest guest;     /* while it is released and not yet waited for */
  int pidfd;
  union {
    uv_handle_t handle;
    uv_poll_t poll;            /* of pidfd */
    uv_timer_t timer;          /* where the system has none: a look now and then */
  } exit;
  struct child_pipe pipes[3];
  const char *input;
  size_t input_length;
  int handles;                 /* not yet closed: while there are any, their memory is libuv's */
  int released;
};

/* 0 and *child, or an errno: ENOENT (no such program or folder), EACCES, E2BIG, EAGAIN, EMFILE, ENOMEM, … */
int child_start(struct loop *loop, const struct child_options *options, struct child **child);
/* SIGKILL to it and its whole group; harmless when it has ended. */
void child_kill(struct child *child);
/* Waits for its end, blocking, so many milliseconds at most; 1 if it has ended. */
int child_wait(struct child *child, int milliseconds);
/* Lets go of it: kills it if it has not ended, waits for it (here, or the loop does so later), frees it. */
void child_release(struct child *child);

#endif
