/* tar.h: what the files of docker_watcher.tar share. */

#ifndef DW_TAR_H
#define DW_TAR_H

#include <lua.h>
#include <sys/stat.h>

#include "../lx.h"

#define TAR_PACK_T "docker_watcher.tar.pack"     /* metatables */
#define TAR_UNPACK_T "docker_watcher.tar.unpack"

/* "file", "folder", "symlink", "fifo", "char", "block", "socket"; "unknown" for anything else. */
const char *tar_type_name(mode_t mode);
enum lx_kind tar_kind(int error); /* of a system call's errno */
/* A name that an archive may hold: not empty, not absolute, no ".." in it, at most LIMIT_TAR_NAME bytes. Answers NULL,
** or what is wrong with it. */
const char *tar_bad_name(const char *name, size_t length);

int fn_pack(lua_State *L);    /* tar.pack(entries, options) -> a reader */
int fn_unpack(lua_State *L);  /* tar.unpack(reader) -> an archive */
int fn_extract(lua_State *L); /* tar.extract(reader, folder, options) -> { files=, … } | nil, err */
void pack_open(lua_State *L); /* these create metatables, once */
void unpack_open(lua_State *L);

#endif
