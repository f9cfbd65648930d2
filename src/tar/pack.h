/* pack.h: an archive being made: pack.c reads it out, pack_entry.c puts entries in. */

#ifndef DW_PACK_H
#define DW_PACK_H

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

#include "../buf.h"
#include "tar.h"
#include "walk.h"

enum pack_state {
  PACK_NEXT,   /* the next entry of the source is wanted */
  PACK_WALK,   /* the next thing in a folder is wanted */
  PACK_BODY,   /* the contents of an entry are under way */
  PACK_END,    /* all is in `out` */
  PACK_FAILED, /* with the error in the uservalue */
  PACK_CLOSED
};

enum { OF_SOURCE = 1, OF_ITEM, OF_LINKS, OF_ERROR, OF_COUNT = OF_ERROR }; /* uservalues */

/* Owner and time, where they are given: of the options, or of an entry. */
struct stamp {
  int has_uid, has_gid, has_mtime, has_mode;
  lua_Integer uid, gid, mtime, mode;
};

struct pack {
  enum pack_state state;
  int busy;             /* the source's function runs, or has yielded */
  int inside;           /* read() is at work, or was when something raised: not to be gone on with */
  struct archive *archive;
  struct archive_entry *entry;
  locale_t plain;       /* "C": in it libarchive leaves the bytes of names as they are */
  struct buf out;       /* what libarchive has made and nobody has read */
  char *piece;          /* LIMIT_TAR_BLOCK bytes for what is read from files */
  struct stamp all, one;
  lua_Integer index;    /* of the last entry taken from a list */
  size_t linked;        /* files with several names that OF_LINKS knows */
  struct walk walk;
  size_t prefix;        /* bytes of walk.name before the names that a filter sees */
  int walking;          /* behind this entry the walk goes on */
  int fd;               /* PACK_BODY of a file; else -1 */
  const char *data;     /* PACK_BODY of a string, which OF_ITEM holds; else NULL */
  size_t left;          /* bytes of the body still to come */
};

/* Failures. All answer what read() returns, and are for good. */
int pack_fail(lua_State *L, struct pack *p); /* with the error at the top */
/* About the file or entry `subject`, which may be any bytes. */
int pack_fail_about(lua_State *L, struct pack *p, enum lx_kind kind, const char *subject, const char *format, ...);
int pack_fail_errno(lua_State *L, struct pack *p, const char *subject, int error);
int pack_fail_archive(lua_State *L, struct pack *p); /* libarchive refuses p->entry */

/* Entries. Those that answer an int answer 0, or what read() returns; the archive is at the stack's index 1. */
void pack_check_entry(lua_State *L, int arg, lua_Integer index); /* raises where the value at arg is no entry */
void pack_read_stamp(lua_State *L, int arg, const char *op, struct stamp *s); /* of a table of options; raises */
int pack_begin(lua_State *L, struct pack *p);   /* the entry table at the stack's top */
int pack_walk_on(lua_State *L, struct pack *p); /* the next thing of the walk */

#endif
