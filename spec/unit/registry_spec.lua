-- docker_watcher.registry: which requests it makes, whom it trusts with what, and what it takes for an answer. The http
-- client is a table here, since real registries will not do most of this; a real one is in spec/registry.

local auth = require "docker_watcher.registry.auth"
local docker = require "docker_watcher.docker"
local errors = require "docker_watcher.error"
local registry = require "docker_watcher.registry"
local secret = require "docker_watcher.secret"

local DIGEST = "sha256:" .. ("ab"):rep(32)
local INDEX = "application/vnd.oci.image.index.v1+json"

--- A registry client whose http answers by script: a function(request, number) → response | nil, err.
local function new(answer, more)
  local seen, clock = {}, { now = 1000 }
  local world = {
    parse_reference = docker.parse_reference, now = function() return clock.now end, wall = function() return 0 end,
    http = {
      request = function(request)
        seen[#seen + 1] = request
        local response, err = answer(request, #seen, clock)
        if not response then return nil, err end
        return { status = response.status or 200, headers = response.headers or {}, body = response.body or "" }
      end,
    },
  }
  for key, value in pairs(more or {}) do world[key] = value end
  return registry.new(world), seen, clock
end

local function list(tags, link)
  return {
    headers = { link = link, ["content-type"] = "application/json" }, body = '{"name":"x","tags":' .. tags .. "}",
  }
end

local function manifest(digest, kind)
  return {
    headers = {
      ["docker-content-digest"] = digest, ["content-type"] = kind or INDEX, ["content-length"] = "527",
    },
  }
end

local CREDENTIALS = { ["r.example.com"] = { username = "ci", password = secret.new "p:ä+/ss" } }

--- Asserts nil, err of a kind, whose message holds the text and never a secret.
local function assert_fails(kind, text, result, err)
  assert.is_nil(result)
  assert.is_true(errors.is(err))
  assert.equal(kind, err.kind, tostring(err))
  assert.is_truthy(tostring(err):find(text, 1, true), ("'%s' does not hold '%s'"):format(tostring(err), text))
  for _, hidden in ipairs { "p:ä", auth.base64 "ci:p:ä+/ss", "TOKEN" } do
    assert.is_nil(tostring(err):find(hidden, 1, true))
  end
end

describe("registry.tags", function()
  it("asks the registry of the image, by https", function()
    local r, seen = new(function() return list '["1.0","latest"]' end)
    assert.same({ "1.0", "latest" }, r:tags "r.example.com/shop/web")
    assert.equal("https://r.example.com/v2/shop/web/tags/list?n=1000", seen[1].url)
    assert.equal("GET", seen[1].method)
    assert.is_nil(seen[1].headers.Authorization)
    assert.is_true(seen[1].timeout <= 30)
  end)

  for image, wanted in pairs {
    ubuntu = "https://registry-1.docker.io/v2/library/ubuntu",
    ["acme/web:1.0"] = "https://registry-1.docker.io/v2/acme/web",
    ["index.docker.io/acme/web"] = "https://registry-1.docker.io/v2/acme/web",
    ["127.0.0.1:5000/a/b"] = "http://127.0.0.1:5000/v2/a/b",
    ["localhost:5000/a"] = "http://localhost:5000/v2/a",
    ["127.9.9.9/a"] = "http://127.9.9.9/v2/a",
    ["[::1]:5000/a"] = "http://[::1]:5000/v2/a",
    ["10.0.0.1:5000/a"] = "https://10.0.0.1:5000/v2/a",
    ["r.example.com:8443/a"] = "https://r.example.com:8443/v2/a",
  } do
    it("finds the registry of " .. image, function()
      local r, seen = new(function() return list "[]" end)
      assert(r:tags(image))
      assert.equal(wanted .. "/tags/list?n=1000", seen[1].url)
    end)
  end

  it("speaks plain http elsewhere only where that is declared, and https to this machine where that is", function()
    local r, seen = new(function() return list "[]" end, {
      settings = { ["10.0.0.1:5000"] = { insecure = true }, ["localhost:5000"] = { insecure = false } },
    })
    assert(r:tags "10.0.0.1:5000/a")
    assert(r:tags "localhost:5000/a")
    assert.equal("http://10.0.0.1:5000/v2/a/tags/list?n=1000", seen[1].url)
    assert.equal("https://localhost:5000/v2/a/tags/list?n=1000", seen[2].url)
  end)

  it("takes null and no tags at all for none", function()
    for _, body in ipairs { '{"name":"x","tags":null}', '{"name":"x"}', '{"tags":[]}' } do
      local r = new(function() return { body = body } end)
      assert.same({}, r:tags "r.example.com/x")
    end
  end)

  it("follows Link to its end, and does not stop at a short page", function()
    local r, seen = new(function(_, n)
      if n == 1 then return list('["a","b"]', '</v2/x/tags/list?last=b&n=2>; rel="next"') end
      if n == 2 then
        return list('["c"]', '<https://r.example.com/v2/x/tags/list?last=c%2F&n=2>; rel=next; foo="a,b"')
      end
      if n == 3 then return list('["d"]', { '<x>; rel="prev"', '<?last=d>; rel="prev next"' }) end
      return list '["e"]'
    end)
    assert.same({ "a", "b", "c", "d", "e" }, r:tags "r.example.com/x")
    assert.equal("https://r.example.com/v2/x/tags/list?last=b&n=2", seen[2].url)
    assert.equal("https://r.example.com/v2/x/tags/list?last=c%2F&n=2", seen[3].url)
    assert.equal("https://r.example.com/v2/x/tags/list?last=d", seen[4].url)
  end)

  it("ends where a page leads to itself, or brings nothing new", function()
    local r = new(function(_, n) return list('["a' .. n .. '"]', '</v2/x/tags/list?n=1000>; rel="next"') end)
    assert.same({ "a1" }, r:tags "r.example.com/x")
    local seen
    r, seen = new(function(_, n) return list('["a"]', ("</v2/x/tags/list?last=%d>; rel=next"):format(n)) end)
    assert.same({ "a" }, r:tags "r.example.com/x")
    assert.equal(2, #seen)
  end)

  for _, link in ipairs {
    '<https://evil.example.com/v2/x/tags/list?last=a>; rel="next"', '<http://r.example.com/v2/x>; rel=next',
    '<https://r.example.com:8443/v2/x>; rel=next', '<//evil.example.com/v2>; rel=next',
  } do
    it("refuses to leave the registry for " .. link, function()
      local r, seen = new(function() return list('["a"]', link) end)
      assert_fails("protocol", "not followed", r:tags "r.example.com/x")
      assert.equal(1, #seen)
    end)
  end

  it("fails as a whole where a page fails", function()
    local r = new(function(_, n)
      if n == 1 then return list('["a"]', "</v2/x/tags/list?last=a>; rel=next") end
      return { status = 503 }
    end)
    assert_fails("unreachable", "503", r:tags "r.example.com/x")
  end)

  it("has limits, and names them", function()
    local function endless(_, n)
      return list(('["t%d"]'):format(n), ("</v2/x/tags/list?last=%d>; rel=next"):format(n))
    end
    assert_fails("too_large", "(pages)", (new(endless, { limits = { pages = 5 } })):tags "r.example.com/x")
    assert_fails("too_large", "(tags)", (new(endless, { limits = { tags = 5 } })):tags "r.example.com/x")
    local small = new(endless, { limits = { listing_bytes = 99 } })
    assert_fails("too_large", "listing_bytes", small:tags "r.example.com/x")
    assert_fails("too_large", "link_bytes", (new(function()
      return list("[]", "<" .. ("a"):rep(9000) .. ">; rel=next")
    end)):tags "r.example.com/x")
    assert_fails("timeout", "time", (new(function(_, n, clock)
      clock.now = clock.now + 100
      return endless(_, n)
    end)):tags "r.example.com/x")
    assert.has_error(function() new(endless, { limits = { pagse = 5 } }) end)
  end)

  it("gives each request no more time than is left of the whole", function()
    local r, seen = new(function(_, n, clock)
      clock.now = clock.now + 6
      return list(('["t%d"]'):format(n), n < 2 and "</v2/x/tags/list?last=1>; rel=next" or nil)
    end)
    assert(r:tags("r.example.com/x", { timeout = 10 }))
    assert.equal(10, seen[1].timeout)
    assert.equal(4, seen[2].timeout)
  end)

  for _, body in ipairs {
    "", "no", "<html>", "[1]x", '{"tags":{"a":1}}', '{"tags":[1]}', '{"tags":["a",null]}', '{"tags":"a"}', "[", "null",
    '{"tags":[["a"]]}', '{"tags":["a"]', "7",
  } do
    it(("refuses %q as a list"):format(body), function()
      local r = new(function() return { body = body } end)
      assert_fails("protocol", "list of tags", r:tags "r.example.com/x")
    end)
  end

  it("leaves out what no reference can name", function()
    local r = new(function() return list('["ok","-no","..","a b","' .. ("x"):rep(129) .. '","a/b","_x","a..b"]') end)
    assert.same({ "ok", "_x", "a..b" }, r:tags "r.example.com/x")
  end)

  for status, kind in pairs {
    [404] = "not_found", [403] = "forbidden", [429] = "rate_limited", [500] = "unreachable", [503] = "unreachable",
    [408] = "unreachable", [400] = "protocol", [405] = "protocol", [204] = "protocol", [206] = "protocol",
  } do
    it(("takes %d for %s"):format(status, kind), function()
      local r = new(function()
        return { status = status, body = '{"errors":[{"code":"X_CODE","message":"a\\u001bb"}]}' }
      end)
      local tags, err = r:tags "r.example.com/x"
      assert_fails(kind, "r.example.com/x", tags, err)
      assert.equal(status, err.status)
      assert.equal("r.example.com/x", err.subject)
      assert.is_truthy(tostring(err):find("X_CODE: a?b", 1, true), tostring(err))
    end)
  end

  it("hands on what the network did", function()
    for _, kind in ipairs { "unreachable", "timeout", "cancelled", "interrupted", "too_large", "protocol" } do
      local r = new(function() return nil, errors.new(kind, "so it was") end)
      assert_fails(kind, "so it was", r:tags "r.example.com/x")
    end
  end)

  it("reads Retry-After", function()
    for value, wanted in pairs {
      ["7"] = 7, ["Thu, 01 Jan 1970 00:01:40 GMT"] = 100, ["-5"] = false, ["1000000000"] = false, ["soon"] = false,
      ["Thu, 01 Jan 1960 00:00:00 GMT"] = false, ["99999999999999999999"] = false, ["0"] = false,
    } do
      local r = new(function() return { status = 429, headers = { ["retry-after"] = value } } end)
      local _, err = r:tags "r.example.com/x"
      assert.equal(wanted or nil, err.retry_after, value)
    end
  end)

  it("raises for misuse", function()
    local r = new(function() return list "[]" end)
    assert.has_error(function() r:tags("r.example.com/x", { tiemout = 1 }) end)
    assert.is_nil((r:tags "Not An Image"))
  end)
end)

describe("registry.head", function()
  it("asks by HEAD with the four types, and answers the digest", function()
    local r, seen = new(function() return manifest(DIGEST, INDEX .. "; charset=utf-8") end)
    assert.same({ digest = DIGEST, media_type = INDEX, size = 527 }, r:head("r.example.com/a/b", "1.0"))
    assert.equal("HEAD", seen[1].method)
    assert.equal("https://r.example.com/v2/a/b/manifests/1.0", seen[1].url)
    for _, kind in ipairs {
      "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
      "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
    } do
      assert.is_truthy(seen[1].headers.Accept:find(kind, 1, true))
    end
  end)

  for _, kind in ipairs {
    "application/vnd.docker.distribution.manifest.v1+prettyjws", "application/vnd.docker.distribution.manifest.v1+json",
  } do
    it("refuses schema 1: " .. kind, function()
      local r = new(function() return manifest(DIGEST, kind) end)
      assert_fails("protocol", "schema 1 not supported", r:head("r.example.com/x", "1"))
    end)
  end

  local bad = {
    "sha256:" .. ("AB"):rep(32), "sha256:abc", "md5:" .. ("ab"):rep(16), ("ab"):rep(32), "sha256:" .. ("ab"):rep(33),
    "sha512:" .. ("ab"):rep(32), "sha256:" .. ("zz"):rep(32), "", { DIGEST, DIGEST }, false,
  }
  for _, value in ipairs(bad) do
    it("takes a digest that is none for none: " .. tostring(value):sub(1, 20), function()
      local r = new(function() return manifest(value or nil) end)
      assert_fails("protocol", "states no digest", r:head("r.example.com/x", "1"))
      local seen
      r, seen = new(function(request)
        local m = manifest(value or nil)
        m.body = request.method == "GET" and "the bytes" or ""
        return m
      end, { sha256 = function(bytes) return bytes == "the bytes" and ("cd"):rep(32) end })
      assert.equal("sha256:" .. ("cd"):rep(32), r:head("r.example.com/x", "1").digest)
      assert.equal("GET", seen[2].method)
    end)
  end

  it("takes sha512", function()
    local r = new(function() return manifest("sha512:" .. ("ab"):rep(64)) end)
    assert.equal("sha512:" .. ("ab"):rep(64), r:head("r.example.com/x", "1").digest)
  end)

  it("refuses another digest than the one that was asked for", function()
    local r = new(function() return manifest("sha256:" .. ("cd"):rep(32)) end)
    assert_fails("protocol", "answers with sha256:cd", r:head("r.example.com/x", DIGEST))
  end)

  for _, tag in ipairs { "", "..", "-x", "a b", "a/b", ("x"):rep(129), "sha256:abc", "a\n", 7 } do
    it(("raises for %q"):format(tostring(tag):sub(1, 10)), function()
      local r, seen = new(function() return manifest(DIGEST) end)
      assert.has_error(function() r:head("r.example.com/x", tag) end)
      assert.equal(0, #seen)
    end)
  end

  it("says that a tag is not there", function()
    local r = new(function() return { status = 404 } end)
    assert_fails("not_found", "no tag 1.0 there", r:head("r.example.com/x", "1.0"))
  end)
end)

describe("registry redirects", function()
  it("are followed, and carry no credentials elsewhere", function()
    local r, seen = new(function(request, n)
      if n == 1 then return { status = 401, headers = { ["www-authenticate"] = 'Basic realm="x"' } } end
      if n == 2 then return { status = 307, headers = { location = "/v2/y/manifests/1" } } end
      if n == 3 then return { status = 301, headers = { location = "https://other.example.com/m?s=1" } } end
      assert.equal("https://other.example.com/m?s=1", request.url)
      return manifest(DIGEST)
    end, { settings = CREDENTIALS })
    assert(r:head("r.example.com/x", "1"))
    assert.matches("^Basic ", seen[2].headers.Authorization)
    assert.is_nil(seen[4].headers.Authorization)
  end)

  it("to a registry that challenges get an anonymous token, never our credentials", function()
    local r, seen = new(function(_, n)
      if n == 1 then return { status = 302, headers = { location = "https://ghcr.example.com/v2/x/manifests/1" } } end
      if n == 2 then
        return { status = 401, headers = { ["www-authenticate"] = 'Bearer realm="https://ghcr.example.com/token"' } }
      end
      if n == 3 then return { body = '{"token":"TOKEN"}' } end
      return manifest(DIGEST)
    end, { settings = CREDENTIALS })
    assert(r:head("r.example.com/x", "1"))
    assert.is_nil(seen[3].headers.Authorization)
    assert.equal("Bearer TOKEN", seen[4].headers.Authorization)
  end)

  for _, location in ipairs {
    "http://r.example.com/x", "http://other.example.com/x", "https://169.254.169.254/x", "https://127.0.0.1/x",
    "https://[::1]/x", "https://10.1.2.3/x", "https://localhost/x", "https://user@other.example.com/x", "ftp://x/y",
    "file:///etc/passwd", "https://2130706433/x", "https://0x7f.1/x", "",
  } do
    it("are refused to " .. location, function()
      local r, seen = new(function() return { status = 302, headers = { location = location } } end)
      assert_fails("protocol", "redirects", r:head("r.example.com/x", "1"))
      assert.equal(1, #seen)
    end)
  end

  it("end", function()
    local r, seen = new(function(_, n) return { status = 302, headers = { location = "/x" .. n } } end)
    assert_fails("protocol", "(redirects)", r:head("r.example.com/x", "1"))
    assert.equal(6, #seen)
  end)
end)

describe("the docker command's credentials", function()
  local BASIC = { status = 401, headers = { ["www-authenticate"] = "Basic" } }
  local BEARER = { status = 401, headers = {
    ["www-authenticate"] = 'Bearer realm="https://r.example.com/token?a=b",service="s",scope="repository:x:pull"',
  } }

  --- A registry that takes `good` as Authorization, and a lookup that counts its questions.
  local function world(challenge, good, found, more)
    local asked = {}
    local options = { stored = function(domain, within)
      asked[#asked + 1] = domain
      assert.is_true(within.timeout <= 30)
      if found.kind then return nil, found end
      return { auth = found.auth, source = found.source or "docker-credential-x (credsStore in /c/config.json)" }
    end }
    for key, value in pairs(more or {}) do options[key] = value end
    local r, seen, clock = new(function(request)
      if request.url:find "/token" then
        local fine = request.method == "POST" and request.body:find("refresh_token=TOKEN%2B", 1, true)
          or request.headers.Authorization == "Basic " .. auth.base64 "u:p"
        return fine and { body = '{"token":"T"}' } or { status = 401 }
      end
      return request.headers.Authorization == good and list '["1"]' or challenge
    end, options)
    return r, asked, seen, clock
  end

  it("are looked up when a registry asks who we are, and not again for stored_seconds", function()
    local found = { auth = { username = "u", password = "p" } }
    local r, asked, seen, clock = world(BASIC, "Basic " .. auth.base64 "u:p", found)
    for _ = 1, 3 do assert(r:tags "r.example.com/x") end
    assert.same({ "r.example.com" }, asked)
    assert.equal(4, #seen)
    clock.now = clock.now + 301
    assert(r:tags "r.example.com/x")
    assert.equal(2, #asked)
    assert.equal(6, #seen)
  end)

  it("are not looked up for what is public, nor where the configuration has some", function()
    local r, asked = world(nil, nil, { auth = { username = "u", password = "p" } })
    assert(r:tags "r.example.com/x")
    assert.same({}, asked)
    r, asked = world(BASIC, "never", { auth = { username = "u", password = "p" } }, { settings = CREDENTIALS })
    assert_fails("unauthorized", "'ci'", r:tags "r.example.com/x")
    assert.same({}, asked)
  end)

  it("get tokens: by password, and by an identity token in OAuth 2's form", function()
    local r, asked, seen = world(BEARER, "Bearer T", { auth = { username = "u", password = "p" } })
    assert(r:tags "r.example.com/x")
    assert.same({ 1, "GET" }, { #asked, seen[2].method })
    r, asked, seen = world(BEARER, "Bearer T", { auth = { username = "u", password = "", identitytoken = "TOKEN+" } })
    assert(r:tags "r.example.com/x")
    assert.same({ "r.example.com" }, asked)
    assert.same({ "POST", "https://r.example.com/token?a=b", "application/x-www-form-urlencoded" },
      { seen[2].method, seen[2].url, seen[2].headers["Content-Type"] })
    assert.equal("service=s&scope=repository%3Ax%3Apull&grant_type=refresh_token&refresh_token=TOKEN%2B"
      .. "&client_id=docker-watcher", seen[2].body)
    assert.is_nil(seen[2].headers.Authorization)
    r = world(BASIC, "", { auth = { username = "u", password = "", identitytoken = "TOKEN+" } })
    assert_fails("unauthorized", "it offers only basic", r:tags "r.example.com/x")
  end)

  it("that are refused, missing or broken are said so, and looked up again the next time", function()
    local from = "of docker-credential-x (credsStore in /c/config.json)"
    local r, asked = world(BASIC, "", { auth = { username = "u", password = "p:ä+/ss" } })
    assert_fails("unauthorized", from, r:tags "r.example.com/x")
    assert_fails("unauthorized", from, r:tags "r.example.com/x")
    assert.equal(2, #asked)
    r = world(BEARER, "", { auth = { identitytoken = "TOKEN-" } })
    assert_fails("unauthorized", from, r:tags "r.example.com/x")
    r = world(BASIC, "", { source = "there are none for r.example.com in /c/config.json" })
    assert_fails("unauthorized", "a username and password; there are none for r.example.com in /c",
      r:tags "r.example.com/x")
    r = world(BASIC, "", errors.new("timeout", "docker-credential-x get: killed"))
    assert_fails("timeout", "r.example.com/x: docker-credential-x get: killed", r:tags "r.example.com/x")
  end)

  it("are not looked up because another host wants some", function()
    local asked
    local r = new(function(request)
      if request.url:find "^https://r%.example%.com" then
        return { status = 307, headers = { location = "https://other.example.com/x" } }
      end
      return BASIC
    end, { stored = function() asked = true end })
    assert_fails("unauthorized", "wants credentials", r:tags "r.example.com/x")
    assert.is_nil(asked)
  end)
end)

describe("registry authentication", function()
  local BEARER = 'Bearer realm="https://auth.example.com/token?a=b",service="r.example.com",scope="repository:x:pull"'

  --- A registry that wants the tokens its server gives out, and forgets them on request.
  local function token_world(more)
    local state = { tokens = 0, good = nil, challenge = BEARER, answer = nil }
    local r, seen, clock = new(function(request)
      if request.url:find "^https://auth%.example%.com" then
        state.tokens = state.tokens + 1
        if state.answer then return state.answer(request) end
        state.good = "TOKEN" .. state.tokens
        return { body = ('{"token":"%s","expires_in":300}'):format(state.good) }
      elseif not state.good or request.headers.Authorization ~= "Bearer " .. state.good then
        return { status = 401, headers = { ["www-authenticate"] = state.challenge } }
      end
      return request.method == "HEAD" and manifest(DIGEST) or list '["1"]'
    end, more)
    return r, seen, state, clock
  end

  it("answers a Basic challenge once, with the credentials of that registry", function()
    local r, seen = new(function(request)
      if request.headers.Authorization == "Basic " .. auth.base64 "ci:p:ä+/ss" then return list '["1"]' end
      return { status = 401, headers = { ["www-authenticate"] = "Basic" } }
    end, { settings = CREDENTIALS })
    assert(r:tags "r.example.com/x")
    assert.equal(2, #seen)
    assert(r:tags "r.example.com/x") -- now it knows
    assert.equal(3, #seen)
    assert_fails("unauthorized", "wants credentials (basic)", r:tags "other.example.com/x")
    assert.is_nil(seen[#seen].headers.Authorization)
  end)

  it("says when Basic credentials are refused, and does not ask again", function()
    local r, seen = new(function() return { status = 401, headers = { ["www-authenticate"] = "Basic" } } end,
      { settings = CREDENTIALS })
    assert_fails("unauthorized", "check username and password", r:tags "r.example.com/x")
    assert.equal(2, #seen)
    assert_fails("unauthorized", "'ci'", r:tags "r.example.com/x")
    assert.equal(3, #seen)
  end)

  it("gets a token with the challenge's service and scope, and the credentials", function()
    local r, seen = token_world { settings = CREDENTIALS }
    assert(r:tags "r.example.com/x")
    assert.equal("https://auth.example.com/token?a=b&service=r.example.com&scope=repository%3Ax%3Apull&account=ci"
      .. "&client_id=docker-watcher", seen[2].url)
    assert.equal("Basic " .. auth.base64 "ci:p:ä+/ss", seen[2].headers.Authorization)
    assert.equal("Bearer TOKEN1", seen[3].headers.Authorization)
  end)

  it("gets tokens anonymously where there are no credentials", function()
    local r, seen = token_world()
    assert(r:tags "r.example.com/x")
    assert.is_nil(seen[2].headers.Authorization)
    assert.is_nil(seen[2].url:find("account", 1, true))
  end)

  it("keeps a token for nine tenths of its time, on the monotonic clock", function()
    local r, seen, state, clock = token_world()
    assert(r:tags "r.example.com/x")
    assert(r:head("r.example.com/x", "1"))
    assert.equal(1, state.tokens)
    assert.equal(4, #seen)
    clock.now = clock.now + 269
    assert(r:tags "r.example.com/x")
    assert.equal(1, state.tokens)
    clock.now = clock.now + 2
    assert(r:tags "r.example.com/x")
    assert.equal(2, state.tokens)
  end)

  it("takes less than 60 seconds, and no time at all, for 60", function()
    for _, body in ipairs { '{"token":"T","expires_in":5}', '{"token":"T"}', '{"access_token":"T","expires_in":-1}',
      '{"token":"T","expires_in":"x"}', '{"token":"","access_token":"T"}' } do
      local r, _, state, clock = token_world()
      state.answer = function() state.good = "T" return { body = body } end
      assert(r:tags "r.example.com/x")
      clock.now = clock.now + 53
      assert(r:tags "r.example.com/x")
      assert.equal(1, state.tokens)
      clock.now = clock.now + 2
      assert(r:tags "r.example.com/x")
      assert.equal(2, state.tokens)
    end
  end)

  it("does not use a token for another repository", function()
    local r, seen, state = token_world()
    state.challenge = 'Bearer realm="https://auth.example.com/token",scope="*"'
    assert(r:tags "r.example.com/x")
    assert(r:tags "r.example.com/y")
    assert.equal(2, state.tokens)
    local asked = {}
    for _, request in ipairs(seen) do asked[#asked + 1] = request.url:match "scope=([^&]*)" end
    assert.same({ "repository%3Ax%3Apull", "repository%3Ay%3Apull" }, asked)
  end)

  it("renews a refused token once, and then gives up", function()
    local r, seen, state = token_world()
    assert(r:tags "r.example.com/x")
    state.good = "revoked"
    assert(r:tags "r.example.com/x")
    assert.equal(2, state.tokens)
    state.answer = function() return { body = '{"token":"TOKENbad"}' } end
    state.good = "revoked again"
    local before = #seen
    assert_fails("unauthorized", "no access without credentials", r:tags "r.example.com/x")
    assert.equal(3, #seen - before)
  end)

  for status, kind in pairs { [401] = "unauthorized", [403] = "unauthorized", [429] = "rate_limited",
    [500] = "unreachable", [404] = "protocol", [302] = "protocol" } do
    it(("takes %d from the token server for %s"):format(status, kind), function()
      local r, _, state = token_world { settings = CREDENTIALS }
      state.answer = function() return { status = status, headers = { location = "https://evil.example.com" } } end
      assert_fails(kind, "token server https://auth.example.com:443", r:tags "r.example.com/x")
      assert.equal(1, state.tokens)
    end)
  end

  for _, body in ipairs { "", "{}", "[]", '{"token":7}', '{"token":""}', '{"token":"a b"}', '{"token":"a\\r\\nX: y"}',
    '{"token":"' .. ("x"):rep(65537) .. '"}', "<html>", '{"token":"é"}' } do
    it(("refuses %q as a token"):format(body:sub(1, 24)), function()
      local r, _, state = token_world()
      state.answer = function() return { body = body } end
      assert_fails("protocol", "token server", r:tags "r.example.com/x")
    end)
  end

  -- image | realm | refused because
  for _, case in ipairs {
    { "r.example.com/x", "http://auth.example.com/t", "plain http" },
    { "r.example.com/x", "http://r.example.com/t", "plain http" },
    { "r.example.com/x", "https://127.0.0.1/t", "private address" },
    { "r.example.com/x", "https://localhost/t", "private address" },
    { "r.example.com/x", "https://169.254.169.254/latest", "private address" },
    { "r.example.com/x", "https://10.0.0.8/t", "private address" },
    { "r.example.com/x", "https://[fd00::1]/t", "private address" },
    { "r.example.com/x", "https://[::ffff:127.0.0.1]/t", "private address" },
    { "r.example.com/x", "https://2852039166/t", "private address" },
    { "10.0.0.1/x", "https://127.0.0.1/t", "private address" },
    { "10.0.0.1/x", "https://169.254.169.254/t", "private address" },
    { "127.0.0.1:5000/x", "http://auth.example.com/t", "plain http" },
    { "127.0.0.1:5000/x", "http://10.0.0.1/t", "plain http" },
    { "r.example.com/x", "https://user:pass@auth.example.com/t", false },
    { "r.example.com/x", "file:///etc/passwd", false },
    { "r.example.com/x", "/token", false },
    { "r.example.com/x", "https://auth.example.com/\\r\\nX: y", false },
  } do
    it(("gives nothing to the realm %s of %s"):format(case[2], case[1]), function()
      local r, seen = new(function()
        return { status = 401, headers = { ["www-authenticate"] = ('Bearer realm="%s"'):format(case[2]) } }
      end, { settings = CREDENTIALS })
      if case[3] then
        assert_fails("forbidden", case[3], r:tags(case[1]))
      else
        assert_fails("unauthorized", "bearer", r:tags(case[1]))
      end
      assert.equal(1, #seen)
    end)
  end

  for _, case in ipairs {
    { "10.0.0.1/x", "https://10.0.0.2/t" }, { "127.0.0.1:5000/x", "http://127.0.0.1:5001/t" },
    { "localhost:5000/x", "http://127.0.0.1:5001/t" }, { "127.0.0.1:5000/x", "https://auth.example.com/t" },
    { "10.0.0.1/x", "https://10.0.0.1:8443/t" },
  } do
    it(("trusts the realm %s of %s"):format(case[2], case[1]), function()
      local r, seen = new(function(_, n)
        if n == 1 then
          return { status = 401, headers = { ["www-authenticate"] = ("bearer realm=%s"):format(case[2]) } }
        end
        return n == 2 and { body = '{"token":"T"}' } or list "[]"
      end)
      assert(r:tags(case[1]))
      assert.equal(3, #seen)
    end)
  end

  it("says which ways to log in it does not know", function()
    local r = new(function() return { status = 401, headers = { ["www-authenticate"] = "Negotiate, NTLM" } } end,
      { settings = CREDENTIALS })
    assert_fails("unauthorized", "negotiate, ntlm", r:tags "r.example.com/x")
    r = new(function() return { status = 401 } end)
    assert_fails("unauthorized", "does not say how", r:tags "r.example.com/x")
    r = new(function() return { status = 401, headers = { ["www-authenticate"] = ("x"):rep(9000) } } end)
    assert_fails("too_large", "challenge_bytes", r:tags "r.example.com/x")
  end)

  it("prefers Bearer, and answers Basic where only that is usable", function()
    local r, seen = token_world { settings = CREDENTIALS }
    assert(r:tags "r.example.com/x")
    assert.equal(3, #seen)
    r, seen = new(function(request)
      if request.headers.Authorization then return list "[]" end
      return { status = 401, headers = { ["www-authenticate"] = { "Bearer", 'Basic realm="harbor"' } } }
    end, { settings = CREDENTIALS })
    assert(r:tags "r.example.com/x")
    assert.matches("^Basic ", seen[2].headers.Authorization)
  end)

  it("answers Basic once where that is asked for behind a refused token, and then gives up", function()
    local function harbor(good)
      return function(request, n)
        if request.url:find "^https://auth" then return { body = '{"token":"TOKEN"}' } end
        if good and request.headers.Authorization == good then return list '["1"]' end
        local bearer = n == 1 or (not good and n > 4)
        return { status = 401, headers = { ["www-authenticate"] = bearer and BEARER or 'Basic realm="harbor"' } }
      end
    end
    local r, seen = new(harbor("Basic " .. auth.base64 "ci:p:ä+/ss"), { settings = CREDENTIALS })
    assert(r:tags "r.example.com/x")
    assert.equal(4, #seen)
    r, seen = new(harbor(nil), { settings = CREDENTIALS })
    assert_fails("unauthorized", "check username and password", r:tags "r.example.com/x")
    assert.equal(4, #seen)
  end)

  it("knows Docker Hub's credentials by any of its names", function()
    for _, name in ipairs { "docker.io", "index.docker.io", "registry-1.docker.io" } do
      local r = new(function() end, { settings = { [name] = { username = "u", password = "p" } } })
      assert.same({ username = "u", password = "p" }, r:credentials "docker.io")
      assert.is_nil(r:credentials "r.example.com")
    end
  end)
end)
