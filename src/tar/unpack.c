/* unpack.c: reading tar archives.
**
** tar.unpack(reader) -> an archive, to be used as
**
**     for entry in tar.unpack(reader) do                     -- raises what next() would return
**       print(entry.type, entry.name, entry.size)            -- mode, mtime, uid, gid; link of "symlink", "hardlink"
**       for bytes in function() return entry:read() end do … end
**     end
**
** next() -> entry | nil at the end | nil, err. entry:read() -> bytes (at most LIMIT_TAR_BLOCK) | nil at its end |
** nil, err, as long as it is the last entry that next() gave. What of it is not read is passed over. Names are as the
** archive has them: they may be absolute, or hold "..".
**
** tar.extract(reader, folder, options) -> { files=, folders=, links=, bytes=, skipped={ name, … } } | nil, err
**
** puts all of it into the folder, which is made where it is missing (its parent is not), and nothing anywhere else:
** absolute names, ".." and names that lead through a symbolic link are refused, and so are hard links to what is not in
** the folder. What is there already and is no folder is replaced. Modes and times are the archive's; setuid and setgid
** only with setid = true; owners only with owner = true; devices never (they are told in `skipped`). Options also:
** rename = function(name) -> name | nil (leave it out), max_bytes, max_entries. An error leaves what was extracted
** before.
**
** reader is a function or an object with read(), which gives bytes, nil at the end, or nil and an error; it may yield,
** since it is never called from inside libarchive (untar.h says how). It is read to its end, not closed. Compressed
** archives are not taken. */

#include <errno.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../limits.h"
#include "tar.h"
#include "untar.h"

enum unpack_state { UNPACK_OPEN, UNPACK_ENDED, UNPACK_FAILED, UNPACK_CLOSED };

enum { OF_READER = 1, OF_BLOCK /* keeps the input alive */, OF_ERROR, OF_ENTRY, OF_META /* of entries */,
       OF_SKIPPED, OF_RENAME, OF_FOLDER, OF_PATHS /* keep what untar_extract was given */, OF_COUNT = OF_PATHS };

enum doing { DOING_NEXT, DOING_DATA, DOING_EXTRACT_NEXT, DOING_EXTRACT_ENTRY, DOING_SETTLE };

struct unpack {
  enum unpack_state state;
  int busy;               /* the reader's function runs, or has yielded */
  int inside;             /* a method is at work, or was when something raised (no memory): not to be gone on with */
  enum doing doing;       /* what is asked of untar */
  const char *op;
  struct untar *untar;
  int draining;           /* behind the archive's end */
  size_t trailer;
  /* extract */
  int flags;
  lua_Integer max_bytes, max_entries; /* -1: as many as there are */
  lua_Integer entries, files, folders, links, bytes, skipped;
};

static void unpack_free(struct unpack *p) {
  untar_close(p->untar);
  p->untar = NULL;
}

/* ---- failures ---- */

/* The error at the top becomes the archive's, for good. Answers what the method returns. */
static int fail(lua_State *L, struct unpack *p) {
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, OF_ERROR);
  unpack_free(p);
  p->state = UNPACK_FAILED;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* About the entry or file `subject`, which may be any bytes, or NULL. */
static int fail_about(lua_State *L, struct unpack *p, enum lx_kind kind, const char *subject, const char *format, ...) {
  struct lx_about about = {.op = p->op};
  va_list args;
  if (subject) {
    lx_pushexcerpt(L, subject, strlen(subject));
    about.subject = lua_tostring(L, -1);
  }
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lx_pusherror(L, kind, &about);
  return fail(L, p);
}

/* untar says that it went wrong. */
static int fail_untar(lua_State *L, struct unpack *p, enum untar_says says) {
  const char *message = untar_message(p->untar);
  int error = untar_error(p->untar);
  if (says == UNTAR_CUT) {
    return fail_about(L, p, KIND_INTERRUPTED, untar_entry(p->untar)->name, "the archive ends too early");
  }
  if (says == UNTAR_BROKEN) {
    lx_pushexcerpt(L, message, strlen(message));
    return fail_about(L, p, KIND_PROTOCOL, untar_entry(p->untar)->name, "no tar archive, or a broken one: %s",
                      lua_tostring(L, -1));
  }
  if (error == ENOMEM) return luaL_error(L, "not enough memory");
  lx_pushexcerpt(L, message, strlen(message));
  return fail_about(L, p, tar_kind(error), untar_entry(p->untar)->name, "%s", lua_tostring(L, -1));
}

/* ---- what is extracted where ---- */

/* Pushes folder/name without "." and empty parts; answers whether anything but the folder is left. */
static int push_inside(lua_State *L, const char *name) {
  luaL_Buffer b;
  int any = 0;
  lua_getiuservalue(L, 1, OF_FOLDER);
  luaL_buffinit(L, &b);
  while (*name) {
    size_t length = strcspn(name, "/");
    if (length > 0 && !(length == 1 && *name == '.')) {
      luaL_addchar(&b, '/');
      luaL_addlstring(&b, name, length);
      any = 1;
    }
    name += length + (name[length] == '/');
  }
  luaL_pushresult(&b);
  lua_concat(L, 2);
  return any;
}

/* Pushes the name that the caller wants for it; answers 0 where it is to be left out. */
static int push_renamed(lua_State *L, struct unpack *p, const char *name) {
  if (lua_getiuservalue(L, 1, OF_RENAME) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    lua_pushstring(L, name);
    return 1;
  }
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  if (lua_type(L, -1) == LUA_TSTRING) return 1;
  if (!lua_toboolean(L, -1)) return 0;
  return luaL_error(L, "%s: rename: string or nil expected, got %s", p->op, luaL_typename(L, -1));
}

static void remember_skipped(lua_State *L, struct unpack *p, const char *name) {
  if (p->skipped >= LIMIT_TAR_SKIPPED) return;
  lua_getiuservalue(L, 1, OF_SKIPPED);
  lx_pushexcerpt(L, name, strlen(name));
  lua_rawseti(L, -2, ++p->skipped);
  lua_pop(L, 1);
}

/* Counts what was asked for. Answers 0, or what extract returns. */
static int count(lua_State *L, struct unpack *p, const struct untar_entry *e) {
  p->entries++;
  if (p->max_entries >= 0 && p->entries > p->max_entries) {
    return fail_about(L, p, KIND_TOO_LARGE, e->name, "more entries than max_entries, %I, allows", p->max_entries);
  }
  if (e->link) {
    p->links++;
    return 0;
  }
  if (S_ISDIR(e->mode)) p->folders++;
  else p->files++;
  if (p->max_bytes >= 0 && (e->size < 0 || e->size > p->max_bytes - p->bytes)) {
    return fail_about(L, p, KIND_TOO_LARGE, e->name, "more bytes than max_bytes, %I, allows", p->max_bytes);
  }
  p->bytes += e->size;
  return 0;
}

static int bad_name(lua_State *L, struct unpack *p, const char *what, const char *name) {
  const char *bad = tar_bad_name(name, strlen(name));
  return bad ? fail_about(L, p, KIND_INVALID, untar_entry(p->untar)->name, "not extracted: its %s %s", what, bad) : 0;
}

/* There is an entry. Answers 0 and the answer to the next question, or what extract returns. */
static int extract_entry(lua_State *L, struct unpack *p, enum untar_says *says) {
  const struct untar_entry *e = untar_entry(p->untar);
  const char *path, *link = NULL;
  int top = lua_gettop(L), n;
  *says = UNTAR_DONE;
  p->doing = DOING_EXTRACT_ENTRY;
  if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
    remember_skipped(L, p, e->name);
    return 0;
  }
  if (!push_renamed(L, p, e->name)) return 0;
  n = bad_name(L, p, "name", lua_tostring(L, -1));
  if (n) return n;
  lua_createtable(L, 2, 0); /* keeps both strings */
  if (!push_inside(L, lua_tostring(L, top + 1))) return 0; /* the folder itself stays as it is */
  path = lua_tostring(L, -1);
  lua_rawseti(L, top + 2, 1);
  if (e->hard) {
    if (!push_renamed(L, p, e->link)) {
      return fail_about(L, p, KIND_INVALID, e->name, "not extracted: what it is a hard link to is left out");
    }
    n = bad_name(L, p, "target", lua_tostring(L, -1));
    if (n) return n;
    push_inside(L, lua_tostring(L, -1));
    link = lua_tostring(L, -1);
    lua_rawseti(L, top + 2, 2);
  }
  /* Longer ones would make libarchive change the working directory. */
  if (strlen(path) >= LIMIT_TAR_NAME || (link && strlen(link) >= LIMIT_TAR_NAME)) {
    return fail_about(L, p, KIND_TOO_LARGE, e->name, "its path is longer than LIMIT_TAR_NAME allows");
  }
  n = count(L, p, e);
  if (n) return n;
  lua_pushvalue(L, top + 2);
  lua_setiuservalue(L, 1, OF_PATHS);
  *says = untar_extract(p->untar, path, link, p->flags);
  return 0;
}

static int push_result(lua_State *L, struct unpack *p) {
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, p->files);
  lua_setfield(L, -2, "files");
  lua_pushinteger(L, p->folders);
  lua_setfield(L, -2, "folders");
  lua_pushinteger(L, p->links);
  lua_setfield(L, -2, "links");
  lua_pushinteger(L, p->bytes);
  lua_setfield(L, -2, "bytes");
  lua_getiuservalue(L, 1, OF_SKIPPED);
  lua_setfield(L, -2, "skipped");
  return 1;
}

/* ---- answers ---- */

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static int push_entry(lua_State *L, const struct untar_entry *e) {
  lua_createtable(L, 0, 8);
  lua_pushstring(L, e->name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, e->hard ? "hardlink" : tar_type_name(e->mode));
  lua_setfield(L, -2, "type");
  if (e->link) {
    lua_pushstring(L, e->link);
    lua_setfield(L, -2, "link");
  }
  set_integer(L, "size", e->size);
  set_integer(L, "mode", (int64_t)(e->mode & 07777));
  set_integer(L, "mtime", e->mtime);
  set_integer(L, "uid", e->uid);
  set_integer(L, "gid", e->gid);
  lua_getiuservalue(L, 1, OF_META);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, OF_ENTRY);
  return 1;
}

/* The archive is over; so is its reader. */
static int ended(lua_State *L, struct unpack *p) {
  unpack_free(p);
  p->state = UNPACK_ENDED;
  if (p->doing == DOING_NEXT) {
    lua_pushnil(L);
    return 1;
  }
  return push_result(L, p);
}

/* untar has answered. Answers 0 where another answer is awaited, or what the method returns. */
static int answered(lua_State *L, struct unpack *p, enum untar_says *says) {
  const char *bytes;
  size_t length;
  switch (*says) {
    case UNTAR_ENTRY:
      if (p->doing == DOING_EXTRACT_NEXT) return extract_entry(L, p, says);
      return push_entry(L, untar_entry(p->untar));
    case UNTAR_BYTES:
      untar_piece(p->untar, &bytes, &length);
      lua_pushlstring(L, bytes, length);
      return 1;
    case UNTAR_DONE:
      if (p->doing == DOING_DATA) {
        lua_pushnil(L);
        return 1;
      }
      if (p->doing == DOING_EXTRACT_ENTRY) {
        p->doing = DOING_EXTRACT_NEXT;
        *says = untar_next(p->untar);
        return 0;
      }
      p->draining = 1; /* everything is on the disk */
      *says = UNTAR_INPUT;
      return 0;
    case UNTAR_END:
      if (p->doing == DOING_EXTRACT_NEXT) {
        p->doing = DOING_SETTLE;
        *says = untar_settle(p->untar);
        return 0;
      }
      p->draining = 1;
      *says = UNTAR_INPUT;
      return 0;
    case UNTAR_CUT:
    case UNTAR_BROKEN:
    case UNTAR_FAILED: return fail_untar(L, p, *says);
    case UNTAR_INPUT: break;
  }
  return 0;
}

/* ---- input ---- */

/* What the reader said is at the top: two values, or an error that it raised. Answers 0, or what the method returns. */
static int take_input(lua_State *L, struct unpack *p, int status, enum untar_says *says) {
  size_t length;
  const char *bytes;
  p->busy = 0;
  if (p->state == UNPACK_CLOSED) return luaL_error(L, "%s: closed while it was read", p->op);
  if (status != LUA_OK && status != LUA_YIELD) {
    fail(L, p);
    return lua_error(L);
  }
  if (lua_isnil(L, -2)) {
    if (!lua_isnil(L, -1)) return fail(L, p);
    if (p->draining) return ended(L, p);
    *says = untar_ended(p->untar);
    return 0;
  }
  if (lua_type(L, -2) != LUA_TSTRING) {
    luaL_where(L, 1);
    lua_pushfstring(L, "%s: reader: string or nil expected, got %s", p->op, luaL_typename(L, -3));
    lua_concat(L, 2);
    fail(L, p);
    return lua_error(L);
  }
  lua_pop(L, 1);
  bytes = lua_tolstring(L, -1, &length);
  *says = UNTAR_INPUT;
  if (p->draining) {
    p->trailer += length;
    if (p->trailer > LIMIT_TAR_TRAILER) {
      return fail_about(L, p, KIND_TOO_LARGE, NULL, "behind its end are more bytes than LIMIT_TAR_TRAILER allows");
    }
  } else if (length > 0) {
    lua_setiuservalue(L, 1, OF_BLOCK);
    *says = untar_give(p->untar, bytes, length);
  }
  return 0;
}

static int resumed(lua_State *L, int status, lua_KContext context);

/* Asks the reader. Answers 0, or what the method returns. */
static int more_input(lua_State *L, struct unpack *p, enum untar_says *says) {
  int arguments = 0;
  lua_settop(L, 1);
  if (lua_getiuservalue(L, 1, OF_READER) != LUA_TFUNCTION) {
    lua_getfield(L, -1, "read");
    lua_insert(L, -2);
    lua_pushinteger(L, LIMIT_TAR_BLOCK); /* for Lua's own files, which would give a line */
    arguments = 2;
  }
  p->busy = 1;
  return take_input(L, p, lua_pcallk(L, arguments, 2, 0, (lua_KContext)p, resumed), says);
}

/* Until there is something to return. The stack's first value is the archive. */
static int go_on(lua_State *L, struct unpack *p, enum untar_says says) {
  int n = 0;
  p->inside = 1;
  while (n == 0) n = says == UNTAR_INPUT ? more_input(L, p, &says) : answered(L, p, &says);
  p->inside = 0;
  return n;
}

static int resumed(lua_State *L, int status, lua_KContext context) {
  struct unpack *p = (struct unpack *)context;
  enum untar_says says;
  int n = take_input(L, p, status, &says);
  if (n == 0) return go_on(L, p, says);
  p->inside = 0;
  return n;
}

/* ---- methods ---- */

static struct unpack *check(lua_State *L) {
  struct unpack *p = luaL_checkudata(L, 1, TAR_UNPACK_T);
  if (p->state == UNPACK_CLOSED) lx_misuse(L, "tar.unpack: the archive is closed");
  if (p->busy) lx_misuse(L, "tar.unpack: another task is reading the archive");
  if (p->inside && p->state == UNPACK_OPEN) lx_misuse(L, "tar.unpack: an error was raised while it was read");
  return p;
}

/* Of an archive that is over or has failed: what its methods return. */
static int over(lua_State *L) {
  lua_pushnil(L);
  lua_getiuservalue(L, 1, OF_ERROR);
  return 2;
}

static int meth_next(lua_State *L) {
  struct unpack *p = check(L);
  if (p->state != UNPACK_OPEN) return over(L);
  lua_settop(L, 1);
  p->doing = DOING_NEXT;
  return go_on(L, p, untar_next(p->untar));
}

/* entry:read(), a closure over the archive. */
static int entry_read(lua_State *L) {
  struct unpack *p;
  int current;
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1); /* archive, entry */
  p = check(L);
  lua_getiuservalue(L, 1, OF_ENTRY);
  current = lua_rawequal(L, -1, 2);
  if (!current) lx_misuse(L, "tar.unpack: the archive has gone on from this entry");
  if (p->state != UNPACK_OPEN) return over(L);
  lua_settop(L, 1);
  p->doing = DOING_DATA;
  return go_on(L, p, untar_data(p->untar));
}

static int each_resumed(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  if (lua_isnil(L, -2) && !lua_isnil(L, -1)) return lua_error(L);
  lua_pop(L, 1);
  return 1;
}

/* For `for`: what next() gives, but errors are raised. */
static int meth_each(lua_State *L) {
  lua_settop(L, 1);
  lua_pushcfunction(L, meth_next);
  lua_insert(L, 1);
  lua_callk(L, 1, 2, 0, each_resumed);
  return each_resumed(L, LUA_OK, 0);
}

static int meth_close(lua_State *L) {
  struct unpack *p = luaL_checkudata(L, 1, TAR_UNPACK_T);
  unpack_free(p);
  p->state = UNPACK_CLOSED;
  return 0;
}

static int meth_tostring(lua_State *L) {
  static const char *const names[] = {"open", "at its end", "failed", "closed"};
  struct unpack *p = luaL_checkudata(L, 1, TAR_UNPACK_T);
  lua_pushfstring(L, "archive being read (%s): %p", names[p->state], (void *)p);
  return 1;
}

/* ---- functions ---- */

static void check_reader(lua_State *L, int arg, const char *op) {
  int type = lua_type(L, arg), good = type == LUA_TFUNCTION, indexed = type == LUA_TTABLE;
  if (type == LUA_TUSERDATA && luaL_getmetafield(L, arg, "__index") != LUA_TNIL) {
    indexed = 1;
    lua_pop(L, 1);
  }
  if (indexed) {
    good = lua_getfield(L, arg, "read") == LUA_TFUNCTION;
    lua_pop(L, 1);
  }
  if (!good) lx_misuse(L, "%s: reader: function or object with read() expected, got %s", op, luaL_typename(L, arg));
}

/* Pushes an archive that reads from what is at index 1. */
static struct unpack *push_archive(lua_State *L, const char *op) {
  struct unpack *p = lua_newuserdatauv(L, sizeof *p, OF_COUNT);
  memset(p, 0, sizeof *p);
  p->state = UNPACK_CLOSED;
  p->op = op;
  luaL_setmetatable(L, TAR_UNPACK_T);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, OF_READER);
  p->untar = untar_open();
  if (!p->untar) luaL_error(L, "not enough memory");
  p->state = UNPACK_OPEN;
  return p;
}

int fn_unpack(lua_State *L) {
  lua_settop(L, 1);
  check_reader(L, 1, "tar.unpack");
  push_archive(L, "tar.unpack");
  lua_createtable(L, 0, 1); /* the metatable of its entries */
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, entry_read, 1);
  lua_setfield(L, -2, "read");
  lua_setfield(L, -2, "__index");
  lua_setiuservalue(L, 2, OF_META);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 2); /* what a for loop closes */
  return 4;
}

/* Pushes the folder's real path: the checks for symbolic links look at every part of what libarchive is given.
** Answers 0, or errno. */
static int push_folder(lua_State *L, const char *folder) {
  char real[LIMIT_TAR_NAME + 1]; /* PATH_MAX at least */
  struct stat st;
  if (mkdir(folder, 0777) != 0 && errno != EEXIST) return errno;
  if (!realpath(folder, real) || stat(real, &st) != 0) return errno;
  if (!S_ISDIR(st.st_mode)) return ENOTDIR;
  lua_pushstring(L, strcmp(real, "/") == 0 ? "" : real);
  return 0;
}

int fn_extract(lua_State *L) {
  static const struct lx_option known[] = {
    {"setid", LX_BOOLEAN}, {"owner", LX_BOOLEAN}, {"rename", LX_FUNCTION}, {"max_bytes", LX_INTEGER},
    {"max_entries", LX_INTEGER}, {NULL, LX_ANY}
  };
  struct unpack *p;
  const char *folder;
  size_t length;
  int error;
  lua_settop(L, 3);
  check_reader(L, 1, "tar.extract");
  if (lua_type(L, 2) != LUA_TSTRING) {
    lx_misuse(L, "tar.extract: folder: string expected, got %s", luaL_typename(L, 2));
  }
  folder = lua_tolstring(L, 2, &length);
  if (length == 0 || memchr(folder, '\0', length)) lx_misuse(L, "tar.extract: folder: no such name can be");
  lx_checkoptions(L, 3, "tar.extract", known);
  p = push_archive(L, "tar.extract");
  p->max_bytes = lx_option_integer(L, 3, "max_bytes", -1);
  p->max_entries = lx_option_integer(L, 3, "max_entries", -1);
  p->flags = (lx_option_boolean(L, 3, "owner", 0) ? UNTAR_OWNER : 0) |
             (lx_option_boolean(L, 3, "setid", 0) ? UNTAR_SETID : 0);
  lx_option(L, 3, "rename");
  lua_setiuservalue(L, 4, OF_RENAME);
  lua_newtable(L);
  lua_setiuservalue(L, 4, OF_SKIPPED);
  lua_insert(L, 1); /* the archive; behind it reader, folder, options */
  error = push_folder(L, folder);
  if (error) return fail_about(L, p, tar_kind(error), folder, "%s", strerror(error));
  lua_setiuservalue(L, 1, OF_FOLDER);
  lua_settop(L, 1);
  p->doing = DOING_EXTRACT_NEXT;
  return go_on(L, p, untar_next(p->untar));
}

void unpack_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"next", meth_next}, {"close", meth_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__call", meth_each}, {"__gc", meth_close}, {"__close", meth_close}, {"__tostring", meth_tostring}, {NULL, NULL}
  };
  if (luaL_newmetatable(L, TAR_UNPACK_T)) {
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}
