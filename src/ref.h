/* ref.h: image references (the grammar and the familiar names of distribution/reference) and the names of
** managed containers. Pure: bytes in, values out. */

#ifndef DW_REF_H
#define DW_REF_H

#include <stddef.h>

#include "buf.h"

struct ref_part {
  const char *text; /* into the reference given, or static text; NULL if absent */
  size_t length;
};

struct ref {
  struct ref_part domain; /* "docker.io", "registry.example.com:5000" */
  struct ref_part path;   /* as written: "ubuntu", "acme/web" */
  int library;            /* the full path has "library/" before it (one-part names on Docker Hub) */
  struct ref_part tag;    /* NULL if none was written; no default is put in */
  struct ref_part digest; /* "sha256:…" */
};

/* 0, or -1 with a static reason ("repository name must be lowercase"). References into text. */
int ref_parse(struct ref *r, const char *text, size_t length, const char **reason);

int ref_put_path(struct buf *b, const struct ref *r);     /* "library/ubuntu" */
int ref_put_name(struct buf *b, const struct ref *r);     /* "docker.io/library/ubuntu" */
int ref_put_familiar(struct buf *b, const struct ref *r); /* "ubuntu:22.04", as docker shows it; not for requests */

int ref_is_tag(const char *text, size_t length);    /* matches [A-Za-z0-9_][A-Za-z0-9_.-]{0,127} ? */
int ref_is_digest(const char *text, size_t length); /* sha256 or sha512, lower-case hex of the right length ? */
int ref_is_id(const char *text, size_t length);     /* 64 lower-case hex digits ? */

/* A project's or stage's name: ^[a-z0-9][a-z0-9_-]*$ */
int ref_is_label_name(const char *text, size_t length);

/* "dw-{project}-{stage}-{tag-sanitized}", at most LIMIT_CONTAINER_NAME bytes. Every byte of tag outside
** [A-Za-z0-9_.-] becomes '-'; where that or the length cut changed anything, '-' and the first 8 hex digits of
** the SHA-256 of the original follow, so that two tags never share a name. */
int ref_container_name(struct buf *b, const char *project, size_t project_length, const char *stage,
                       size_t stage_length, const char *tag, size_t tag_length);

#endif
