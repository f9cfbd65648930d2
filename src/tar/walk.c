/* walk.c: see walk.h. */

#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../limits.h"

void walk_init(struct walk *w) {
  memset(w, 0, sizeof *w);
  buf_init(&w->path, LIMIT_TAR_NAME);
  buf_init(&w->name, LIMIT_TAR_NAME);
}

static void level_free(struct walk_level *l) {
  size_t i;
  for (i = 0; i < l->count; i++) free(l->names[i]);
  free(l->names);
}

void walk_free(struct walk *w) {
  while (w->depth > 0) level_free(&w->levels[--w->depth]);
  free(w->levels);
  buf_free(&w->path);
  buf_free(&w->name);
  walk_init(w);
}

static enum walk_status of_buf(int status) {
  return status == BUF_OK ? WALK_FOUND : status == BUF_FULL ? WALK_LONG : WALK_NO_MEMORY;
}

/* b = its first `keep` bytes, '/' where one is wanted between, and text. */
static enum walk_status put(struct buf *b, size_t keep, const char *text) {
  int status = BUF_OK;
  b->length = keep;
  if (keep > 0 && b->data[keep - 1] != '/') status = buf_putc(b, '/');
  if (status == BUF_OK) status = buf_append(b, text, strlen(text) + 1);
  if (status == BUF_OK) b->length--;
  return of_buf(status);
}

static enum walk_status failed(struct walk *w) {
  w->error = errno;
  return WALK_FAILED;
}

enum walk_status walk_root(struct walk *w, const char *path, const char *name, int follow) {
  enum walk_status status;
  walk_free(w);
  status = put(&w->path, 0, path);
  if (status == WALK_FOUND) status = put(&w->name, 0, name);
  if (status != WALK_FOUND) return status;
  if ((follow ? stat(path, &w->st) : lstat(path, &w->st)) != 0) return failed(w);
  return WALK_FOUND;
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in an open folder. What was gathered stays in l, whatever the answer. */
static enum walk_status gather(struct walk *w, struct walk_level *l, DIR *folder) {
  size_t size = 0;
  struct dirent *d;
  for (;;) {
    errno = 0;
    d = readdir(folder);
    if (!d) return errno ? failed(w) : WALK_FOUND;
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
    if (l->count == LIMIT_TAR_FOLDER) return WALK_CROWDED;
    if (l->count == size) {
      char **names;
      size = size ? size * 2 : 16;
      names = realloc(l->names, size * sizeof *names);
      if (!names) return WALK_NO_MEMORY;
      l->names = names;
    }
    l->names[l->count] = strdup(d->d_name);
    if (!l->names[l->count]) return WALK_NO_MEMORY;
    l->count++;
  }
}

enum walk_status walk_enter(struct walk *w) {
  enum walk_status status;
  struct walk_level *l;
  DIR *folder;
  if (w->depth == w->size) {
    size_t size = w->size ? w->size * 2 : 8;
    l = realloc(w->levels, size * sizeof *l);
    if (!l) return WALK_NO_MEMORY;
    w->levels = l;
    w->size = size;
  }
  folder = opendir(w->path.data);
  if (!folder) return errno == ENOENT ? WALK_FOUND : failed(w);
  l = &w->levels[w->depth++];
  memset(l, 0, sizeof *l);
  l->path = w->path.length;
  l->name = w->name.length;
  status = gather(w, l, folder);
  closedir(folder);
  if (status == WALK_FOUND && l->count > 1) qsort(l->names, l->count, sizeof *l->names, by_bytes);
  return status;
}

enum walk_status walk_next(struct walk *w) {
  while (w->depth > 0) {
    struct walk_level *l = &w->levels[w->depth - 1];
    enum walk_status status;
    const char *text;
    if (l->at == l->count) {
      level_free(l);
      w->depth--;
      continue;
    }
    text = l->names[l->at++];
    status = put(&w->path, l->path, text);
    if (status == WALK_FOUND) status = put(&w->name, l->name, text);
    if (status != WALK_FOUND) return status;
    if (lstat(w->path.data, &w->st) == 0) return WALK_FOUND;
    if (errno != ENOENT) return failed(w);
  }
  return WALK_END;
}
