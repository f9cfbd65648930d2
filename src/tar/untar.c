/* untar.c: see untar.h. */

#include "untar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../limits.h"

#define STACK ((size_t)1 << 20) /* of the thread: address space, of which a few pages are used */
#define BLOCK 512               /* of a tar archive */
#ifdef EFTYPE                   /* what libarchive calls ARCHIVE_ERRNO_FILE_FORMAT, and keeps to itself */
#define BAD_FORMAT EFTYPE
#else
#define BAD_FORMAT EILSEQ
#endif

enum question { ASK_NEXT, ASK_DATA, ASK_EXTRACT, ASK_SETTLE, ASK_QUIT };
enum turn { TURN_OWNER, TURN_THREAD };

struct untar {
  pthread_t thread;
  int running;                /* there is a thread */
  pthread_mutex_t lock;       /* guards turn; what is below belongs to whose turn it is */
  pthread_cond_t changed;
  enum turn turn;

  enum question question;
  enum untar_says answer;
  const char *input;          /* of the owner, NULL once taken */
  size_t input_length;
  int ended;                  /* there is no more input */
  int hit_end;                /* …and libarchive has asked beyond it */
  char tail[BLOCK];           /* the last bytes of the input */
  size_t tail_length;

  struct archive *reader, *disk;
  struct archive_entry *raw;  /* of the reader */
  struct untar_entry entry;
  char *piece;                /* LIMIT_TAR_BLOCK bytes of contents */
  size_t piece_length;
  const char *path, *link;    /* ASK_EXTRACT */
  int flags;
  char message[512];
  int error;
};

/* ---- whose turn it is ---- */

/* Gives the turn to the other and waits until it comes back. */
static void pass(struct untar *u, enum turn to) {
  pthread_mutex_lock(&u->lock);
  u->turn = to;
  pthread_cond_signal(&u->changed);
  while (u->turn == to) pthread_cond_wait(&u->changed, &u->lock);
  pthread_mutex_unlock(&u->lock);
}

/* ---- on the thread ---- */

static la_ssize_t on_input(struct archive *a, void *context, const void **bytes) {
  struct untar *u = context;
  if (!u->input && !u->ended && u->question != ASK_QUIT) {
    u->answer = UNTAR_INPUT;
    pass(u, TURN_OWNER);
  }
  if (u->question == ASK_QUIT) {
    archive_set_error(a, ECANCELED, "closed");
    return -1;
  }
  *bytes = u->input;
  if (u->input) {
    u->input = NULL;
    return (la_ssize_t)u->input_length;
  }
  u->hit_end = 1;
  return 0;
}

static void tell(struct untar *u, struct archive *a) {
  const char *text = archive_error_string(a);
  u->error = archive_errno(a);
  if (!text) text = "unknown error";
  if (u->error > 0 && u->error != BAD_FORMAT && !strstr(text, strerror(u->error))) {
    snprintf(u->message, sizeof u->message, "%s (%s)", strerror(u->error), text); /* the text has a path in it */
  } else {
    snprintf(u->message, sizeof u->message, "%s", text);
  }
}

/* The reader has failed. */
static enum untar_says broken(struct untar *u) {
  tell(u, u->reader);
  return u->hit_end ? UNTAR_CUT : UNTAR_BROKEN;
}

static int is_zero(const char *bytes, size_t count) {
  while (count > 0) {
    if (bytes[--count] != 0) return 0;
  }
  return 1;
}

static enum untar_says next(struct untar *u) {
  struct untar_entry *e = &u->entry;
  const char *text;
  int status;
  if (!u->reader) {
    u->reader = archive_read_new();
    u->piece = malloc(LIMIT_TAR_BLOCK);
    if (!u->reader || !u->piece) {
      u->error = ENOMEM;
      return UNTAR_FAILED;
    }
    /* No filters: they would let a small archive become any size, and some run other programs. */
    if (archive_read_support_format_tar(u->reader) != ARCHIVE_OK ||
        archive_read_open(u->reader, u, NULL, on_input, NULL) != ARCHIVE_OK) {
      return broken(u);
    }
  }
  memset(e, 0, sizeof *e); /* its strings go now */
  status = archive_read_next_header(u->reader, &u->raw);
  /* Bytes behind the last entry that are not the two blocks of zeros: the archive was cut between two entries. */
  if (status == ARCHIVE_EOF) {
    if (!u->hit_end || (u->tail_length == BLOCK && is_zero(u->tail, BLOCK))) return UNTAR_END;
    snprintf(u->message, sizeof u->message, "its end is missing");
    return UNTAR_CUT;
  }
  /* It warns of names that are not ASCII, and leaves them as they are. */
  if (status < ARCHIVE_WARN) return broken(u);
  e->name = archive_entry_pathname(u->raw);
  if (!e->name) e->name = "";
  e->mode = archive_entry_mode(u->raw);
  e->size = archive_entry_size(u->raw);
  e->mtime = (int64_t)archive_entry_mtime(u->raw);
  e->uid = archive_entry_uid(u->raw);
  e->gid = archive_entry_gid(u->raw);
  text = archive_entry_hardlink(u->raw);
  e->hard = text != NULL;
  e->link = text ? text : archive_entry_symlink(u->raw);
  return UNTAR_ENTRY;
}

static enum untar_says data(struct untar *u) {
  la_ssize_t n = archive_read_data(u->reader, u->piece, LIMIT_TAR_BLOCK);
  if (n < 0) return broken(u);
  u->piece_length = (size_t)n;
  return n > 0 ? UNTAR_BYTES : UNTAR_DONE;
}

static enum untar_says extract(struct untar *u) {
  int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
              ARCHIVE_EXTRACT_SECURE_SYMLINKS;
  int status;
  if (!u->disk) {
    u->disk = archive_write_disk_new();
    if (!u->disk) {
      u->error = ENOMEM;
      return UNTAR_FAILED;
    }
    if (u->flags & UNTAR_OWNER) flags |= ARCHIVE_EXTRACT_OWNER;
    archive_write_disk_set_options(u->disk, flags);
  }
  archive_entry_copy_pathname(u->raw, u->path);
  if (u->entry.hard) archive_entry_copy_hardlink(u->raw, u->link);
  u->entry.name = u->path; /* the strings that they were are gone */
  u->entry.link = NULL;
  if (!(u->flags & UNTAR_SETID)) archive_entry_set_perm(u->raw, archive_entry_perm(u->raw) & 01777);
  archive_clear_error(u->reader);
  status = archive_read_extract2(u->reader, u->raw, u->disk);
  if (status == ARCHIVE_OK) return UNTAR_DONE;
  /* libarchive tells of the disk's failures by the reader; a failed read is told by the input's end. */
  tell(u, u->reader);
  if (u->hit_end && status == ARCHIVE_FATAL) return UNTAR_CUT;
  return u->error == BAD_FORMAT ? UNTAR_BROKEN : UNTAR_FAILED;
}

static enum untar_says settle(struct untar *u) {
  if (!u->disk || archive_write_close(u->disk) == ARCHIVE_OK) return UNTAR_DONE;
  tell(u, u->disk);
  return UNTAR_FAILED;
}

static void *run(void *argument) {
  struct untar *u = argument;
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* in it libarchive leaves names as they are */
  if (plain) uselocale(plain);
  pthread_mutex_lock(&u->lock);
  while (u->turn != TURN_THREAD) pthread_cond_wait(&u->changed, &u->lock);
  pthread_mutex_unlock(&u->lock);
  for (;;) {
    switch (u->question) {
      case ASK_NEXT: u->answer = next(u); break;
      case ASK_DATA: u->answer = data(u); break;
      case ASK_EXTRACT: u->answer = extract(u); break;
      case ASK_SETTLE: u->answer = settle(u); break;
      case ASK_QUIT: break;
    }
    if (u->question == ASK_QUIT) break;
    pass(u, TURN_OWNER);
  }
  if (u->disk) archive_write_free(u->disk);
  if (u->reader) archive_read_free(u->reader);
  uselocale(LC_GLOBAL_LOCALE);
  if (plain) freelocale(plain);
  return NULL;
}

/* ---- the owner's side ---- */

/* No signal is this thread's business. */
static int start(struct untar *u) {
  pthread_attr_t attributes;
  sigset_t all, before;
  int error;
  sigfillset(&all);
  if (pthread_attr_init(&attributes) != 0) return ENOMEM;
  pthread_attr_setstacksize(&attributes, STACK);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  error = pthread_create(&u->thread, &attributes, run, u);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  u->running = error == 0;
  return error;
}

static enum untar_says ask(struct untar *u, enum question question) {
  u->question = question;
  if (!u->running) {
    u->error = start(u);
    if (u->error) {
      snprintf(u->message, sizeof u->message, "no thread: %s", strerror(u->error));
      return UNTAR_FAILED;
    }
  }
  pass(u, TURN_THREAD);
  return u->answer;
}

struct untar *untar_open(void) {
  struct untar *u = calloc(1, sizeof *u);
  if (!u) return NULL;
  pthread_mutex_init(&u->lock, NULL);
  pthread_cond_init(&u->changed, NULL);
  u->turn = TURN_OWNER;
  return u;
}

void untar_close(struct untar *u) {
  if (!u) return;
  if (u->running) {
    pthread_mutex_lock(&u->lock);
    u->question = ASK_QUIT;
    u->turn = TURN_THREAD;
    pthread_cond_signal(&u->changed);
    pthread_mutex_unlock(&u->lock);
    pthread_join(u->thread, NULL);
  }
  pthread_cond_destroy(&u->changed);
  pthread_mutex_destroy(&u->lock);
  free(u->piece);
  free(u);
}

enum untar_says untar_next(struct untar *u) {
  return ask(u, ASK_NEXT);
}

enum untar_says untar_data(struct untar *u) {
  return ask(u, ASK_DATA);
}

void untar_piece(const struct untar *u, const char **bytes, size_t *count) {
  *bytes = u->piece;
  *count = u->piece_length;
}

enum untar_says untar_extract(struct untar *u, const char *path, const char *link, int flags) {
  u->path = path;
  u->link = link;
  u->flags = flags;
  return ask(u, ASK_EXTRACT);
}

enum untar_says untar_settle(struct untar *u) {
  return ask(u, ASK_SETTLE);
}

static enum untar_says answer_input(struct untar *u) {
  pass(u, TURN_THREAD);
  return u->answer;
}

enum untar_says untar_give(struct untar *u, const char *bytes, size_t count) {
  if (count >= BLOCK) {
    memcpy(u->tail, bytes + count - BLOCK, BLOCK);
    u->tail_length = BLOCK;
  } else {
    size_t keep = u->tail_length + count > BLOCK ? BLOCK - count : u->tail_length;
    memmove(u->tail, u->tail + u->tail_length - keep, keep);
    memcpy(u->tail + keep, bytes, count);
    u->tail_length = keep + count;
  }
  u->input = bytes;
  u->input_length = count;
  return answer_input(u);
}

enum untar_says untar_ended(struct untar *u) {
  u->ended = 1;
  return answer_input(u);
}

const struct untar_entry *untar_entry(const struct untar *u) {
  return &u->entry;
}

const char *untar_message(const struct untar *u) {
  return u->message;
}

int untar_error(const struct untar *u) {
  return u->error;
}
