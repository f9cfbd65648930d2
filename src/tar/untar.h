/* untar.h: libarchive's reader of tar archives, turned round: instead of asking for bytes from inside, it stops and
** says that it wants some.
**
** libarchive reads by a callback, from any depth, and cannot be left in the middle. A reader that is written in Lua may
** yield, which no callback can wait for. So libarchive runs on a thread of its own, in lock step with its owner: one of
** the two runs while the other waits. The owner asks (untar_next, untar_data, untar_extract) and is answered
** UNTAR_INPUT while bytes are wanted; it gets them however it likes, hands them over, and is answered again. Nothing
** else is shared, so there is nothing to race for, no Lua value is ever seen by the thread, and no Lua error can jump
** across a frame of libarchive. The thread is made with the first question and ends with untar_close, whatever it waits
** for.
**
** What is foreign here is parsed by libarchive; names are the bytes of the archive. Knows no Lua: spec/fuzz/fuzz_tar.c
** is its fuzz target. */

#ifndef DW_UNTAR_H
#define DW_UNTAR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct untar; /* opaque: pthread.h and libarchive stay in untar.c */

enum untar_says {
  UNTAR_INPUT,    /* untar_give, untar_ended or untar_close, please */
  UNTAR_ENTRY,    /* untar_next: there is an entry */
  UNTAR_BYTES,    /* untar_data: a piece of its contents */
  UNTAR_DONE,     /* untar_data: its contents are over; untar_extract: it is on the disk */
  UNTAR_END,      /* untar_next: no more entries */
  UNTAR_CUT,      /* the input ended too early */
  UNTAR_BROKEN,   /* what came is no tar archive: untar_message */
  UNTAR_FAILED    /* the disk refused: untar_message, untar_error */
};

/* An entry; its strings live until the next question. Behind untar_extract its name is the path on the disk. */
struct untar_entry {
  const char *name;      /* NULL: there is none */
  const char *link;      /* target of a symlink or hard link, else NULL */
  int hard;              /* link is a hard one */
  mode_t mode;           /* with the type, which is a file's for hard links */
  int64_t size, mtime, uid, gid;
};

enum { UNTAR_OWNER = 1 /* uid, gid too */, UNTAR_SETID = 2 /* setuid, setgid too */ };

struct untar *untar_open(void); /* NULL: no memory */
void untar_close(struct untar *u); /* NULL is allowed */

enum untar_says untar_next(struct untar *u);
enum untar_says untar_data(struct untar *u);
void untar_piece(const struct untar *u, const char **bytes, size_t *count); /* after UNTAR_BYTES */
/* Puts the entry on the disk as path; a hard link's target is `link` then, a symlink's stays what it is. */
enum untar_says untar_extract(struct untar *u, const char *path, const char *link, int flags);
/* At the end of an extraction: sets what waits till then (times and modes of folders). */
enum untar_says untar_settle(struct untar *u);

/* The answer to UNTAR_INPUT; the question is then answered further. The bytes have to stay until
** UNTAR_INPUT comes again, or untar_close. */
enum untar_says untar_give(struct untar *u, const char *bytes, size_t count);
enum untar_says untar_ended(struct untar *u);

const struct untar_entry *untar_entry(const struct untar *u);
const char *untar_message(const struct untar *u);
int untar_error(const struct untar *u); /* errno, 0 where libarchive has none */

#endif
