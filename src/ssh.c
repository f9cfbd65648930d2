/* ssh.c: see ssh.h.
**
** A pool listens at a socket file that is gone as soon as it is made: what leads to it is /proc/self/fd. (An abstract
** address would be no file at all, but libcurl 7.88 takes connections to one for unfinished, and never uses them again.)
** The caller's sockets get names of their own from the kernel, by which those that arrive are told apart; whoever else
** arrives is turned away.
**
** sshd drops connections that have not logged in yet when there are more than ten of them (MaxStartups). So no more than
** LIMIT_SSH_STARTING are under way at a time: the next one is started when one of those has brought an answer, has
** ended, or has had STARTING_TIME; what was sent to it meanwhile waits in the socket.
**
** Options: BatchMode and an environment without SSH_ASKPASS, so that nobody is asked anything (and child.c gives it a
** session without a terminal); LogLevel=ERROR, so that banners do not hide what is wrong; ClearAllForwardings, because
** what the user's configuration forwards can be forwarded only once; "--", so that no host is taken for an option. The
** command over there is the one that the docker command runs. */

#define _GNU_SOURCE /* accept4, O_PATH, POLLRDHUP */
#include "ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "limits.h"
#include "sshwords.h"

#define PROGRAM "ssh"
#define LOST_STATUS 255    /* ssh's own failure; any other is that of the command over there */
#define END_WAIT 500       /* milliseconds that ssh has to end, and to say why, once its end of the socket is closed */
#define STARTING_TIME 3000 /* milliseconds */
#define BACKLOG 64
#define NAME_ATTEMPTS 8
#define MAX_WORDS 24

enum ssh_state {
  SSH_EXPECTED, /* the caller's socket has not come yet */
  SSH_QUEUED,   /* too many are starting */
  SSH_STARTING,
  SSH_WORKING,  /* has answered, or has had its time to start */
  SSH_FAILED    /* could not be run: error says why */
};

struct ssh {
  struct ssh_pool *pool;
  enum ssh_state state;
  struct sockaddr_un name; /* of the caller's socket */
  socklen_t name_length;
  int socket;          /* QUEUED: what ssh will get; else -1 */
  int error;           /* FAILED: errno */
  int answered;
  struct child *child; /* STARTING, WORKING */
  uv_timer_t timer;    /* STARTING_TIME */
  struct ssh *next, **link; /* in the pool's list */
};

struct ssh_pool {
  struct loop *loop;
  struct endpoint endpoint;
  long connect_timeout;
  int closed;
  int listener, file;  /* file: O_PATH, what /proc/self/fd leads to; -1: not yet */
  uv_poll_t poll;      /* of listener */
  int handles;         /* 1: poll is not yet closed */
  int starting;
  struct ssh *all, **tail; /* the oldest first */
};

extern char **environ;

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* ---- starting ---- */

/* 0 or an errno. */
static int run(struct ssh *ssh) {
  static char never[] = "SSH_ASKPASS_REQUIRE=never";
  const struct endpoint *e = &ssh->pool->endpoint;
  const char *words[MAX_WORDS] = {PROGRAM, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o",
                                  "ClearAllForwardings=yes", "-T", "-o"};
  char timeout[48], port[16], daemon[sizeof e->path + 16], **variables;
  struct child_options o;
  size_t n = 9, i, count = 0;
  int status;
  snprintf(timeout, sizeof timeout, "ConnectTimeout=%ld", ssh->pool->connect_timeout);
  snprintf(port, sizeof port, "%d", e->port);
  snprintf(daemon, sizeof daemon, "--host=unix://%s", e->path);
  words[n++] = timeout;
  if (e->user[0]) words[n++] = "-l", words[n++] = e->user;
  if (e->port) words[n++] = "-p", words[n++] = port;
  words[n++] = "--";
  words[n++] = e->host;
  words[n++] = "docker";
  if (e->path[0]) words[n++] = daemon;
  words[n++] = "system";
  words[n++] = "dial-stdio";
  words[n] = NULL;

  while (environ[count]) count++;
  variables = calloc(count + 2, sizeof *variables);
  if (!variables) return ENOMEM;
  for (i = 0, count = 0; environ[i]; i++) {
    if (strncmp(environ[i], "SSH_ASKPASS", 11) != 0) variables[count++] = environ[i];
  }
  variables[count] = never;
  memset(&o, 0, sizeof o);
  o.argv = (char *const *)(size_t)words; /* nobody writes to them */
  o.env = variables;
  o.socket = ssh->socket;
  o.output_cap = LIMIT_SSH_COMPLAINT;
  status = child_start(ssh->pool->loop, &o, &ssh->child);
  free(variables);
  return status;
}

static void start_next(struct ssh_pool *pool);

/* It no longer counts as one that logs in. */
static void end_start(struct ssh *ssh) {
  if (ssh->state != SSH_STARTING) return;
  ssh->state = SSH_WORKING;
  uv_timer_stop(&ssh->timer);
  ssh->pool->starting--;
  start_next(ssh->pool);
}

static void on_time(uv_timer_t *timer) {
  end_start(timer->data);
}

static void on_end(void *user) {
  struct ssh *ssh = user;
  if (ssh->child->ended) end_start(ssh);
}

static void start(struct ssh *ssh) {
  ssh->error = run(ssh);
  close_fd(&ssh->socket); /* ssh alone has it now; or nobody, which is how the failure is told */
  if (ssh->error) {
    ssh->state = SSH_FAILED;
    return;
  }
  ssh->state = SSH_STARTING;
  ssh->child->changed = on_end;
  ssh->child->user = ssh;
  ssh->pool->starting++;
  uv_timer_start(&ssh->timer, on_time, STARTING_TIME, 0);
}

static void start_next(struct ssh_pool *pool) {
  struct ssh *ssh;
  for (ssh = pool->all; ssh && pool->starting < LIMIT_SSH_STARTING && !pool->closed; ssh = ssh->next) {
    if (ssh->state == SSH_QUEUED) start(ssh);
  }
}

/* ---- pools ---- */

static struct ssh *find(const struct ssh_pool *pool, const struct sockaddr_un *name, socklen_t length) {
  struct ssh *ssh = pool->all;
  while (ssh && (ssh->state != SSH_EXPECTED || ssh->name_length != length || memcmp(&ssh->name, name, length) != 0)) {
    ssh = ssh->next;
  }
  return ssh;
}

static void on_arrival(uv_poll_t *poll, int status, int events) {
  struct ssh_pool *pool = poll->data;
  struct sockaddr_un name;
  socklen_t length = sizeof name;
  struct ssh *ssh;
  int fd;
  (void)status, (void)events;
  memset(&name, 0, sizeof name);
  fd = accept4(pool->listener, (struct sockaddr *)&name, &length, SOCK_CLOEXEC);
  if (fd < 0) return; /* no descriptor left? Then it is tried again and again: at its next wait somebody has a timeout */
  ssh = find(pool, &name, length);
  if (!ssh) { /* given up meanwhile, or a stranger */
    close(fd);
    return;
  }
  ssh->socket = fd;
  ssh->state = SSH_QUEUED;
  start_next(pool);
}

/* A socket file in some folder that lets us, known by a descriptor and no more by its name. 0, or -1 and errno. */
static int bind_nowhere(int listener, int *file) {
  const char *folders[] = {getenv("TMPDIR"), "/tmp", getenv("XDG_RUNTIME_DIR"), "/dev/shm", "/var/tmp", "."};
  size_t i;
  int attempt, number = ENOENT;
  for (i = 0; i < sizeof folders / sizeof *folders; i++) {
    for (attempt = 0; folders[i] && attempt < NAME_ATTEMPTS; attempt++) {
      struct sockaddr_un address = {.sun_family = AF_UNIX};
      int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/docker-watcher-%lx-%llx", folders[i],
                            (long)getpid(), (unsigned long long)uv_hrtime());
      if (length >= (int)sizeof address.sun_path) break;
      if (bind(listener, (struct sockaddr *)&address, sizeof address) == 0) {
        *file = open(address.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        number = errno;
        unlink(address.sun_path);
        if (*file >= 0) return 0;
        errno = number;
        return -1;
      }
      number = errno;
      if (number != EADDRINUSE) break;
    }
  }
  errno = number;
  return -1;
}

static void on_pool_closed(uv_handle_t *handle) {
  free(handle->data);
}

/* 0, or -1 and errno. */
static int start_listening(struct ssh_pool *pool) {
  int status;
  if (pool->listener >= 0) return 0;
  pool->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (pool->listener < 0) return -1;
  status = bind_nowhere(pool->listener, &pool->file) != 0 || listen(pool->listener, BACKLOG) != 0 ? -errno : 0;
  if (status == 0) status = uv_poll_init(loop_uv(pool->loop), &pool->poll, pool->listener);
  if (status != 0) {
    close_fd(&pool->listener);
    close_fd(&pool->file);
    errno = -status;
    return -1;
  }
  pool->handles = 1;
  pool->poll.data = pool;
  uv_poll_start(&pool->poll, UV_READABLE, on_arrival);
  uv_unref((uv_handle_t *)&pool->poll); /* nobody waits for it alone */
  return 0;
}

struct ssh_pool *ssh_pool_new(struct loop *loop, const struct endpoint *endpoint, double connect_timeout) {
  struct ssh_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return NULL;
  pool->loop = loop;
  pool->endpoint = *endpoint;
  pool->connect_timeout = connect_timeout > 1 ? (long)ceil(connect_timeout) : 1; /* ssh knows whole seconds */
  pool->listener = pool->file = -1;
  pool->tail = &pool->all;
  return pool;
}

static void free_if_done(struct ssh_pool *pool) {
  if (!pool->closed || pool->all) return;
  if (pool->handles) uv_close((uv_handle_t *)&pool->poll, on_pool_closed);
  else free(pool);
}

void ssh_pool_free(struct ssh_pool *pool) {
  pool->closed = 1;
  if (pool->handles) uv_poll_stop(&pool->poll);
  close_fd(&pool->listener);
  close_fd(&pool->file);
  free_if_done(pool);
}

/* ---- connections ---- */

static void on_closed(uv_handle_t *handle) {
  free(handle->data);
}

struct ssh *ssh_open(struct ssh_pool *pool, int fd, struct sockaddr_un *address, socklen_t *length) {
  struct ssh *ssh = calloc(1, sizeof *ssh);
  if (!ssh) return NULL;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  ssh->pool = pool;
  ssh->socket = -1;
  ssh->name_length = sizeof ssh->name;
  if (start_listening(pool) != 0 || bind(fd, (struct sockaddr *)address, sizeof address->sun_family) != 0 ||
      getsockname(fd, (struct sockaddr *)&ssh->name, &ssh->name_length) != 0) {
    int number = errno;
    free(ssh);
    errno = number;
    return NULL;
  }
  snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d", pool->file);
  *length = sizeof *address;
  uv_timer_init(loop_uv(pool->loop), &ssh->timer);
  ssh->timer.data = ssh;
  ssh->link = pool->tail;
  *pool->tail = ssh;
  pool->tail = &ssh->next;
  return ssh;
}

void ssh_answered(struct ssh *ssh) {
  ssh->answered = 1;
  end_start(ssh);
}

enum ssh_complaint ssh_complaint(struct ssh *ssh, int fd, char *text, size_t size, const char **next) {
  struct pollfd peer = {fd, POLLIN | POLLRDHUP, 0};
  const struct child *child = ssh->child;
  const char *words;
  int status;
  if (ssh->state == SSH_FAILED) {
    if (ssh->error == ENOENT) snprintf(text, size, "there is no program " PROGRAM " in PATH");
    else snprintf(text, size, PROGRAM " cannot be run: %s", strerror(ssh->error));
    *next = ssh->error == ENOENT ? "Install OpenSSH's client" : "This machine may be short of something";
    return SSH_UNREACHED;
  }
  if (!child) return SSH_NONE;
  if (!child->ended && (poll(&peer, 1, 0) <= 0 || !(peer.revents & (POLLRDHUP | POLLHUP | POLLERR)))) return SSH_NONE;
  if (!child_wait(ssh->child, END_WAIT) || child->status == -1) return SSH_NONE;
  words = child->err.data ? child->err.data : "";
  status = WIFEXITED(child->status) ? WEXITSTATUS(child->status) : -1;
  if (child->err.length > 0) sshwords(words, child->err.length, text, size);
  else if (status >= 0) snprintf(text, size, PROGRAM " ended with status %d and said nothing", status);
  else snprintf(text, size, PROGRAM " was ended by signal %d", WTERMSIG(child->status));
  *next = sshwords_next(words, child->err.length, status);
  if (!ssh->answered && sshwords_unreached(words, child->err.length, status)) return SSH_UNREACHED;
  return status == -1 || status == LOST_STATUS ? SSH_LOST : SSH_ENDED;
}

void ssh_close(struct ssh *ssh) {
  struct ssh_pool *pool = ssh->pool;
  *ssh->link = ssh->next;
  if (ssh->next) ssh->next->link = ssh->link;
  else pool->tail = ssh->link;
  if (ssh->child) child_release(ssh->child);
  ssh->child = NULL;
  close_fd(&ssh->socket);
  end_start(ssh);
  uv_close((uv_handle_t *)&ssh->timer, on_closed);
  free_if_done(pool);
}
