/* pull.c: client:pull_image(image, tag, { auth=, platform=, on_progress= }) -> { id=, digest=, status= }
**
** One image is pulled, never a repository: without tag and digest it is "latest" (the Engine would take every tag
** there is). With tag and digest the digest decides.
**
** The Engine answers 200 as soon as it begins to talk, and tells the rest as a stream of JSON values, failures too.
** So a pull has succeeded when no value was an error, the stream ended as HTTP says it should (or, where HTTP can't
** tell, its last line was there), and the image can be inspected: by the digest that the stream named, so that it
** is the image of this pull even if somebody moves the tag meanwhile.
**
** on_progress(event) gets { id=, status=, current=, total=, units= } for each value (units is absent for bytes). It runs between two turns of the loop,
** may cancel the pull's context or close the client, but cannot yield; what it raises ends the pull and is raised
** again, as it is. Without it no Lua value is made until the end. */

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "images.h"
#include "jsonlua.h"
#include "jsonseq.h"
#include "limits.h"
#include "pullerror.h"

#define DIGEST_SIZE 136 /* "sha512:" and 128 hex digits, NUL */

/* What a pull remembers between two looks at the stream: a userdata above the call's box. */
struct pull {
  struct jsonseq seq;
  struct ref ref;           /* into the strings at the stack's indices 2 and 3 */
  int progress;             /* is there an on_progress? */
  int finished;             /* the line "Status: …" was seen */
  int up_to_date;           /* …and said that nothing was new */
  int by_digest;            /* the inspect asks for the digest */
  char digest[DIGEST_SIZE]; /* of the line "Digest: …", "" before it */
};

static struct pull *pull_of(lua_State *L, const struct call *k) {
  return lua_touserdata(L, k->box + 1);
}

/* ---- what has been pulled ---- */

/* Pushes the digest of the image's entry for this repository in RepoDigests; nil where there is none. */
static void push_repo_digest(lua_State *L, struct call *k, const struct ref *wanted) {
  const struct json_doc *doc = &k->doc;
  uint32_t list = json_get(doc, 0, "RepoDigests"), item, i;
  uint32_t count = json_is(doc, list, JSON_ARRAY) ? doc->nodes[list].count : 0;
  for (i = 0, item = list + 1; i < count; i++, item = doc->nodes[item].next) {
    size_t length;
    const char *text = json_string(doc, item, &k->scratch, &length), *reason;
    struct ref r;
    if (!text || ref_parse(&r, text, length, &reason) != 0 || !r.digest.text) continue;
    if (r.domain.length == wanted->domain.length && r.path.length == wanted->path.length &&
        r.library == wanted->library && memcmp(r.domain.text, wanted->domain.text, r.domain.length) == 0 &&
        memcmp(r.path.text, wanted->path.text, r.path.length) == 0) {
      lua_pushlstring(L, r.digest.text, r.digest.length);
      return;
    }
  }
  lua_pushnil(L);
}

static int ask_image(lua_State *L, struct call *k, struct pull *p, int by_digest);

static int pulled(lua_State *L, struct call *k) {
  struct pull *p = pull_of(L, k);
  size_t length;
  const char *id;
  int failed;
  if (k->status == 404 && p->by_digest && p->ref.tag.text) return ask_image(L, k, p, 0);
  if (k->status == 404) return call_fail_status(L, k);
  failed = call_expect(L, k, JSON_OBJECT);
  if (failed) return failed;
  id = json_string(&k->doc, json_get(&k->doc, 0, "Id"), &k->scratch, &length);
  if (!id) return call_fail(L, k, KIND_PROTOCOL, "the Engine's reply has no image id");
  lua_createtable(L, 0, 3);
  lua_pushlstring(L, id, length);
  lua_setfield(L, -2, "id");
  if (p->ref.digest.text) lua_pushlstring(L, p->ref.digest.text, p->ref.digest.length);
  else if (p->digest[0]) lua_pushstring(L, p->digest);
  else push_repo_digest(L, k, &p->ref);
  lua_setfield(L, -2, "digest");
  lua_pushstring(L, p->up_to_date ? "up_to_date" : "downloaded");
  lua_setfield(L, -2, "status");
  return 1;
}

/* An image may be there without its digest being known (schema 1, other image stores): then the tag must do. */
static int ask_image(lua_State *L, struct call *k, struct pull *p, int by_digest) {
  struct ref r = p->ref;
  if (by_digest && !r.digest.text) {
    r.digest.text = p->digest;
    r.digest.length = strlen(p->digest);
  } else if (!by_digest) {
    r.digest.text = NULL;
  }
  p->by_digest = by_digest;
  k->refused = NULL;
  call_request(L, k, "ImageInspect");
  image_name(L, k, &r);
  call_path(L, k, k->scratch.data, k->scratch.length);
  call_accept(k, 404);
  return call_run(L, k, pulled);
}

static int stream_done(lua_State *L, struct call *k) {
  struct pull *p = pull_of(L, k);
  size_t length;
  if (!p->finished && !transfer_header(k->transfer, "Transfer-Encoding", &length) &&
      !transfer_header(k->transfer, "Content-Length", &length)) {
    return call_fail(L, k, KIND_INTERRUPTED, "the connection to %s ended before the pull did", k->client->host);
  }
  return ask_image(L, k, p, p->ref.digest.text || p->digest[0]);
}

/* ---- the stream ---- */

static void set_string(lua_State *L, const struct json_doc *doc, uint32_t node, const char *field) {
  if (!json_is(doc, node, JSON_STRING) || doc->nodes[node].count == 0) return;
  jsonlua_pushstring(L, doc, node);
  lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const struct json_doc *doc, uint32_t node, const char *field) {
  if (!json_is(doc, node, JSON_INTEGER)) return;
  lua_pushinteger(L, json_integer(doc, node, 0));
  lua_setfield(L, -2, field);
}

/* Calls on_progress. It may do anything but yield; behind it neither k->doc nor the body's address is what it was. */
static int report(lua_State *L, struct call *k) {
  uint32_t detail = json_get(&k->doc, 0, "progressDetail");
  lx_option(L, k->options, "on_progress");
  lua_createtable(L, 0, 5);
  set_string(L, &k->doc, json_get(&k->doc, 0, "id"), "id");
  set_string(L, &k->doc, json_get(&k->doc, 0, "status"), "status");
  set_integer(L, &k->doc, json_get(&k->doc, detail, "current"), "current");
  set_integer(L, &k->doc, json_get(&k->doc, detail, "total"), "total");
  set_string(L, &k->doc, json_get(&k->doc, detail, "units"), "units");
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    call_release(L, k); /* aborts the transfer */
    return lua_error(L);
  }
  if (!k->client->transport) return call_fail(L, k, KIND_CANCELLED, "the client was closed");
  switch (k->wait->verdict) {
    case WAIT_PENDING:
    case WAIT_READY: return CALL_AGAIN;
    case WAIT_TIMEOUT:
    case WAIT_CANCELLED:
    case WAIT_INTERRUPTED: break;
  }
  transfer_abort(k->transfer);
  return call_fail_verdict(L, k);
}

static int starts_with(const char *text, size_t length, const char *prefix) {
  size_t n = strlen(prefix);
  return length >= n && memcmp(text, prefix, n) == 0;
}

/* The lines that are about the whole image. */
static void look_at_status(struct call *k, struct pull *p) {
  static const char digest[] = "Digest: ";
  size_t length;
  const char *text = json_string(&k->doc, json_get(&k->doc, 0, "status"), &k->scratch, &length);
  if (!text || length < 8 || text[6] != ':') return; /* both have their colon there */
  if (starts_with(text, length, "Status: ")) {
    p->finished = 1;
    p->up_to_date = starts_with(text, length, "Status: Image is up to date");
  } else if (starts_with(text, length, digest)) {
    text += sizeof digest - 1;
    length -= sizeof digest - 1;
    if (length >= DIGEST_SIZE || !ref_is_digest(text, length)) return;
    memcpy(p->digest, text, length);
    p->digest[length] = '\0';
  }
}

/* One value of the stream: CALL_AGAIN, or the results of a failure. */
static int take_value(lua_State *L, struct call *k, struct pull *p, const char *text, size_t length) {
  struct json_fault fault;
  int failed;
  if (json_parse(&k->doc, text, length, &fault) != 0 || !json_is(&k->doc, 0, JSON_OBJECT)) {
    lx_pushexcerpt(L, text, length);
    return call_fail(L, k, KIND_PROTOCOL, "the progress that %s reports is not JSON: %s", k->client->host,
                     lua_tostring(L, -1));
  }
  failed = pull_check_value(L, k);
  if (failed) return failed;
  look_at_status(k, p);
  return p->progress ? report(L, k) : CALL_AGAIN;
}

/* Whatever the status is: the words tell of which kind it is, and credentials are struck out of them. */
static int refused(lua_State *L, struct call *k) {
  return pull_refused(L, k, &k->transfer->body);
}

static int pull_feed(lua_State *L, struct call *k, struct buf *body, int ended) {
  struct pull *p = pull_of(L, k);
  size_t at = 0, start, end;
  int found;
  if (body->length == 0) return CALL_AGAIN; /* data may be NULL; a value that was begun is still in there */
  while ((found = jsonseq_next(&p->seq, body->data + at, body->length - at, &start, &end)) > 0) {
    int n = take_value(L, k, p, body->data + at + start, end - start);
    if (n != CALL_AGAIN) return n;
    at += end;
  }
  if (found < 0) {
    return call_fail(L, k, KIND_TOO_LARGE, "one message of %s is larger than LIMIT_JSON_ITEM allows", k->client->host);
  }
  buf_consume(body, at + start);
  if (!ended) return CALL_AGAIN;
  found = body->length ? jsonseq_finish(&p->seq, body->data, body->length, &start, &end) : 0;
  if (found > 0) return take_value(L, k, p, body->data + start, end - start);
  if (found < 0) {
    return call_fail(L, k, KIND_INTERRUPTED, "the connection to %s ended inside a message", k->client->host);
  }
  return CALL_AGAIN;
}

/* ---- the call ---- */

static int same_part(const struct ref_part *a, const char *text, size_t length) {
  return a->length == length && memcmp(a->text, text, length) == 0;
}

/* The arguments image and tag as one reference. The strings stay at indices 2 and 3. */
static void check_reference(lua_State *L, struct ref *r) {
  size_t length;
  const char *text = lx_checkimage(L, 2, "pull_image", &length), *reason;
  lua_pushlstring(L, text, length); /* of a table that on_progress may change */
  lua_replace(L, 2);
  text = lua_tostring(L, 2);
  if (ref_parse(r, text, length, &reason) != 0 || (length == 71 && memcmp(text, "sha256:", 7) == 0)) {
    lx_misuse(L, "pull_image: image '%s': a name is wanted, an image's id can't be pulled", text);
  }
  if (!lua_isnil(L, 3)) {
    const char *tag;
    if (lua_type(L, 3) != LUA_TSTRING) {
      lx_misuse(L, "pull_image: tag: string or nil expected, got %s", luaL_typename(L, 3));
    }
    tag = lua_tolstring(L, 3, &length);
    if (ref_is_digest(tag, length)) {
      if (r->digest.text && !same_part(&r->digest, tag, length)) {
        lx_misuse(L, "pull_image: tag: another digest than in image '%s'", text);
      }
      r->digest.text = tag;
      r->digest.length = length;
    } else if (ref_is_tag(tag, length)) {
      if (r->tag.text && !same_part(&r->tag, tag, length)) {
        lx_misuse(L, "pull_image: tag: '%s' is another tag than in image '%s'", tag, text);
      }
      r->tag.text = tag;
      r->tag.length = length;
    } else {
      lx_pushexcerpt(L, tag, length);
      lx_misuse(L, "pull_image: tag '%s': a tag or a digest expected", lua_tostring(L, -1));
    }
  }
  if (!r->tag.text && !r->digest.text) {
    r->tag.text = "latest";
    r->tag.length = 6;
  }
}

int meth_pull_image(lua_State *L) {
  static const struct lx_option known[] = {
    {"auth", LX_TABLE}, {"platform", LX_STRING}, {"on_progress", LX_FUNCTION}, LX_COMMON_OPTIONS
  };
  const struct ref_part *version;
  struct ref r;
  struct call *k;
  struct pull *p;
  const char *platform;
  char subject[sizeof k->subject];
  size_t length;
  lua_settop(L, 4);
  client_check(L, 1);
  check_reference(L, &r);
  version = r.digest.text ? &r.digest : &r.tag;
  length = (size_t)(r.path.text + r.path.length - lua_tostring(L, 2)); /* of the name, as the caller spells it */
  snprintf(subject, sizeof subject, "%.*s%c%.*s", (int)length, lua_tostring(L, 2), r.digest.text ? '@' : ':',
           (int)version->length, version->text);
  k = call_begin(L, "pull_image", 4, known, subject);
  call_no_default_timeout(L, k);
  p = lua_newuserdatauv(L, sizeof *p, 0);
  memset(p, 0, sizeof *p);
  jsonseq_init(&p->seq);
  p->ref = r;
  p->progress = lx_option(L, k->options, "on_progress") == LUA_TFUNCTION;
  lua_pop(L, 1);
  k->top = lua_gettop(L);
  call_request(L, k, "ImageCreate");
  k->paced = 1;
  k->refused = refused;
  image_repository(L, k, &r);
  call_query(L, k, "fromImage", k->scratch.data, k->scratch.length);
  call_query(L, k, "tag", version->text, version->length);
  platform = lx_option_string(L, k->options, "platform", &length);
  if (platform && length == 0) lx_misuse(L, "pull_image: option 'platform': \"os/arch\" expected, got \"\"");
  if (platform) call_query(L, k, "platform", platform, length);
  call_auth(L, k, r.domain.text, r.domain.length);
  return call_run_stream(L, k, pull_feed, stream_done);
}
