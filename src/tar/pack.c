/* pack.c: tar.pack(entries, options) -> a reader: read() -> bytes (at most LIMIT_TAR_BLOCK) | nil at the end | nil, err
**
** entries is a list of tables, or a function that gives the next one each time it is called, nil at the end, or nil
** and an error. (It may yield: no frame of libarchive is below it.) An entry is one of
**
**     { path = "conf/app.toml", name = "app.toml" }  a file or link of this machine; name: its last part when not given
**     { path = "src", name = "app/src" }             a folder and all that is in it; without name only what is in it,
**                                                    by names that begin there. filter = function(name, type): false
**                                                    leaves it out, with all that is in it; "inside" leaves the folder
**                                                    out and asks for what is in it. follow = true: path may be a link
**     { name = "VERSION", data = "1.4\n" }
**     { name = "logs", type = "folder" }             "symlink" and "hardlink" have link = "target"
**
** and has mode, uid, gid, mtime (seconds), each of which wins over the options' and those of the machine. Options: uid,
** gid, mtime, for all entries. Names are bytes: what the file system calls a file is what the archive calls it.
**
** Files are read piece by piece while the archive is read; their times are cut to whole seconds, as docker's are. A
** file that grows is sent as long as it was; one that has become shorter, or can't be read, ends the archive with an
** error that names it: a quiet gap would be worse. Several names of one file are sent as hard links. Sockets are passed
** by, as docker passes them by; other devices and fifos are sent as such.
**
** libarchive's callback appends to `out`, and is called only from functions that touch no Lua. */

#include "pack.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../limits.h"

static void pack_free(struct pack *p) {
  if (p->archive) archive_write_free(p->archive);
  if (p->entry) archive_entry_free(p->entry);
  if (p->plain) freelocale(p->plain);
  p->plain = (locale_t)0;
  if (p->fd >= 0) close(p->fd);
  p->archive = NULL;
  p->entry = NULL;
  p->fd = -1;
  free(p->piece);
  p->piece = NULL;
  buf_free(&p->out);
  walk_free(&p->walk);
}

/* ---- failures ---- */

int pack_fail(lua_State *L, struct pack *p) {
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, OF_ERROR);
  pack_free(p);
  p->state = PACK_FAILED;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

int pack_fail_about(lua_State *L, struct pack *p, enum lx_kind kind, const char *subject, const char *format, ...) {
  struct lx_about about = {.op = "tar.pack"};
  va_list args;
  lx_pushexcerpt(L, subject, strlen(subject));
  about.subject = lua_tostring(L, -1);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lx_pusherror(L, kind, &about);
  return pack_fail(L, p);
}

int pack_fail_errno(lua_State *L, struct pack *p, const char *subject, int error) {
  if (error == ENOMEM) return luaL_error(L, "not enough memory");
  return pack_fail_about(L, p, tar_kind(error), subject, "%s", strerror(error));
}

int pack_fail_archive(lua_State *L, struct pack *p) {
  const char *text = archive_error_string(p->archive), *name = archive_entry_pathname(p->entry);
  if (archive_errno(p->archive) == ENOMEM) return luaL_error(L, "not enough memory");
  return pack_fail_about(L, p, KIND_INVALID, name ? name : "", "%s", text ? text : "it can't be put into an archive");
}

/* ---- libarchive: no Lua here ---- */

static la_ssize_t on_bytes(struct archive *a, void *context, const void *bytes, size_t count) {
  struct pack *p = context;
  if (buf_append(&p->out, bytes, count) == BUF_OK) return (la_ssize_t)count;
  archive_set_error(a, ENOMEM, "no memory");
  return -1;
}

static int start(struct pack *p) {
  p->entry = archive_entry_new();
  p->archive = archive_write_new();
  p->piece = malloc(LIMIT_TAR_BLOCK);
  p->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!p->entry || !p->archive || !p->piece || !p->plain) return -1;
  if (archive_write_set_format_pax_restricted(p->archive) != ARCHIVE_OK ||
      archive_write_set_options(p->archive, "xattrheader=SCHILY") != ARCHIVE_OK ||
      archive_write_set_bytes_per_block(p->archive, 0) != ARCHIVE_OK ||
      archive_write_open(p->archive, p, NULL, on_bytes, NULL) != ARCHIVE_OK) {
    return -1;
  }
  return 0;
}

/* ---- bodies ---- */

/* At most so much of the body that `out` is full. Answers 0, or what read() returns. */
static int more_body(lua_State *L, struct pack *p) {
  size_t count = LIMIT_TAR_BLOCK - p->out.length;
  const char *bytes = p->data;
  if (count > p->left) count = p->left;
  if (p->fd >= 0) {
    ssize_t got;
    do got = read(p->fd, p->piece, count);
    while (got < 0 && errno == EINTR);
    if (got < 0) return pack_fail_errno(L, p, p->walk.path.data, errno);
    if (got == 0) return pack_fail_about(L, p, KIND_CONFLICT, p->walk.path.data, "it became shorter while it was read");
    bytes = p->piece;
    count = (size_t)got;
  }
  if (archive_write_data(p->archive, bytes, count) != (la_ssize_t)count) return pack_fail_archive(L, p);
  p->left -= count;
  if (p->data) p->data += count;
  if (p->left > 0) return 0;
  if (archive_write_finish_entry(p->archive) != ARCHIVE_OK) return pack_fail_archive(L, p);
  if (p->fd >= 0) close(p->fd);
  p->fd = -1;
  p->data = NULL;
  p->state = p->walking ? PACK_WALK : PACK_NEXT;
  return 0;
}

/* ---- read ---- */

/* All that there is, at most LIMIT_TAR_BLOCK bytes of it. */
static int hand_out(lua_State *L, struct pack *p) {
  size_t count = p->out.length < LIMIT_TAR_BLOCK ? p->out.length : LIMIT_TAR_BLOCK;
  if (count == 0) {
    pack_free(p);
    lua_pushnil(L);
    return 1;
  }
  lua_pushlstring(L, p->out.data, count);
  buf_consume(&p->out, count);
  return 1;
}

/* What the source's function said is at the top: two values, or an error that it raised. */
static int take_entry(lua_State *L, struct pack *p, int status) {
  p->busy = 0;
  if (status != LUA_OK && status != LUA_YIELD) {
    p->inside = 0;
    pack_fail(L, p);
    return lua_error(L);
  }
  if (p->state == PACK_CLOSED) return luaL_error(L, "tar.pack: closed while it was read");
  if (lua_isnil(L, -2) && !lua_isnil(L, -1)) return pack_fail(L, p);
  lua_pop(L, 1);
  p->index++;
  if (!lua_isnil(L, -1)) return pack_begin(L, p);
  p->state = PACK_END;
  return archive_write_close(p->archive) == ARCHIVE_OK ? 0 : pack_fail_archive(L, p);
}

static int go_on(lua_State *L, struct pack *p);

static int resumed(lua_State *L, int status, lua_KContext context) {
  struct pack *p = (struct pack *)context;
  int n = take_entry(L, p, status);
  if (n == 0) return go_on(L, p);
  p->inside = 0;
  return n;
}

/* The next entry of the source. Answers 0, or what read() returns. */
static int next_entry(lua_State *L, struct pack *p) {
  if (lua_getiuservalue(L, 1, OF_SOURCE) == LUA_TFUNCTION) {
    p->busy = 1;
    return take_entry(L, p, lua_pcallk(L, 0, 2, 0, (lua_KContext)p, resumed));
  }
  lua_rawgeti(L, -1, p->index + 1);
  lua_pushnil(L);
  return take_entry(L, p, LUA_OK);
}

static int go_on(lua_State *L, struct pack *p) {
  int n = 0;
  p->inside = 1;
  while (n == 0 && p->state != PACK_END && p->out.length < LIMIT_TAR_BLOCK) {
    lua_settop(L, 1);
    switch (p->state) {
      case PACK_NEXT: n = next_entry(L, p); break;
      case PACK_WALK: n = pack_walk_on(L, p); break;
      case PACK_BODY: n = more_body(L, p); break;
      case PACK_END:
      case PACK_FAILED:
      case PACK_CLOSED: break;
    }
  }
  if (n == 0) n = hand_out(L, p);
  p->inside = 0;
  return n;
}

static struct pack *check(lua_State *L) {
  struct pack *p = luaL_checkudata(L, 1, TAR_PACK_T);
  if (p->state == PACK_CLOSED) lx_misuse(L, "tar.pack: the archive is closed");
  if (p->busy) lx_misuse(L, "tar.pack: another task is reading the archive");
  if (p->inside) lx_misuse(L, "tar.pack: an error was raised while it was read");
  return p;
}

static int meth_read(lua_State *L) {
  struct pack *p = check(L);
  if (p->state == PACK_FAILED) {
    lua_pushnil(L);
    lua_getiuservalue(L, 1, OF_ERROR);
    return 2;
  }
  return go_on(L, p);
}

static int each_resumed(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  if (lua_isnil(L, -2) && !lua_isnil(L, -1)) return lua_error(L);
  lua_pop(L, 1);
  return 1;
}

/* For `for`: what read() gives, but errors are raised. */
static int meth_each(lua_State *L) {
  lua_settop(L, 1);
  lua_pushcfunction(L, meth_read);
  lua_insert(L, 1);
  lua_callk(L, 1, 2, 0, each_resumed);
  return each_resumed(L, LUA_OK, 0);
}

static int meth_close(lua_State *L) {
  struct pack *p = luaL_checkudata(L, 1, TAR_PACK_T);
  pack_free(p);
  p->state = PACK_CLOSED;
  return 0;
}

static int meth_tostring(lua_State *L) {
  static const char *const names[] = {"open", "open", "open", "at its end", "failed", "closed"};
  struct pack *p = luaL_checkudata(L, 1, TAR_PACK_T);
  lua_pushfstring(L, "archive being made (%s): %p", names[p->state], (void *)p);
  return 1;
}

int fn_pack(lua_State *L) {
  static const struct lx_option known[] = {
    {"uid", LX_INTEGER}, {"gid", LX_INTEGER}, {"mtime", LX_INTEGER}, {NULL, LX_ANY}
  };
  struct pack *p;
  lua_Integer i;
  lua_settop(L, 2);
  if (!lua_istable(L, 1) && !lua_isfunction(L, 1)) {
    lx_misuse(L, "tar.pack: table or function expected as argument 1, got %s", luaL_typename(L, 1));
  }
  lx_checkoptions(L, 2, "tar.pack", known);
  if (lua_istable(L, 1)) {
    for (i = 1; lua_rawgeti(L, 1, i) != LUA_TNIL; i++, lua_settop(L, 2)) pack_check_entry(L, 3, i);
    lua_settop(L, 2);
  }
  p = lua_newuserdatauv(L, sizeof *p, OF_COUNT);
  memset(p, 0, sizeof *p);
  p->state = PACK_CLOSED;
  p->fd = -1;
  buf_init(&p->out, 4 * LIMIT_TAR_BLOCK); /* a block, and a header with long names */
  walk_init(&p->walk);
  luaL_setmetatable(L, TAR_PACK_T);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, OF_SOURCE);
  pack_read_stamp(L, 2, "tar.pack", &p->all);
  if (start(p) != 0) return luaL_error(L, "tar.pack: not enough memory");
  p->state = PACK_NEXT;
  return 1;
}

void pack_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", meth_read}, {"close", meth_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__call", meth_each}, {"__gc", meth_close}, {"__close", meth_close}, {"__tostring", meth_tostring}, {NULL, NULL}
  };
  if (luaL_newmetatable(L, TAR_PACK_T)) {
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}
