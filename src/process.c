/* process.c: core.process.run: a program run to its end, for credential helpers and the like.
**
**   core.process.run{ argv={"docker-credential-x", "get"}, stdin="registry.example.com", env={ K="V" }, cwd=,
**                     timeout=30, max_output=65536, ctx= }
**     -> { status=0, stdout="…", stderr="…" }, or status=nil and signal="SIGTERM" | nil, err
**
** Blocks in plain Lua, yields in tasks. No shell: words go to the program as they are. A program that fails is a
** result, with its status; errors are that it could not be run, or not to its end, or printed too much (kinds
** not_found, forbidden, timeout, cancelled, interrupted, too_large, …). Then it is killed, with all of its process
** group; processes that it left behind when it ended by itself are its own affair, and are not waited for. Messages
** name the program, never its other arguments, its input or what it printed: these may be secrets. */

#include "process.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "limits.h"
#include "lx.h"

#define RUN_T "docker_watcher.process.run"
#define DEFAULT_TIMEOUT 30.0 /* seconds */
#define OP "process.run"

/* One run; its uservalue is the input. */
struct run {
  struct loop *loop;
  struct wait *wait;
  struct child *child;
  const char *limit;  /* what output_cap is called */
  size_t output_cap;
  double timeout;
  char program[256];  /* for messages; cut if longer */
};

static void run_end(struct run *r) {
  struct loop *loop = r->loop;
  if (r->child) child_release(r->child);
  r->child = NULL;
  wait_free(r->wait);
  r->wait = NULL;
  r->loop = NULL;
  if (loop) loop_unref(loop);
}

static int run_gc(lua_State *L) {
  run_end(luaL_checkudata(L, 1, RUN_T));
  return 0;
}

static void on_change(void *user) {
  struct run *r = user;
  if (r->child->ended || r->child->overflow) wait_wake(r->wait, WAIT_READY);
}

/* ---- words ---- */

static const char *check_word(lua_State *L, int idx, const char *what) {
  size_t length;
  const char *text;
  if (lua_type(L, idx) != LUA_TSTRING) lx_misuse(L, OP ": %s: string expected, got %s", what, luaL_typename(L, idx));
  text = lua_tolstring(L, idx, &length);
  if (memchr(text, '\0', length)) lx_misuse(L, OP ": %s: holds a NUL byte", what);
  return text;
}

/* Pushes an array of C strings, NULL behind the last: the options' argv, which holds the words. */
static char **push_argv(lua_State *L, int options) {
  lua_Integer i, count;
  char **argv;
  if (lx_option(L, options, "argv") != LUA_TTABLE) lx_misuse(L, OP ": option 'argv' is missing");
  count = (lua_Integer)lua_rawlen(L, -1);
  if (count < 1) lx_misuse(L, OP ": argv: a list with the program's name expected, got an empty one");
  if (count > LIMIT_PROCESS_WORDS) lx_misuse(L, OP ": argv: more words than LIMIT_PROCESS_WORDS allows");
  argv = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *argv, 0);
  for (i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    argv[i] = (char *)(size_t)check_word(L, -1, "argv"); /* posix_spawn does not write to them */
    lua_pop(L, 1);
  }
  argv[count] = NULL;
  if (!*argv[0]) lx_misuse(L, OP ": argv: the program's name is empty");
  lua_remove(L, -2);
  return argv;
}

/* Pushes a table of "NAME=value" words and an array of them, NULL behind the last; answers the latter. Two nils and
** NULL without the option. */
static char **push_env(lua_State *L, int options) {
  lua_Integer count = 0, i;
  char **env;
  if (lx_option(L, options, "env") != LUA_TTABLE) {
    lua_pushnil(L);
    return NULL;
  }
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, -3)) { /* option, words, name, value */
    const char *name = check_word(L, -2, "env: a name"), *value = check_word(L, -1, "env: a value");
    if (!*name || strchr(name, '=')) lx_misuse(L, OP ": env: a name that is empty or has a '=' in it");
    if (count >= LIMIT_PROCESS_WORDS) lx_misuse(L, OP ": env: more names than LIMIT_PROCESS_WORDS allows");
    lua_pushfstring(L, "%s=%s", name, value);
    lua_rawseti(L, -4, ++count);
    lua_pop(L, 1);
  }
  lua_remove(L, -2);
  env = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *env, 0);
  for (i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    env[i] = (char *)(size_t)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  env[count] = NULL;
  return env;
}

/* ---- results ---- */

static void push_signal(lua_State *L, int number) {
  static const struct { int number; const char *name; } names[] = {
    {SIGHUP, "SIGHUP"}, {SIGINT, "SIGINT"}, {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"}, {SIGABRT, "SIGABRT"},
    {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"},
    {SIGUSR2, "SIGUSR2"}, {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"}, {SIGTRAP, "SIGTRAP"},
    {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"}
  };
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    if (names[i].number == number) {
      lua_pushstring(L, names[i].name);
      return;
    }
  }
  lua_pushfstring(L, "SIG%d", number);
}

static int push_result(lua_State *L, const struct child *child) {
  lua_createtable(L, 0, 3);
  lua_pushlstring(L, child->out.data ? child->out.data : "", child->out.length);
  lua_setfield(L, -2, "stdout");
  lua_pushlstring(L, child->err.data ? child->err.data : "", child->err.length);
  lua_setfield(L, -2, "stderr");
  if (WIFSIGNALED(child->status)) {
    push_signal(L, WTERMSIG(child->status));
    lua_setfield(L, -2, "signal");
  } else {
    lua_pushinteger(L, WEXITSTATUS(child->status));
    lua_setfield(L, -2, "status");
  }
  return 1;
}

static int fail_start(lua_State *L, const struct run *r, const char *folder, int number) {
  struct lx_about about = {OP, r->program, 0};
  if (folder && access(folder, X_OK) != 0) {
    number = errno;
    return lx_fail(L, number == EACCES ? KIND_FORBIDDEN : KIND_NOT_FOUND, &about, "cannot run in the folder %s: %s",
                   folder, strerror(number));
  }
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      if (strchr(r->program, '/')) return lx_fail(L, KIND_NOT_FOUND, &about, "there is no such program");
      return lx_fail(L, KIND_NOT_FOUND, &about, "there is no such program in PATH; is it installed?");
    case EACCES:
    case EPERM:
      return lx_fail(L, KIND_FORBIDDEN, &about, "it may not be executed: %s", strerror(number));
    case E2BIG: return lx_fail(L, KIND_TOO_LARGE, &about, "its arguments and environment are longer than can be");
    case ENOEXEC: return lx_fail(L, KIND_INVALID, &about, "no program of this machine, nor a script with a '#!' line");
    default: return lx_fail(L, KIND_UNREACHABLE, &about, "cannot be run: %s", strerror(number));
  }
}

static int push_end(lua_State *L, struct run *r) {
  struct lx_about about = {OP, r->program, 0};
  const struct child *child = r->child;
  const char *reason;
  if (child && (child->overflow || child->ended)) {
    task_owe_cancel(r->loop, r->wait);
    if (child->overflow < 0) return luaL_error(L, "not enough memory");
    if (child->overflow) {
      return lx_fail(L, KIND_TOO_LARGE, &about, "printed more to its %s than %s allows (%I bytes)",
                     child->overflow == 1 ? "standard output" : "standard error", r->limit,
                     (LUAI_UACINT)r->output_cap);
    }
    if (child->status == -1) {
      return lx_fail(L, KIND_INTERRUPTED, &about, "its status is lost: something else in this process waits for all "
                     "children, or ignores SIGCHLD");
    }
    return push_result(L, child);
  }
  switch (r->wait->verdict) {
    case WAIT_TIMEOUT:
      return lx_fail(L, KIND_TIMEOUT, &about, "did not end within the time allowed, and was killed");
    case WAIT_INTERRUPTED: return lx_fail(L, KIND_INTERRUPTED, &about, "interrupted");
    case WAIT_CANCELLED:
    case WAIT_READY:
    case WAIT_PENDING: break;
  }
  reason = r->wait->context ? context_reason(r->wait->context) : "";
  return lx_fail(L, KIND_CANCELLED, &about, *reason ? "cancelled: %s" : "cancelled", reason);
}

static int run_k(lua_State *L, int status, lua_KContext ctx) {
  struct run *r = lua_touserdata(L, (int)ctx);
  int n;
  (void)status;
  while (r->wait->verdict == WAIT_PENDING) loop_wait(L, r->wait, ctx, run_k);
  n = push_end(L, r);
  run_end(r);
  return n;
}

static int fn_run(lua_State *L) {
  static const struct lx_option known[] = {
    {"argv", LX_TABLE}, {"stdin", LX_BYTES}, {"env", LX_TABLE}, {"cwd", LX_STRING}, {"max_output", LX_INTEGER},
    LX_COMMON_OPTIONS
  };
  struct child_options o;
  lua_Integer max_output;
  struct run *r;
  int status;
  lua_settop(L, 1);
  if (!lua_istable(L, 1)) return lx_misuse(L, OP ": options table expected, got %s", luaL_typename(L, 1));
  lx_checkoptions(L, 1, OP, known);
  memset(&o, 0, sizeof o);
  o.socket = -1;
  max_output = lx_option_integer(L, 1, "max_output", (lua_Integer)LIMIT_PROCESS_OUTPUT);
  if (max_output < 0) return lx_misuse(L, OP ": option 'max_output': bytes (an integer >= 0) expected");
  r = lua_newuserdatauv(L, sizeof *r, 1); /* index 2 */
  memset(r, 0, sizeof *r);
  luaL_setmetatable(L, RUN_T);
  r->output_cap = o.output_cap = (size_t)max_output;
  r->limit = lx_option(L, 1, "max_output") == LUA_TNIL ? "LIMIT_PROCESS_OUTPUT" : "max_output";
  o.argv = push_argv(L, 1);
  o.env = push_env(L, 1);
  lx_option(L, 1, "stdin");
  o.input = lua_tolstring(L, -1, &o.input_length);
  lua_setiuservalue(L, 2, 1); /* the collector may take the string before it finalises the box */
  o.folder = lx_option_string(L, 1, "cwd", NULL);
  strncpy(r->program, o.argv[0], sizeof r->program - 1);
  r->loop = loop_get(L);
  loop_ref(r->loop);
  r->wait = wait_new(r->loop);
  if (!r->wait) return luaL_error(L, "not enough memory");
  lx_option(L, 1, "ctx");
  wait_begin(r->wait, context_test(L, -1),
             loop_deadline(r->loop, lx_option_number(L, 1, "timeout", DEFAULT_TIMEOUT)));
  if (r->wait->verdict == WAIT_PENDING) {
    status = child_start(r->loop, &o, &r->child);
    if (status != 0) {
      int n = fail_start(L, r, o.folder, status);
      run_end(r);
      return n;
    }
    r->child->changed = on_change;
    r->child->user = r;
  }
  lua_settop(L, 2);
  return run_k(L, LUA_OK, 2);
}

int luaopen_process(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", fn_run}, {NULL, NULL}};
  if (luaL_newmetatable(L, RUN_T)) {
    lua_pushcfunction(L, run_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
