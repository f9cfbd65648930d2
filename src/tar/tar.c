/* tar.c: docker_watcher.tar, tar archives as streams. A module of its own, so that libarchive is loaded by those who
** build, copy or extract, and by nobody else.
**
**     local reader = tar.pack{ { path = "src" }, { name = "VERSION", data = "1.4\n" } }   -- reader:read() -> bytes
**     for entry in tar.unpack(reader) do print(entry.type, entry.name, entry.size) end
**     local done, err = tar.extract(reader, "/tmp/there")
**
** None of them ever holds a whole archive, or a whole file, in memory. */

#include "tar.h"

#include <errno.h>
#include <lauxlib.h>
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

int luaopen_docker_watcher_tar(lua_State *L);

int luaopen_docker_watcher_tar(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"pack", fn_pack}, {"unpack", fn_unpack}, {"extract", fn_extract}, {NULL, NULL}
  };
  luaL_checkversion(L);
  lx_open_errors(L);
  pack_open(L);
  unpack_open(L);
  luaL_newlib(L, functions);
  return 1;
}
