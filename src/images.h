/* images.h: what the files about images share. */

#ifndef DW_IMAGES_H
#define DW_IMAGES_H

#include <lua.h>

#include "call.h"
#include "ref.h"

/* Writes the image's name for a path or a query into k->scratch: domain and path, then "@digest" or ":tag" if there
** is one. With both the digest decides, as for the Engine. */
void image_name(lua_State *L, struct call *k, const struct ref *r);
void image_repository(lua_State *L, struct call *k, const struct ref *r); /* domain and path only */

/* pull.c */
int meth_pull_image(lua_State *L);

#endif
