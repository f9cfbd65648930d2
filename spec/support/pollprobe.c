/* pollprobe.c: poll(2) for the specs, on one descriptor: what a loop of the program's own does with ours. Test-only. */

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <poll.h>
#include <string.h>

/* poll(fd, seconds or nil) -> is it readable? nil waits for ever. */
static int fn_poll(lua_State *L) {
  struct pollfd watched = {0};
  int status, ms = lua_isnoneornil(L, 2) ? -1 : (int)ceil(luaL_checknumber(L, 2) * 1000);
  watched.fd = (int)luaL_checkinteger(L, 1);
  watched.events = POLLIN;
  do {
    status = poll(&watched, 1, ms);
  } while (status < 0 && errno == EINTR);
  if (status < 0 || (watched.revents & (POLLERR | POLLNVAL))) return luaL_error(L, "poll: %s", strerror(errno));
  lua_pushboolean(L, status > 0);
  return 1;
}

int luaopen_spec_support_pollprobe(lua_State *L);

int luaopen_spec_support_pollprobe(lua_State *L) {
  lua_pushcfunction(L, fn_poll);
  return 1;
}
