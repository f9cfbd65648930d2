-- docker_watcher.registry against a real docker-registry 2.8: anonymous, with Basic login, with a token server.

local credentials = require "docker_watcher.docker.credentials"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local errors = require "docker_watcher.error"
local http = require "docker_watcher.http"
local json = require "docker_watcher.json"
local loop = require "docker_watcher.loop"
local registry = require "docker_watcher.registry"

local function new(settings)
  return registry.new { parse_reference = docker.parse_reference, http = http, now = loop.now, settings = settings }
end

local function sorted(list)
  table.sort(list)
  return list
end

--- How many lines of a registry's access log hold the text.
local function requests(dir, text)
  local count = 0
  for line in io.lines(dir .. "/access.log") do
    if line:find(text, 1, true) then count = count + 1 end
  end
  return count
end

local function assert_fails(kind, result, err)
  assert.is_nil(result)
  assert.is_true(errors.is(err), tostring(err))
  assert.equal(kind, err.kind, tostring(err))
  return tostring(err)
end

describe("registry, a real one", function()
  after_each(env.cleanup)

  it("lists tags and tells digests, in plain Lua and in tasks", function()
    local name = env.name "web"
    local image = env.registry .. "/shop/" .. name
    local digests = {}
    for _, tag in ipairs { "1.0.0", "1.1.0", "latest" } do digests[tag] = env.tinyimage(image .. ":" .. tag) end
    local r = new()
    assert.same({ "1.0.0", "1.1.0", "latest" }, sorted(assert(r:tags(image))))
    for tag, digest in pairs(digests) do assert.equal(digest, assert(r:head(image, tag)).digest) end
    assert.equal(digests.latest, assert(r:head(image, digests.latest)).digest)
    loop.run(function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = loop.spawn(function()
          assert.same({ "1.0.0", "1.1.0", "latest" }, sorted(assert(r:tags(image))))
          return assert(r:head(image, "1.1.0")).digest
        end)
      end
      for _, task in ipairs(tasks) do assert.equal(digests["1.1.0"], task:join()) end
    end)
  end)

  it("takes an index and OCI types, which a wrong Accept would hide", function()
    local image = env.registry .. "/" .. env.name "multi"
    local index = env.tinyimage(image .. ":1", "--arch amd64,arm64")
    local oci = env.tinyimage(image .. ":2", "--oci --index")
    local r = new()
    assert.equal(index, assert(r:head(image, "1")).digest)
    assert.equal("application/vnd.docker.distribution.manifest.list.v2+json", r:head(image, "1").media_type)
    assert.equal(oci, assert(r:head(image, "2")).digest)
    assert.equal("application/vnd.oci.image.index.v1+json", r:head(image, "2").media_type)
  end)

  it("says what is not there", function()
    local r, name = new(), env.name "none"
    assert.matches("no repository there", assert_fails("not_found", r:tags(env.registry .. "/" .. name)))
    local image = env.registry .. "/" .. env.name "some"
    env.tinyimage(image .. ":1")
    assert.matches("no tag 2 there", assert_fails("not_found", r:head(image, "2")))
  end)

  it("says when nobody is there", function()
    local gone = env.start_registry()
    gone:stop()
    local message = assert_fails("unreachable", new():tags(gone.host .. "/x"))
    assert.is_truthy(message:find(gone.host, 1, true), message)
  end)

  it("logs in by Basic, each repository once", function()
    local own = env.start_registry "--auth htpasswd"
    local user, password = own.login:match "^(.-):(.*)$"
    local image = own.host .. "/private/web"
    env.run(("DW_REGISTRY_LOGIN=%s spec/support/tinyimage %s"):format(env.quote(own.login), env.quote(image .. ":1")))
    assert.matches("wants credentials", assert_fails("unauthorized", new():tags(image)))
    local wrong = new { [own.host] = { username = user, password = "not it" } }
    local message = assert_fails("unauthorized", wrong:tags(image))
    assert.matches("check username and password", message)
    assert.is_nil(message:find("not it", 1, true))
    local r = new { [own.host] = { username = user, password = password } }
    assert.same({ "1" }, assert(r:tags(image)))
    local before = requests(own.dir, " 401 ")
    assert(r:head(image, "1"))
    assert.same({ "1" }, assert(r:tags(image)))
    assert.equal(before, requests(own.dir, " 401 "))
    assert.same({ username = user, password = password }, r:credentials(own.host))
  end)

  it("logs in with what the docker command has stored, by password and by identity token", function()
    for _, kind in ipairs { "htpasswd", "token" } do
      local own, dir = env.start_registry("--auth " .. kind), env.tmpdir()
      local image = own.host .. "/private/web"
      env.run(("DW_REGISTRY_LOGIN=%s spec/support/tinyimage %s"):format(env.quote(own.login), env.quote(image .. ":1")))
      local client <close> = assert(docker.connect { host = "unix:///nonexistent.sock", config_dir = dir })
      local function stored(entry)
        env.write_file(dir .. "/config.json", json.encode { auths = { [own.host] = entry } })
        return registry.new {
          parse_reference = docker.parse_reference, http = http, now = loop.now,
          stored = function(domain, options) return credentials.find(client, domain, options) end,
        }
      end
      assert.same({ "1" }, assert(stored({ auth = env.run("base64 -w 0", own.login) }):tags(image)))
      local message = assert_fails("unauthorized", stored({ auth = env.run("base64 -w 0", "dw:not it") }):tags(image))
      assert.truthy(message:find(('auths["%s"] in %s/config.json'):format(own.host, dir), 1, true), message)
      assert.is_nil(message:find("not it", 1, true))
      if kind == "token" then
        local entry = { auth = env.run("base64 -w 0", "dw:"), identitytoken = "refresh-dw" }
        assert.same({ "1" }, assert(stored(entry):tags(image)))
      end
    end
  end)

  it("gets tokens where the registry wants them, and keeps them", function()
    local own = env.start_registry "--auth token"
    local user, password = own.login:match "^(.-):(.*)$"
    for _, path in ipairs { "public/web:1", "private/web:1" } do
      env.run(("DW_REGISTRY_LOGIN=%s spec/support/tinyimage %s"):format(env.quote(own.login),
        env.quote(own.host .. "/" .. path)))
    end
    local anonymous = new()
    assert.same({ "1" }, assert(anonymous:tags(own.host .. "/public/web")))
    assert_fails("unauthorized", anonymous:tags(own.host .. "/private/web"))
    local r = new { [own.host] = { username = user, password = password } }
    assert.same({ "1" }, assert(r:tags(own.host .. "/private/web")))
    local asked = #env.read_file(own.dir .. "/token.log")
    for _ = 1, 3 do
      assert(r:head(own.host .. "/private/web", "1"))
      assert(r:tags(own.host .. "/private/web"))
    end
    assert.equal(asked, #env.read_file(own.dir .. "/token.log"), "a token that was at hand was asked for again")
    local wrong = new { [own.host] = { username = user, password = "not it" } }
    assert.is_nil(assert_fails("unauthorized", wrong:tags(own.host .. "/private/web")):find("not it", 1, true))
  end)

  it("ends when its context is cancelled, and can go on", function()
    local image = env.registry .. "/" .. env.name "web"
    env.tinyimage(image .. ":1")
    local r, ctx = new(), docker.context {}
    ctx:cancel "enough"
    assert_fails("cancelled", r:tags(image, { ctx = ctx }))
    assert.same({ "1" }, assert(r:tags(image)))
  end)
end)
