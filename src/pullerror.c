/* pullerror.c: what a failed pull is, told from words.
**
** The Engine passes on what registries, token servers and the network said, mostly as a 500 with a message, or as
** an errorDetail inside a 200. A caller wants to know which of these it is: log in (unauthorized), wait
** (rate_limited, unreachable), correct the reference (not_found), or look at the Engine (engine). Only the text
** tells.
**
** The phrases below were seen in the answers of Engine 20.10 to registries with htpasswd, with a token server,
** dead, without TLS, unknown; those of the containerd image store (Engine 29) and of hosted registries are from
** their sources and from public reports. Every phrase has a blank in it, so that no image's name can look like one.
**
** Registries repeat what they were sent, so credentials of the call are struck out before anything else happens. */

#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "pullerror.h"

#define ACCOUNT "account=" /* the user's name, in the token server's URL */

/* ---- kinds ---- */

struct phrase {
  const char *text;
  enum lx_kind kind;
};

/* The first that is found counts: why nobody was reached comes before what the wish was, since one is quoted in the
** other ("failed to authorize: … connection refused"). */
static const struct phrase phrases[] = {
  {"no space left on device", KIND_ENGINE},
  {"dial tcp", KIND_UNREACHABLE},
  {"connection refused", KIND_UNREACHABLE},
  {"connection reset by peer", KIND_UNREACHABLE},
  {"connection timed out", KIND_UNREACHABLE},
  {"no such host", KIND_UNREACHABLE},
  {"server misbehaving", KIND_UNREACHABLE},
  {"name resolution", KIND_UNREACHABLE},
  {"network is unreachable", KIND_UNREACHABLE},
  {"no route to host", KIND_UNREACHABLE},
  {"i/o timeout", KIND_UNREACHABLE},
  {"handshake timeout", KIND_UNREACHABLE},
  {"client.timeout exceeded", KIND_UNREACHABLE},
  {"context deadline exceeded", KIND_UNREACHABLE},
  {"request canceled while waiting", KIND_UNREACHABLE},
  {"http response to https client", KIND_UNREACHABLE},
  {"x509: ", KIND_UNREACHABLE},
  {": tls: ", KIND_UNREACHABLE},
  {"proxyconnect tcp", KIND_UNREACHABLE},
  {"unexpected eof", KIND_UNREACHABLE},
  {"502 bad gateway", KIND_UNREACHABLE},
  {"503 service unavailable", KIND_UNREACHABLE},
  {"504 gateway timeout", KIND_UNREACHABLE},
  {"toomanyrequests: ", KIND_RATE_LIMITED},
  {"too many requests", KIND_RATE_LIMITED},
  {"pull rate limit", KIND_RATE_LIMITED},
  {"parsing http 429 ", KIND_RATE_LIMITED},
  {"no basic auth credentials", KIND_UNAUTHORIZED},
  {"unauthorized: ", KIND_UNAUTHORIZED},
  {": unauthorized", KIND_UNAUTHORIZED},
  {"authentication required", KIND_UNAUTHORIZED},
  {"incorrect username or password", KIND_UNAUTHORIZED},
  {"access denied", KIND_UNAUTHORIZED}, /* also where the repository doesn't exist: registries don't tell which */
  {"requested access to the resource is denied", KIND_UNAUTHORIZED},
  {"require 'docker login'", KIND_UNAUTHORIZED},
  {"may require authorization", KIND_UNAUTHORIZED},
  {": insufficient_scope", KIND_UNAUTHORIZED},
  {"401 unauthorized", KIND_UNAUTHORIZED},
  {"parsing http 401 ", KIND_UNAUTHORIZED},
  {"failed to authorize: ", KIND_UNAUTHORIZED},
  {"denied: ", KIND_UNAUTHORIZED},
  {"error from registry: denied", KIND_UNAUTHORIZED},
  {"403 forbidden", KIND_FORBIDDEN},
  {"parsing http 403 ", KIND_FORBIDDEN},
  {"manifest unknown", KIND_NOT_FOUND},
  {"name unknown", KIND_NOT_FOUND},
  {"no matching manifest", KIND_NOT_FOUND}, /* for the platform */
  {"does not match the specified platform", KIND_NOT_FOUND},
  {"does not provide the specified platform", KIND_NOT_FOUND},
  {"parsing http 404 ", KIND_NOT_FOUND},
  {" not found: ", KIND_NOT_FOUND},
  {": not found", KIND_NOT_FOUND},
};

static int holds(const char *text, size_t length, const char *phrase) {
  size_t n = strlen(phrase), i;
  for (i = 0; i + n <= length; i++) {
    if (strncasecmp(text + i, phrase, n) == 0) return 1;
  }
  return 0;
}

static enum lx_kind kind_of(int code, const char *text, size_t length) {
  static const char eof[] = ": EOF";
  size_t i;
  for (i = 0; i < sizeof phrases / sizeof *phrases; i++) {
    if (holds(text, length, phrases[i].text)) return phrases[i].kind;
  }
  if (length >= sizeof eof - 1 && memcmp(text + length - (sizeof eof - 1), eof, sizeof eof - 1) == 0) {
    return KIND_UNREACHABLE; /* hung up on us */
  }
  switch (code) {
    case 400: return KIND_INVALID;
    case 401: return KIND_UNAUTHORIZED;
    case 403: return KIND_FORBIDDEN;
    case 404: return KIND_NOT_FOUND;
    case 409: return KIND_CONFLICT;
    case 413: return KIND_TOO_LARGE;
    case 429: return KIND_RATE_LIMITED;
    case 502: /* of the registry: the Engine itself is there */
    case 503:
    case 504: return KIND_UNREACHABLE;
    default: return KIND_ENGINE;
  }
}

/* ---- secrets ---- */

#define SECRETS 4 /* password, two kinds of token, and user:password as Basic authentication sends it */

struct secret {
  const char *text;
  size_t length;
};

/* Pushes base64 of user:password (what keeps it alive stays on the stack). */
static void push_basic(lua_State *L, int auth, struct secret *secret) {
  const int variant = sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
  size_t user_length, length;
  const char *user = lx_option_string(L, auth, "username", &user_length);
  const char *password = lx_option_string(L, auth, "password", &length);
  secret->text = NULL;
  secret->length = 0;
  if (!user || !password || length == 0) {
    lua_pushnil(L);
    return;
  }
  lua_pushlstring(L, user, user_length);
  lua_pushliteral(L, ":");
  lua_pushlstring(L, password, length);
  lua_concat(L, 3);
  user = lua_tolstring(L, -1, &length);
  user_length = sodium_base64_encoded_len(length, variant);
  secret->text = sodium_bin2base64(lua_newuserdatauv(L, user_length, 0), user_length, (const unsigned char *)user,
                                   length, variant);
  secret->length = user_length - 1;
  lua_remove(L, -2);
}

static size_t secret_at(const struct secret *secrets, const char *text, size_t left) {
  size_t i, longest = 0;
  for (i = 0; i < SECRETS; i++) {
    const struct secret *s = &secrets[i];
    if (s->length > longest && s->length <= left && memcmp(text, s->text, s->length) == 0) longest = s->length;
  }
  return longest;
}

/* Pushes the text with "…" for each of the call's credentials in it, and for the user's name in a URL. */
static const char *push_clean(lua_State *L, struct call *k, const char *text, size_t *length) {
  struct secret secrets[SECRETS];
  luaL_Buffer b;
  size_t i = 0;
  int auth;
  lx_option(L, k->options, "auth");
  auth = lua_gettop(L);
  secrets[0].text = lx_option_string(L, auth, "password", &secrets[0].length);
  secrets[1].text = lx_option_string(L, auth, "identitytoken", &secrets[1].length);
  secrets[2].text = lx_option_string(L, auth, "registrytoken", &secrets[2].length);
  push_basic(L, auth, &secrets[3]);
  luaL_buffinit(L, &b);
  while (i < *length) {
    size_t n = secret_at(secrets, text + i, *length - i);
    if (n > 0) {
      luaL_addstring(&b, "…");
      i += n;
    } else if (*length - i > sizeof ACCOUNT && memcmp(text + i, ACCOUNT, sizeof ACCOUNT - 1) == 0) {
      luaL_addstring(&b, ACCOUNT "…");
      while (i < *length && !strchr("&\"' ", text[i])) i++;
    } else {
      luaL_addchar(&b, text[i]);
      i++;
    }
  }
  luaL_pushresult(&b);
  return lua_tolstring(L, -1, length);
}

int pull_fail(lua_State *L, struct call *k, int code, const char *text, size_t length) {
  enum lx_kind kind;
  const char *hint = "";
  text = push_clean(L, k, text, &length);
  kind = kind_of(code, text, length);
  lx_pushexcerpt(L, text, length);
  if (length == 0) {
    lua_pop(L, 1);
    lua_pushfstring(L, "the Engine answered with status %d", code);
  }
  text = lua_tostring(L, -1);
  if (kind == KIND_UNAUTHORIZED) {
    if (lx_option(L, k->options, "auth") == LUA_TNIL) hint = " (no credentials were given: option 'auth')";
    lua_pop(L, 1);
  }
  return call_fail(L, k, kind, "%s%s", text, hint);
}

int pull_check_value(lua_State *L, struct call *k) {
  uint32_t detail = json_get(&k->doc, 0, "errorDetail"), message = json_get(&k->doc, detail, "message");
  size_t length = 0;
  const char *text;
  if (!json_is(&k->doc, message, JSON_STRING)) message = json_get(&k->doc, 0, "error");
  if (!json_is(&k->doc, detail, JSON_OBJECT) && !json_is(&k->doc, message, JSON_STRING)) return 0;
  text = json_string(&k->doc, message, &k->scratch, &length);
  if (!text) text = "the Engine reports an error without a message";
  if (!length) length = strlen(text);
  return pull_fail(L, k, (int)json_integer(&k->doc, json_get(&k->doc, detail, "code"), 0), text, length);
}

int pull_refused(lua_State *L, struct call *k, const struct buf *body) {
  struct json_fault fault;
  const char *text = body->data ? body->data : "", *message = NULL;
  size_t length = body->length;
  k->doc.used = 0;
  if (length && json_parse(&k->doc, text, length, &fault) == 0) {
    message = json_string(&k->doc, json_get(&k->doc, 0, "message"), &k->scratch, &length);
  }
  if (message) return pull_fail(L, k, k->status, message, length);
  /* What a proxy in front of the Engine says, with a 503 for example, is not about the registry. */
  return pull_fail(L, k, k->status < 500 ? k->status : 500, text, body->length);
}
