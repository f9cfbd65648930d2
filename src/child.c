/* child.c: see child.h.
**
** posix_spawn rather than uv_spawn: that one hands on every descriptor that is not close-on-exec (a file of io.open's
** is not), and takes SIGCHLD over for the whole process. The end is learnt from a pidfd, which the loop watches like
** any descriptor, and the child is waited for by its id alone; a host's own children are none of our business.
**
** The group is killed only while its leader has not been waited for: until then nobody else can have its number. A
** killed child is gone in well under a millisecond, so child_release waits for it on the spot; one that the kernel
** cannot end just now (it hangs in a dead file system) is left to the loop. Where the end is there, what the pipes
** hold is taken and no more waited for: a grandchild may have them open for hours. */

#define _GNU_SOURCE /* POSIX_SPAWN_SETSID, …_np, pipe2 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits.h"

#define READ_SIZE 16384
#define KILL_WAIT 50  /* milliseconds that child_release gives a killed child to go */
#define EXIT_LOOK 20  /* milliseconds between two looks at a child without a pidfd */

extern char **environ;

/* ---- memory: libuv's handles live in the child ---- */

static void on_closed(uv_handle_t *handle) {
  struct child *child = handle->data;
  if (--child->handles == 0 && child->released) free(child);
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void close_pipe(struct child_pipe *pipe) {
  if (pipe->fd < 0) return;
  uv_close((uv_handle_t *)&pipe->poll, on_closed);
  close_fd(&pipe->fd);
}

static void close_pipes(struct child *child) {
  int i;
  for (i = 0; i < 3; i++) close_pipe(&child->pipes[i]);
}

/* ---- what it reads and prints ---- */

static void tell(struct child *child) {
  if (child->changed) child->changed(child->user);
}

/* Takes bytes from descriptor 1 or 2. 0: there are none just now, or no more at all. */
static int read_some(struct child *child, int number) {
  struct child_pipe *pipe = &child->pipes[number];
  struct buf *into = number == 1 ? &child->out : &child->err;
  char bytes[READ_SIZE];
  ssize_t count;
  int status;
  do count = read(pipe->fd, bytes, sizeof bytes);
  while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) return 0;
  if (count <= 0) {
    close_pipe(pipe);
    return 0;
  }
  status = buf_append(into, bytes, (size_t)count);
  if (status == BUF_OK) return 1;
  if (status == BUF_FULL) buf_append(into, bytes, into->cap - into->length);
  if (!child->overflow) child->overflow = status == BUF_FULL ? number : -1;
  return 1;
}

static void on_output(uv_poll_t *poll, int status, int events) {
  struct child *child = poll->data;
  struct child_pipe *pipe = (struct child_pipe *)(void *)poll;
  int before = child->overflow;
  (void)events;
  if (!read_some(child, (int)(pipe - child->pipes)) && status < 0) close_pipe(pipe); /* libuv watches it no more */
  if (child->overflow != before) tell(child);
}

static void on_input(uv_poll_t *poll, int status, int events) {
  struct child *child = poll->data;
  struct child_pipe *pipe = (struct child_pipe *)(void *)poll;
  ssize_t count;
  (void)events;
  count = status < 0 ? -1 : send(pipe->fd, child->input, child->input_length, MSG_NOSIGNAL);
  if (count < 0 && status == 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count > 0) {
    child->input += count;
    child->input_length -= (size_t)count;
  }
  if (count < 0 || child->input_length == 0) close_pipe(pipe); /* it has all, or it does not want it */
}

/* ---- its end ---- */

/* 1 if it has ended; it is then waited for. */
static int reap(struct child *child) {
  pid_t pid;
  int status;
  if (child->ended) return 1;
  do pid = waitpid(child->pid, &status, WNOHANG);
  while (pid < 0 && errno == EINTR);
  if (pid == 0) return 0;
  child->ended = 1;
  child->status = pid < 0 ? -1 : status;
  uv_close(&child->exit.handle, on_closed);
  close_fd(&child->pidfd);
  return 1;
}

static void on_end(struct child *child) {
  int i;
  if (!reap(child)) return;
  if (child->released) { /* an orphan of the loop's */
    loop_remove_guest(&child->guest);
    return;
  }
  for (i = 1; i < 3; i++) { /* more than the cap can only be a grandchild that goes on and on */
    while (child->pipes[i].fd >= 0 && child->overflow == 0 && read_some(child, i)) {}
  }
  close_pipes(child);
  tell(child);
}

static void on_exit_poll(uv_poll_t *poll, int status, int events) {
  struct child *child = poll->data;
  (void)status, (void)events;
  on_end(child);
}

static void on_exit_timer(uv_timer_t *timer) {
  on_end(timer->data);
}

/* The loop goes before it has ended. */
static void on_loop_end(struct loop_guest *guest) {
  struct child *child = guest->owner;
  loop_remove_guest(guest);
  if (!reap(child)) {
    uv_close(&child->exit.handle, on_closed); /* a zombie, should it ever end; waiting could take for ever */
    close_fd(&child->pidfd);
  }
}

void child_kill(struct child *child) {
  if (child->ended) return;
  kill(-child->pid, SIGKILL);
  kill(child->pid, SIGKILL); /* it may have left its group */
}

int child_wait(struct child *child, int milliseconds) {
  struct pollfd end = {child->pidfd, POLLIN, 0};
  const int step = end.fd < 0 && milliseconds > EXIT_LOOK ? EXIT_LOOK : milliseconds;
  while (!child->ended && milliseconds > 0) {
    if (poll(&end, 1, step) < 0 && errno == EINTR) continue;
    milliseconds -= step;
    on_end(child);
  }
  return child->ended;
}

void child_release(struct child *child) {
  struct loop *loop = child->loop;
  child->changed = NULL;
  close_pipes(child);
  if (!reap(child)) {
    child_kill(child);
    if (!child_wait(child, KILL_WAIT)) loop_add_guest(loop, &child->guest);
  }
  buf_free(&child->out);
  buf_free(&child->err);
  child->released = 1;
  if (child->handles == 0) free(child);
  loop_unref(loop);
}

/* ---- its beginning ---- */

/* Descriptors 0, 1 and 2 are what a child gets: ours must not be there, should the host have closed its own. */
static int above_stdio(int fd) {
  int higher;
  if (fd < 0 || fd > 2) return fd;
  higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  close(fd);
  return higher;
}

/* 0 or an errno. The child's ends get into theirs, ours into child->pipes, non-blocking. */
static int make_pipes(struct child *child, const struct child_options *options, int *theirs) {
  int i, ends[2];
  for (i = 0; i < 3; i++) {
    int ours;
    if (i < 2 && options->socket >= 0) continue;
    if (i == 0 && options->input_length == 0) continue;
    /* Written to with MSG_NOSIGNAL: whoever stops reading must not kill us by SIGPIPE. */
    if ((i == 0 ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC)) != 0) return errno;
    ours = ends[i == 0] = above_stdio(ends[i == 0]);
    theirs[i] = ends[i != 0] = above_stdio(ends[i != 0]);
    child->pipes[i].fd = ours;
    if (ours < 0 || theirs[i] < 0 || fcntl(ours, F_SETFL, O_NONBLOCK | fcntl(ours, F_GETFL)) != 0) return errno;
  }
  return 0;
}

/* 0 or an errno. */
static int spawn(struct child *child, const struct child_options *options, const int *theirs) {
  const short flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t all, none;
  int i, status;
  sigfillset(&all);
  sigemptyset(&none);
  status = posix_spawn_file_actions_init(&actions);
  if (status != 0) return status;
  status = posix_spawnattr_init(&attributes);
  if (status != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return status;
  }
  posix_spawnattr_setflags(&attributes, flags);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  for (i = 0; i < 3 && status == 0; i++) {
    int from = i < 2 && options->socket >= 0 ? options->socket : theirs[i];
    if (from >= 0) status = posix_spawn_file_actions_adddup2(&actions, from, i);
    else status = posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
  }
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34) /* elsewhere only those that are close-on-exec, as all of ours are */
  if (status == 0) status = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
  if (status == 0 && options->folder) status = posix_spawn_file_actions_addchdir_np(&actions, options->folder);
  if (status == 0) {
    status = posix_spawnp(&child->pid, options->argv[0], &actions, &attributes, options->argv,
                          options->env ? options->env : environ);
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return status;
}

static void watch_end(struct child *child) {
  uv_loop_t *uv = loop_uv(child->loop);
  child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
  if (child->pidfd >= 0 && uv_poll_init(uv, &child->exit.poll, child->pidfd) == 0) {
    child->exit.poll.data = child;
    uv_poll_start(&child->exit.poll, UV_READABLE, on_exit_poll);
  } else {
    close_fd(&child->pidfd);
    uv_timer_init(uv, &child->exit.timer);
    child->exit.timer.data = child;
    uv_timer_start(&child->exit.timer, on_exit_timer, EXIT_LOOK, EXIT_LOOK);
  }
  child->handles++;
}

/* 0 or an errno. */
static int watch_pipes(struct child *child) {
  int i;
  for (i = 0; i < 3; i++) {
    struct child_pipe *pipe = &child->pipes[i];
    int status = pipe->fd < 0 ? 0 : uv_poll_init(loop_uv(child->loop), &pipe->poll, pipe->fd);
    if (status != 0) {
      for (; i < 3; i++) close_fd(&child->pipes[i].fd);
      return -status;
    }
    if (pipe->fd < 0) continue;
    child->handles++;
    pipe->poll.data = child;
    if (i == 0) uv_poll_start(&pipe->poll, UV_WRITABLE, on_input);
    else uv_poll_start(&pipe->poll, UV_READABLE, on_output);
  }
  return 0;
}

int child_start(struct loop *loop, const struct child_options *options, struct child **result) {
  struct child *child = calloc(1, sizeof *child);
  int theirs[3] = {-1, -1, -1}, i, status;
  if (!child) return ENOMEM;
  for (i = 0; i < 3; i++) child->pipes[i].fd = -1;
  child->pidfd = -1;
  child->guest.end = on_loop_end;
  child->guest.owner = child;
  child->input = options->input;
  child->input_length = options->input_length;
  buf_init(&child->out, options->output_cap);
  buf_init(&child->err, options->output_cap);
  status = make_pipes(child, options, theirs);
  if (status == 0) status = spawn(child, options, theirs);
  for (i = 0; i < 3; i++) close_fd(&theirs[i]);
  if (status != 0) {
    for (i = 0; i < 3; i++) close_fd(&child->pipes[i].fd);
    free(child);
    return status;
  }
  child->loop = loop;
  loop_ref(loop);
  watch_end(child);
  status = watch_pipes(child);
  if (status != 0) {
    child_release(child);
    return status;
  }
  *result = child;
  return 0;
}
