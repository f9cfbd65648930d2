/* tools.c: see tools.h.
**
** A folder is read whole before Lua is asked for memory, so that nothing is left open where that fails. */

#include "tools.h"

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <sodium.h>
#include <string.h>
#include <uv.h>

#include "limits.h"

#define HOME_SIZE 4096 /* PATH_MAX */

int fn_sha256(lua_State *L) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  char hex[crypto_hash_sha256_BYTES * 2 + 1];
  size_t length;
  const char *bytes = luaL_checklstring(L, 1, &length);
  crypto_hash_sha256(hash, (const unsigned char *)bytes, length);
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  lua_pushlstring(L, hex, sizeof hex - 1);
  return 1;
}

/* Line ends are skipped, as Go's decoder does. What was decoded may be a credential: it is wiped. */
int fn_base64_decode(lua_State *L) {
  size_t length, room, count = 0;
  const char *text = luaL_checklstring(L, 1, &length);
  unsigned char *bytes;
  int status;
  room = length / 4 * 3 + 3;
  bytes = lua_newuserdatauv(L, room, 0);
  status = sodium_base642bin(bytes, room, text, length, "\r\n", &count, NULL, sodium_base64_VARIANT_ORIGINAL);
  if (status == 0) lua_pushlstring(L, (const char *)bytes, count);
  else lua_pushnil(L);
  sodium_memzero(bytes, room);
  return 1;
}

int fn_directory(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  char *names = lua_newuserdatauv(L, LIMIT_DIRECTORY, 0);
  size_t used = 0, at;
  lua_Integer n = 0;
  struct dirent *entry;
  DIR *folder = opendir(path);
  if (!folder) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  while ((entry = readdir(folder)) != NULL) {
    size_t size = strlen(entry->d_name) + 1;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (size > LIMIT_DIRECTORY - used) break;
    memcpy(names + used, entry->d_name, size);
    used += size;
  }
  closedir(folder);
  lua_newtable(L);
  for (at = 0; at < used; at += strlen(names + at) + 1) {
    lua_pushstring(L, names + at);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

int fn_home(lua_State *L) {
  char home[HOME_SIZE];
  uv_passwd_t user;
  size_t length;
  if (uv_os_get_passwd(&user) != 0) return 0;
  length = user.homedir ? strlen(user.homedir) : 0;
  if (length >= sizeof home) length = 0;
  if (length) memcpy(home, user.homedir, length);
  uv_os_free_passwd(&user);
  if (length == 0) return 0;
  lua_pushlstring(L, home, length);
  return 1;
}
