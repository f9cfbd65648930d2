/* tar.c: docker_watcher.tar, tar archives as streams. A module of its own, so that libarchive is loaded by those who
** build, copy or extract, and by nobody else.
**
**     local reader = tar.pack{ { path = "src" }, { name = "VERSION", data = "1.4\n" } }   -- reader:read() -> bytes
**     for entry in tar.unpack(reader) do print(entry.type, entry.name, entry.size) end
**     local done, err = tar.extract(reader, "/tmp/there")
**     local what, err = tar.stat("src")      -- { type=, size=, mode=, mtime=, link=true|false, real="/home/…/src" }
**
** None of them ever holds a whole archive, or a whole file, in memory. */

#include "tar.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "../limits.h"

const char *tar_type_name(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "folder";
    case S_IFLNK: return "symlink";
    case S_IFIFO: return "fifo";
    case S_IFCHR: return "char";
    case S_IFBLK: return "block";
    case S_IFSOCK: return "socket";
    default: return "unknown";
  }
}

enum lx_kind tar_kind(int error) {
  switch (error) {
    case ENOENT: return KIND_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return KIND_FORBIDDEN;
    case EEXIST:
    case EISDIR:
    case ENOTEMPTY: return KIND_CONFLICT;
    default: return KIND_INVALID;
  }
}

const char *tar_bad_name(const char *name, size_t length) {
  size_t at = 0, end;
  if (length == 0) return "is empty";
  if (length > LIMIT_TAR_NAME) return "is longer than LIMIT_TAR_NAME allows";
  if (memchr(name, '\0', length)) return "holds a NUL byte";
  if (name[0] == '/') return "is absolute";
  for (; at < length; at = end + 1) {
    for (end = at; end < length && name[end] != '/';) end++;
    if (end - at == 2 && name[at] == '.' && name[at + 1] == '.') return "holds '..'";
  }
  return NULL;
}

/* tar.stat(path) -> what it leads to, links followed; link tells whether it is one itself. One that leads nowhere is of
** type "symlink", and has no real. */
static int fn_stat(lua_State *L) {
  char real[LIMIT_TAR_NAME + 1]; /* PATH_MAX at least */
  struct lx_about about = {.op = "tar.stat"};
  struct stat self, st;
  const char *path, *found;
  size_t length;
  if (lua_type(L, 1) != LUA_TSTRING) lx_misuse(L, "tar.stat: path: string expected, got %s", luaL_typename(L, 1));
  path = lua_tolstring(L, 1, &length);
  if (memchr(path, '\0', length)) lx_misuse(L, "tar.stat: path: holds a NUL byte");
  if (lstat(path, &self) != 0) {
    int error = errno;
    lx_pushexcerpt(L, path, length);
    about.subject = lua_tostring(L, -1);
    return lx_fail(L, tar_kind(error), &about, "%s", strerror(error));
  }
  found = stat(path, &st) == 0 ? realpath(path, real) : NULL;
  if (!found) st = self;
  lua_createtable(L, 0, 6);
  lua_pushstring(L, tar_type_name(st.st_mode));
  lua_setfield(L, -2, "type");
  lua_pushinteger(L, st.st_size);
  lua_setfield(L, -2, "size");
  lua_pushinteger(L, st.st_mode & 07777);
  lua_setfield(L, -2, "mode");
  lua_pushinteger(L, st.st_mtime);
  lua_setfield(L, -2, "mtime");
  lua_pushboolean(L, S_ISLNK(self.st_mode));
  lua_setfield(L, -2, "link");
  lua_pushstring(L, found);
  lua_setfield(L, -2, "real");
  return 1;
}

int luaopen_docker_watcher_tar(lua_State *L);

int luaopen_docker_watcher_tar(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"pack", fn_pack}, {"unpack", fn_unpack}, {"extract", fn_extract}, {"stat", fn_stat}, {NULL, NULL}
  };
  luaL_checkversion(L);
  lx_open_errors(L);
  pack_open(L);
  unpack_open(L);
  luaL_newlib(L, functions);
  return 1;
}
