/* pack_entry.c: what goes into an archive that is being made, one entry or one folder after the other. pack.c tells
** what entries look like. Files are opened here and read there. */

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

#include "../limits.h"
#include "pack.h"

/* ---- headers: no Lua here ---- */

static lua_Integer or_else(int has, lua_Integer value, lua_Integer fallback) {
  return has ? value : fallback;
}

/* Fills p->entry from st, the options and the item. */
static void describe(struct pack *p, const char *name, const struct stat *st) {
  const struct stamp *one = &p->one, *all = &p->all;
  mode_t permissions = (mode_t)or_else(one->has_mode, one->mode, (lua_Integer)(st->st_mode & 07777));
  archive_entry_clear(p->entry);
  archive_entry_copy_pathname(p->entry, name);
  archive_entry_set_mode(p->entry, (st->st_mode & S_IFMT) | permissions);
  archive_entry_set_uid(p->entry, or_else(one->has_uid, one->uid, or_else(all->has_uid, all->uid, st->st_uid)));
  archive_entry_set_gid(p->entry, or_else(one->has_gid, one->gid, or_else(all->has_gid, all->gid, st->st_gid)));
  archive_entry_set_mtime(p->entry, (time_t)or_else(one->has_mtime, one->mtime,
                                                    or_else(all->has_mtime, all->mtime, st->st_mtime)), 0);
  archive_entry_set_size(p->entry, S_ISREG(st->st_mode) ? st->st_size : 0);
  if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) archive_entry_set_rdev(p->entry, st->st_rdev);
}

/* What makes a program more powerful than who calls it is kept, as docker keeps it. */
static void add_capability(struct pack *p, int fd) {
#ifdef __linux__
  char value[64];
  ssize_t length = fgetxattr(fd, "security.capability", value, sizeof value);
  if (length > 0) archive_entry_xattr_add_entry(p->entry, "security.capability", value, (size_t)length);
#else
  (void)p;
  (void)fd;
#endif
}

/* Writes the header; then, where there is no body, the entry is done. */
static int write_header(struct pack *p, size_t size) {
  locale_t before = uselocale(p->plain);
  int status = archive_write_header(p->archive, p->entry);
  uselocale(before);
  /* It warns of names that are not ASCII, when it has marked them as plain bytes. */
  if (status < ARCHIVE_WARN) return -1;
  p->left = size;
  if (size > 0) p->state = PACK_BODY;
  else p->state = p->walking ? PACK_WALK : PACK_NEXT;
  return 0;
}

/* ---- a thing of this machine ---- */

/* Is st a further name of a file that is in the archive? Pushes its first name, or nil after remembering this one. */
static void look_up_link(lua_State *L, struct pack *p, const struct stat *st, const char *name) {
  struct { dev_t device; ino_t number; } key;
  memset(&key, 0, sizeof key);
  key.device = st->st_dev;
  key.number = st->st_ino;
  if (lua_getiuservalue(L, 1, OF_LINKS) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, OF_LINKS);
  }
  lua_pushlstring(L, (const char *)&key, sizeof key);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) {
    lua_pushvalue(L, -2);
    lua_pushstring(L, name);
    lua_rawset(L, -5);
    p->linked++;
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* The file at path, of which st says that it is one. Answers 0, or what read() returns. */
static int add_file(lua_State *L, struct pack *p, const char *path, const char *name, struct stat *st, int follow) {
  /* Not blocking: it may have become a fifo. */
  int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW);
  p->fd = open(path, flags);
  if (p->fd < 0 && errno == ENOENT && p->walking) return 0; /* gone meanwhile */
  if (p->fd < 0 || fstat(p->fd, st) != 0) return pack_fail_errno(L, p, path, errno);
  if (!S_ISREG(st->st_mode)) return pack_fail_about(L, p, KIND_INVALID, path, "it was a file, and is none any more");
  describe(p, name, st);
  if (st->st_mode & 0111) add_capability(p, p->fd);
  if (write_header(p, (size_t)st->st_size) != 0) return pack_fail_archive(L, p);
  if (p->left == 0) {
    close(p->fd);
    p->fd = -1;
  }
  return 0;
}

/* The link at path. Answers 0, or what read() returns. */
static int add_symlink(lua_State *L, struct pack *p, const char *path, const char *name, const struct stat *st) {
  ssize_t length = readlink(path, p->piece, LIMIT_TAR_NAME + 1);
  if (length < 0 && errno == ENOENT && p->walking) return 0;
  if (length < 0) return pack_fail_errno(L, p, path, errno);
  if (length > LIMIT_TAR_NAME) {
    return pack_fail_about(L, p, KIND_TOO_LARGE, path, "its target is longer than LIMIT_TAR_NAME allows");
  }
  p->piece[length] = '\0';
  describe(p, name, st);
  archive_entry_copy_symlink(p->entry, p->piece);
  return write_header(p, 0) == 0 ? 0 : pack_fail_archive(L, p);
}

/* Answers 0, or what read() returns. */
static int add_found(lua_State *L, struct pack *p, const char *path, const char *name, struct stat *st, int follow) {
  if (S_ISSOCK(st->st_mode)) return 0;
  if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
    if (p->linked >= LIMIT_TAR_LINKS) {
      return pack_fail_about(L, p, KIND_TOO_LARGE, path, "more files with several names than LIMIT_TAR_LINKS allows");
    }
    look_up_link(L, p, st, name);
    if (!lua_isnil(L, -1)) {
      describe(p, name, st);
      archive_entry_set_size(p->entry, 0);
      archive_entry_copy_hardlink(p->entry, lua_tostring(L, -1));
      lua_pop(L, 1);
      return write_header(p, 0) == 0 ? 0 : pack_fail_archive(L, p);
    }
    lua_pop(L, 1);
  }
  if (S_ISREG(st->st_mode)) return add_file(L, p, path, name, st, follow);
  if (S_ISLNK(st->st_mode)) return add_symlink(L, p, path, name, st);
  describe(p, name, st);
  return write_header(p, 0) == 0 ? 0 : pack_fail_archive(L, p);
}

static int fail_walk(lua_State *L, struct pack *p, enum walk_status status) {
  struct walk *w = &p->walk;
  switch (status) {
    case WALK_FAILED: return pack_fail_errno(L, p, w->path.data, w->error);
    case WALK_LONG:
      lua_pushlstring(L, w->path.data, w->path.length);
      return pack_fail_about(L, p, KIND_TOO_LARGE, lua_tostring(L, -1), "what is in there has a path longer than "
                        "LIMIT_TAR_NAME allows");
    case WALK_CROWDED:
      return pack_fail_about(L, p, KIND_TOO_LARGE, w->path.data, "more names in it than LIMIT_TAR_FOLDER allows");
    case WALK_NO_MEMORY: return luaL_error(L, "not enough memory");
    case WALK_FOUND:
    case WALK_END: break;
  }
  return luaL_error(L, "tar.pack: no failure");
}

enum choice { CHOICE_TAKE, CHOICE_LEAVE, CHOICE_INSIDE };

/* What the item's filter says of the thing that the walk has found. It may raise; it cannot yield. */
static enum choice ask_filter(lua_State *L, struct pack *p) {
  enum choice choice = CHOICE_TAKE;
  lua_getiuservalue(L, 1, OF_ITEM);
  if (lx_option(L, -1, "filter") == LUA_TFUNCTION) {
    lua_pushlstring(L, p->walk.name.data + p->prefix, p->walk.name.length - p->prefix);
    lua_pushstring(L, tar_type_name(p->walk.st.st_mode));
    lua_call(L, 2, 1);
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "inside") == 0) choice = CHOICE_INSIDE;
    else if (!lua_toboolean(L, -1)) choice = CHOICE_LEAVE;
  }
  lua_pop(L, 2);
  return choice;
}

/* The next thing of the walk. Answers 0, or what read() returns. */
int pack_walk_on(lua_State *L, struct pack *p) {
  struct walk *w = &p->walk;
  enum walk_status status = walk_next(w);
  enum choice choice;
  if (status == WALK_END) {
    p->walking = 0;
    p->state = PACK_NEXT;
    return 0;
  }
  if (status != WALK_FOUND) return fail_walk(L, p, status);
  choice = ask_filter(L, p);
  if (choice == CHOICE_LEAVE || (choice == CHOICE_INSIDE && !S_ISDIR(w->st.st_mode))) return 0;
  if (choice == CHOICE_TAKE) {
    int n = add_found(L, p, w->path.data, w->name.data, &w->st, 0);
    if (n) return n;
  }
  if (S_ISDIR(w->st.st_mode)) {
    status = walk_enter(w);
    if (status != WALK_FOUND) return fail_walk(L, p, status);
  }
  return 0;
}

/* ---- entries of the source ---- */

static const struct lx_option entry_fields[] = {
  {"name", LX_STRING}, {"path", LX_STRING}, {"data", LX_BYTES}, {"type", LX_STRING}, {"link", LX_STRING},
  {"mode", LX_INTEGER}, {"uid", LX_INTEGER}, {"gid", LX_INTEGER}, {"mtime", LX_INTEGER}, {"filter", LX_FUNCTION},
  {"follow", LX_BOOLEAN}, {NULL, LX_ANY}
};

static int has(lua_State *L, int arg, const char *name) {
  int type = lx_option(L, arg, name);
  lua_pop(L, 1);
  return type != LUA_TNIL;
}

static int is_link(const char *type) {
  return strcmp(type, "symlink") == 0 || strcmp(type, "hardlink") == 0;
}

static void check_numbers(lua_State *L, int arg, const char *op) {
  static const char *const names[] = {"mode", "uid", "gid", NULL};
  size_t i;
  for (i = 0; names[i]; i++) {
    lua_Integer value = lx_option_integer(L, arg, names[i], 0);
    if (value < 0 || value > (i == 0 ? 07777 : (lua_Integer)UINT32_MAX)) {
      lx_misuse(L, "%s: option '%s': %I is none", op, names[i], value);
    }
  }
}

/* Is the table at arg an entry? Raises where it is none. */
void pack_check_entry(lua_State *L, int arg, lua_Integer index) {
  const char *op, *type, *name, *link, *bad;
  size_t length;
  int path, data;
  lua_pushfstring(L, "tar.pack: entry %I", index);
  op = lua_tostring(L, -1); /* stays on the stack while it is used */
  if (!lua_istable(L, arg)) lx_misuse(L, "%s: table expected, got %s", op, luaL_typename(L, arg));
  lx_checkoptions(L, arg, op, entry_fields);
  path = has(L, arg, "path");
  data = has(L, arg, "data");
  type = lx_option_string(L, arg, "type", NULL);
  if (path + data + (type != NULL) != 1) lx_misuse(L, "%s: one of 'path', 'data' and 'type' expected", op);
  if (type && strcmp(type, "folder") != 0 && !is_link(type)) {
    lx_misuse(L, "%s: option 'type': \"folder\", \"symlink\" or \"hardlink\" expected, got \"%s\"", op, type);
  }
  if (has(L, arg, "link") != (type && is_link(type))) {
    lx_misuse(L, "%s: option 'link': wanted for links, and for nothing else", op);
  }
  name = lx_option_string(L, arg, "name", &length);
  if (!name && !path) lx_misuse(L, "%s: option 'name' is missing", op);
  bad = name ? tar_bad_name(name, length) : NULL;
  if (bad) lx_misuse(L, "%s: option 'name': it %s", op, bad);
  link = lx_option_string(L, arg, "link", &length);
  if (link && length == 0) lx_misuse(L, "%s: option 'link': it is empty", op);
  if (link && length > LIMIT_TAR_NAME) lx_misuse(L, "%s: option 'link': longer than LIMIT_TAR_NAME allows", op);
  check_numbers(L, arg, op);
  lua_pop(L, 1);
}

void pack_read_stamp(lua_State *L, int arg, const char *op, struct stamp *s) {
  check_numbers(L, arg, op);
  memset(s, 0, sizeof *s);
  s->has_uid = has(L, arg, "uid");
  s->uid = lx_option_integer(L, arg, "uid", 0);
  s->has_gid = has(L, arg, "gid");
  s->gid = lx_option_integer(L, arg, "gid", 0);
  s->has_mtime = has(L, arg, "mtime");
  s->mtime = lx_option_integer(L, arg, "mtime", 0);
  s->has_mode = has(L, arg, "mode");
  s->mode = lx_option_integer(L, arg, "mode", 0);
}

/* Pushes the last part of a path: "b" of "a/b/"; "" of "/", "." and "..". */
static const char *push_last(lua_State *L, const char *path) {
  size_t end = strlen(path), start;
  while (end > 0 && path[end - 1] == '/') end--;
  for (start = end; start > 0 && path[start - 1] != '/';) start--;
  lua_pushlstring(L, path + start, end - start);
  if (strcmp(lua_tostring(L, -1), ".") == 0 || strcmp(lua_tostring(L, -1), "..") == 0) {
    lua_pop(L, 1);
    lua_pushliteral(L, "");
  }
  return lua_tostring(L, -1);
}

/* The item at `item` is about the file system. */
static int begin_path(lua_State *L, struct pack *p, int item) {
  struct walk *w = &p->walk;
  const char *path = lx_option_string(L, item, "path", NULL), *name = lx_option_string(L, item, "name", NULL);
  int follow = lx_option_boolean(L, item, "follow", 0) || (*path && path[strlen(path) - 1] == '/');
  enum walk_status status = walk_root(w, path, name ? name : "", follow);
  int n = 0;
  if (status == WALK_LONG) {
    return pack_fail_about(L, p, KIND_TOO_LARGE, path, "the path or the name is longer than LIMIT_TAR_NAME allows");
  }
  if (status != WALK_FOUND) return fail_walk(L, p, status);
  if (!S_ISDIR(w->st.st_mode)) {
    if (S_ISSOCK(w->st.st_mode)) return pack_fail_about(L, p, KIND_INVALID, path, "an archive can't hold a socket");
    p->walking = 0;
    return add_found(L, p, path, name ? name : push_last(L, path), &w->st, follow);
  }
  p->prefix = name ? w->name.length + (w->name.data[w->name.length - 1] != '/') : 0;
  p->walking = 1;
  p->state = PACK_WALK;
  if (name) n = add_found(L, p, path, w->name.data, &w->st, follow);
  if (n) return n;
  status = walk_enter(w);
  return status == WALK_FOUND ? 0 : fail_walk(L, p, status);
}

/* The item at `item` says all by itself. */
static int begin_made(lua_State *L, struct pack *p, int item) {
  const char *name = lx_option_string(L, item, "name", NULL), *type = lx_option_string(L, item, "type", NULL);
  const char *link = lx_option_string(L, item, "link", NULL);
  size_t length;
  struct stat st;
  memset(&st, 0, sizeof st);
  st.st_mtime = time(NULL);
  p->data = lx_option_string(L, item, "data", &length);
  p->walking = 0;
  if (!type) st.st_mode = S_IFREG | 0644;
  else if (strcmp(type, "folder") == 0) st.st_mode = S_IFDIR | 0755;
  else if (strcmp(type, "symlink") == 0) st.st_mode = S_IFLNK | 0777;
  else st.st_mode = S_IFREG | 0644;
  st.st_size = (off_t)length;
  describe(p, name, &st);
  if (type && strcmp(type, "symlink") == 0) archive_entry_copy_symlink(p->entry, link);
  if (type && strcmp(type, "hardlink") == 0) archive_entry_copy_hardlink(p->entry, link);
  if (write_header(p, length) != 0) return pack_fail_archive(L, p);
  if (length == 0) p->data = NULL;
  return 0;
}

/* The item at the top, which it pops. Answers 0, or what read() returns. */
int pack_begin(lua_State *L, struct pack *p) {
  int item = lua_gettop(L);
  pack_check_entry(L, item, p->index);
  lua_pushvalue(L, item);
  lua_setiuservalue(L, 1, OF_ITEM);
  pack_read_stamp(L, item, "tar.pack", &p->one);
  return has(L, item, "path") ? begin_path(L, p, item) : begin_made(L, p, item);
}
