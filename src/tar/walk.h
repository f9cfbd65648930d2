/* walk.h: a file or a folder with all that is in it, one thing after the other: a folder before its contents, names in
** the order of their bytes, so that the same folder always makes the same archive.
**
** Links are not followed, but for the root when asked. Only the names of the folders on the way down are held. What
** disappears between two looks was never there. No Lua. */

#ifndef DW_WALK_H
#define DW_WALK_H

#include <sys/stat.h>

#include "../buf.h"

enum walk_status {
  WALK_FOUND,     /* path, name and st are those of the next thing */
  WALK_END,
  WALK_FAILED,    /* error is errno, path is what it is about */
  WALK_LONG,      /* a path over LIMIT_TAR_NAME */
  WALK_CROWDED,   /* a folder over LIMIT_TAR_FOLDER */
  WALK_NO_MEMORY
};

struct walk_level {
  char **names;       /* sorted; each is an allocation of its own */
  size_t count, at;   /* at: the next one to look at */
  size_t path, name;  /* lengths of walk.path and walk.name without this level's names */
};

struct walk {
  struct buf path;    /* on this machine; NUL-terminated, the NUL not counted */
  struct buf name;    /* in the archive; likewise; empty for a root without a name of its own */
  struct stat st;
  int error;
  struct walk_level *levels;
  size_t depth, size;
};

void walk_init(struct walk *w);
void walk_free(struct walk *w); /* leaves an empty walk, as init does */
/* Finds the root. name may be "": then the names of a folder's contents have nothing in front. */
enum walk_status walk_root(struct walk *w, const char *path, const char *name, int follow);
/* The folder that was just found: its contents are next. Not called, the walk passes it by. */
enum walk_status walk_enter(struct walk *w); /* WALK_FOUND when all is well */
enum walk_status walk_next(struct walk *w);

#endif
