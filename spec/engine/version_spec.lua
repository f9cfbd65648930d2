-- The API version that is spoken: negotiated at the first call, capped, pinned, refused. Engine semantics 1 to 4; the
-- operations of later versions (ops.c).

local child = require "spec.support.child"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local given = require "spec.support.given"
local loop = require "docker_watcher.loop"

local start = given.server

local OURS = 55 -- OPS_NEWEST

local function connect(server, options)
  options = options or {}
  options.host = server.host
  return given.client(options)
end

-- "HEAD /_ping", "GET /v1.41/info", …
local function asked(server)
  local lines = {}
  for i, request in ipairs(server:requests()) do lines[i] = request.method .. " " .. request.path end
  return lines
end

local info = { prefix = "/v1.", reply = { json = { ID = "it", Name = "engine" } } }

local function pong(version) return { headers = { ["Api-Version"] = version }, body = "OK" } end

after_each(env.cleanup)

describe("negotiation (semantics 1, 3)", function()
  for theirs, spoken in pairs {
    ["1.41"] = 41, ["1.44"] = 44, ["1.54"] = 54, ["1.55"] = 55, ["1.56"] = OURS, ["1.99"] = OURS, ["1.999"] = OURS,
  } do
    it("with an engine of " .. theirs .. " takes 1." .. spoken, function()
      local server = start { api_version = theirs, routes = { info } }
      local client = connect(server)
      assert(client:info())
      assert(client:info())
      local question = ("GET /v1.%d/info"):format(spoken)
      assert.same({ "HEAD /_ping", question, question }, asked(server))
      assert.matches("API 1%." .. spoken .. "%)$", tostring(client))
    end)
  end

  it("asks by GET where HEAD is refused, with any status, and goes on", function()
    for _, status in ipairs { 400, 404, 405, 500, 501, 301 } do
      local server = start { api_version = false, routes = {
        { method = "HEAD", path = "/_ping", reply = { status = status } },
        { method = "GET", path = "/_ping", reply = pong "1.44" }, info,
      } }
      assert(connect(server):info())
      assert.same({ "HEAD /_ping", "GET /_ping", "GET /v1.44/info" }, asked(server))
    end
  end)

  it("that finds no Engine says so", function()
    for _, reply in ipairs { { body = "OK" }, { headers = { ["Api-Version"] = "" } }, pong "2.0", pong "1.x", pong "1.",
      pong "41", pong "1.41.0", pong "1.-4", pong(("1"):rep(50)), pong "1.41\t\t2" } do
      local server = start { api_version = false, routes = { { path = "/_ping", reply = reply } } }
      local client = connect(server)
      for _, call in ipairs { client.ping, client.info } do
        local value, err = call(client)
        assert.is_nil(value)
        assert.equal("protocol", err.kind)
        assert.matches("does not answer as a Docker Engine does", err.message)
      end
      for _, line in ipairs(asked(server)) do assert.matches("/_ping$", line) end
    end
  end)

  it("that meets an error says which, and is tried anew by the next call", function()
    local server = start { api_version = false, routes = {
      { path = "/_ping", times = 2, reply = { status = 503, json = { message = "starting up" } } },
      { path = "/_ping", reply = pong "1.41" }, info,
    } }
    local client = connect(server)
    local value, err = client:info()
    assert.is_nil(value)
    assert.equal("engine", err.kind)
    assert.equal("info: starting up", err.message)
    assert.equal("engine", assert(client:info()).name)
  end)

  it("refuses an engine that is too old, and names both", function()
    local server = start { api_version = "1.24", routes = { info } }
    local client = connect(server)
    for _ = 1, 2 do
      local value, err = client:info()
      assert.is_nil(value)
      assert.equal("version", err.kind)
      assert.matches("1%.24", err.message)
      assert.matches("1%.41", err.message)
    end
    assert.same({ "HEAD /_ping", "HEAD /_ping" }, asked(server))
  end)

  it("is done once for calls that begin together, or at least agrees", function()
    local server = start { api_version = "1.44", routes = { info } }
    local client = connect(server)
    loop.run(function()
      for _ = 1, 10 do loop.spawn(function() assert(client:info()) end) end
    end)
    for _, line in ipairs(asked(server)) do assert.is_true(line == "HEAD /_ping" or line == "GET /v1.44/info") end
  end)

  -- What needs 1.42 by its row, 1.42 by an option, 1.44 by a field.
  local gated = {
    VolumeUpdate = function(client)
      return client:call("VolumeUpdate", { name = "v", version = 1, body = { Spec = {} } })
    end,
    ["stop_container's signal"] = function(client) return client:stop_container("web", { signal = "SIGINT" }) end,
    ["create_container's start_interval"] = function(client)
      return client:create_container { image = "x", name = "web", healthcheck = { start_interval = 1 } }
    end,
  }
  local answers = { { prefix = "/v1.44/containers/create", reply = { status = 201, json = { Id = "new" } } },
    { method = "POST", prefix = "/v1.44/", reply = { status = 204 } }, { method = "PUT", prefix = "/v1.44/" }, info }

  for what, call in pairs(gated) do
    it("is done anew where the version lacks something: " .. what, function()
      local server = start { api_version = false, routes = {
        { path = "/_ping", replies = { pong "1.41", pong "1.44" } }, table.unpack(answers),
      } }
      local client = connect(server)
      assert(client:info())
      assert(call(client))
      local lines = asked(server)
      assert.same({ "HEAD /_ping", "GET /v1.41/info", "HEAD /_ping" }, { table.unpack(lines, 1, 3) })
      assert.matches("^%u+ /v1%.44/", lines[4])
      assert.equal(4, #lines)
    end)

    it("that ends lower leaves nothing out: " .. what, function()
      local server = start { api_version = "1.44", routes = {
        { prefix = "/v1.44/info", reply = info.reply },
        { prefix = "/v1.44/", reply = { status = 400, headers = { ["Api-Version"] = "1.41" }, json = { message =
          "client version 1.44 is too new. Maximum supported API version is 1.41" } } },
        { prefix = "/v1.41/", reply = { status = 201, json = { Id = "without" } } },
      } }
      local client = connect(server)
      assert(client:info())
      local value, err = call(client)
      assert.is_nil(value)
      assert.equal("version", err.kind)
      assert.matches("needs API version 1%.4[24]; the version in use with .* is 1%.41", err.message)
      for _, line in ipairs(asked(server)) do assert.is_nil(line:find("/v1.41/", 1, true), line) end
    end)
  end

  it("is done anew by each ping, and a newer engine is seen", function()
    local server = start { api_version = false, routes = {
      { path = "/_ping", replies = { pong "1.41", pong "1.44" } }, info,
    } }
    local client = connect(server)
    assert.equal("1.41", assert(client:ping()).api_version)
    assert(client:info())
    assert.equal("1.44", assert(client:ping()).api_version)
    assert(client:info())
    assert.same({ "HEAD /_ping", "GET /v1.41/info", "HEAD /_ping", "GET /v1.44/info" }, asked(server))
  end)
end)

describe("a version that is refused (semantics 2)", function()
  local function refusal(version, header)
    return { status = 400, headers = { ["Api-Version"] = header }, json = { message =
      "client version " .. version .. " is too old. Minimum supported API version is 1.44, please upgrade your " ..
      "client to a newer version" } }
  end

  it("is renegotiated from the refusal's header, and the call repeated, create included", function()
    local server = start { api_version = "1.41", routes = {
      { prefix = "/v1.41/", reply = refusal("1.41", "1.52") },
      { method = "POST", path = "/v1.52/containers/create", reply = { status = 201, json = { Id = "new" } } },
      { prefix = "/v1.52/", reply = { json = { Name = "engine" } } },
    } }
    local client = connect(server)
    assert.equal("new", assert(client:call("ContainerCreate", { name = "a b", body = { Image = "x" } })).Id)
    assert.equal("engine", assert(client:info()).name)
    assert.same({
      "HEAD /_ping", "POST /v1.41/containers/create?name=a%20b", "POST /v1.52/containers/create?name=a%20b",
      "GET /v1.52/info",
    }, asked(server))
    assert.same({ Image = "x" }, require "cjson".decode(server:requests()[3].body))
  end)

  it("is renegotiated where the ping had to be a GET, too", function()
    local server = start { api_version = false, routes = {
      { method = "HEAD", path = "/_ping", reply = { status = 405 } },
      { method = "GET", path = "/_ping", reply = pong "1.41" },
      { prefix = "/v1.41/", reply = refusal("1.41", "1.44") }, info,
    } }
    assert.equal("engine", assert(connect(server):info()).name)
  end)

  it("again and again ends with kind version, not in a circle", function()
    for _, headers in ipairs { { "1.52", "1.41" }, { "1.41", "1.41" }, { "1.99", "1.99" } } do
      local server = start { api_version = "1.41", routes = {
        { prefix = "/v1.41/", reply = refusal("1.41", headers[1]) },
        { prefix = "/v1.", reply = refusal("1.5x", headers[2]) },
      } }
      local client = connect(server)
      for _ = 1, 2 do
        local value, err = client:info()
        assert.is_nil(value)
        assert.equal("version", err.kind)
        assert.matches("Minimum supported API version is 1.44", err.message)
        assert.equal(400, err.status)
      end
      assert.is_true(#asked(server) <= 6)
    end
  end)

  it("without a header to tell why keeps the engine's words", function()
    local server = start { api_version = "1.41", routes = { { prefix = "/v1.41/", reply = refusal("1.41", "") } } }
    local value, err = connect(server):info()
    assert.is_nil(value)
    assert.equal("version", err.kind)
    assert.matches("Minimum supported API version is 1.44", err.message)
  end)

  it("by an engine that is now too old for us names both", function()
    local server = start { api_version = "1.44", routes = { { prefix = "/v1.", reply = { status = 400,
      headers = { ["Api-Version"] = "1.40" }, json = { message =
        "client version 1.44 is too new. Maximum supported API version is 1.40" } } } } }
    local value, err = connect(server):info()
    assert.is_nil(value)
    assert.equal("version", err.kind)
    assert.matches("1%.40", err.message)
  end)

  it("is not what another 400 is", function()
    local server = start { api_version = "1.41", routes = { { prefix = "/v1.", reply = { status = 400,
      headers = { ["Api-Version"] = "1.52" }, json = { message = "invalid filter" } } } } }
    local value, err = connect(server):info()
    assert.is_nil(value)
    assert.equal("invalid", err.kind)
    assert.equal(2, #asked(server))
  end)
end)

describe("a pinned version", function()
  it("is spoken without negotiation", function()
    local server = start { api_version = "1.44", routes = { info } }
    assert(connect(server, { api_version = "1.42" }):info())
    assert.same({ "GET /v1.42/info" }, asked(server))
  end)

  it("stays, whatever a ping says", function()
    local server = start { api_version = "1.44", routes = { info } }
    local client = connect(server, { api_version = "1.42" })
    assert.equal("1.44", assert(client:ping()).api_version)
    assert(client:info())
    assert.same({ "HEAD /_ping", "GET /v1.42/info" }, asked(server))
  end)

  it("that is refused is kind version, and not changed behind the caller's back", function()
    local server = start { routes = { { prefix = "/v1.42/", reply = {
      status = 400, headers = { ["Api-Version"] = "1.52" },
      json = { message = "client version 1.42 is too old. Minimum supported API version is 1.44" },
    } }, info } }
    local client = connect(server, { api_version = "1.42" })
    for _ = 1, 2 do
      local value, err = client:info()
      assert.is_nil(value)
      assert.equal("version", err.kind)
      assert.matches("refuses API version 1.42", err.message)
    end
    assert.same({ "GET /v1.42/info", "GET /v1.42/info" }, asked(server))
  end)

  it("may come from DOCKER_API_VERSION; the option is stronger", function()
    local server = start { api_version = "1.44", routes = { info } }
    local source = [[
      local client = docker.connect { host = ..., api_version = select(2, ...) }
      print((assert(client:info()).name))
      print((tostring(client):match("API ([%d.]+)")))
    ]]
    local function with(value, ...)
      local lua = env.lua
      env.lua = "DOCKER_API_VERSION=" .. env.quote(value) .. " " .. lua
      local ok, out = pcall(child.check, source, server.host, ...)
      env.lua = lua
      return ok and out or error(out, 0)
    end
    assert.equal("engine\n1.43\n", with("1.43"))
    assert.equal("engine\n1.42\n", with("1.43", "1.42"))
    assert.equal("engine\n1.44\n", with("")) -- set, but to nothing
    for _, bad in ipairs { "1.40", "1.99", "v1.44", "latest", "2.0" } do
      local ok, err = pcall(with, bad)
      assert.is_false(ok)
      assert.matches("connect: DOCKER_API_VERSION: [^\n]* expected, got \"" .. bad:gsub("%p", "%%%0") .. "\"", err)
    end
  end)

  it("that is none, or none of ours, is misuse", function()
    for _, bad in ipairs {
      "", "1", "1.", "1.4x", "v1.41", "1.41 ", " 1.41", "2.41", "1.-41", "1.+41", "1.041x", "1.40", "1.56",
      "1.999999999999999999999",
    } do
      local ok, err = pcall(function() docker.connect { host = "unix:///x.sock", api_version = bad } end)
      assert.is_false(ok, bad)
      assert.matches("^spec/engine/version_spec.lua:%d+: connect: option 'api_version': ", err)
    end
    assert.is_false(pcall(docker.connect, { api_version = 1.41 }))
  end)
end)

describe("an operation that the version lacks (semantics 4)", function()
  it("is kind version, names both versions, and is not sent", function()
    local server = start { api_version = "1.41", routes = { info } }
    local client = connect(server)
    for _ = 1, 2 do
      local value, err = client:call("VolumeUpdate", { name = "v", version = 1, body = { Spec = {} } })
      assert.is_nil(value)
      assert.equal("version", err.kind)
      assert.equal("VolumeUpdate v: VolumeUpdate needs API version 1.42; the version in use with " .. server.host ..
        " is 1.41", err.message)
    end
    assert.same({ "HEAD /_ping", "HEAD /_ping" }, asked(server)) -- each call looks for a newer Engine
    assert(client:info())
  end)

  it("is kind version at once where the version is pinned", function()
    local server = start { routes = { info } }
    local client = connect(server, { api_version = "1.41" })
    local value, err = client:call("VolumeUpdate", { name = "v", version = 1, body = { Spec = {} } })
    assert.is_nil(value)
    assert.equal("version", err.kind)
    value, err = client:stop_container("web", { signal = "SIGINT" })
    assert.is_nil(value)
    assert.equal("version", err.kind)
    assert.same({}, asked(server))
  end)

  it("is sent where the engine has it", function()
    local server = start { api_version = "1.42", routes = {
      { method = "PUT", path = "/v1.42/volumes/v", query = "version=1", reply = { status = 200 } },
    } }
    assert.is_true(connect(server):call("VolumeUpdate", { name = "v", version = 1, body = { Spec = {} } }))
  end)
end)

describe("a real engine", function()
  it("is spoken to in the version that it and we know", function()
    local client <close> = assert(docker.connect {})
    local ping = assert(client:ping())
    local _, version = env.engine("GET", "/version")
    assert.equal(version.ApiVersion, ping.api_version)
    assert.equal(version.Version, assert(client:version()).version)
    local spoken = math.min(tonumber(ping.api_version:match("%.(%d+)")), OURS)
    assert.matches("API 1%." .. spoken .. "%)$", tostring(client))
  end)

  it("refuses a version that it is too old for, and says so", function()
    local _, version = env.engine("GET", "/version")
    local newest = tonumber(version.ApiVersion:match("%.(%d+)"))
    if newest >= OURS then return end -- it knows all that we can pin
    local client <close> = assert(docker.connect { api_version = "1." .. newest + 1 })
    local value, err = client:info()
    assert.is_nil(value)
    assert.equal("version", err.kind)
    assert.matches("too new", err.message)
  end)
end)
