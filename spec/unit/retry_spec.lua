-- What is sent again without being asked: a request on a kept-alive connection that died before any byte of a reply,
-- once, and only where the row of the operation says that it does no harm. Each operation is tried.

local core = require "docker_watcher.core"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

local left_out = { Session = true, ContainerAttachWebsocket = true, SystemPing = true }

-- The row's path, and parameters for it.
local function request_of(row)
  local params = {}
  local path = row.path:gsub("{(.-)}", function(name)
    params[name] = "some"
    return "some"
  end)
  if row.body == "stream" then params.body = "an archive" end
  return "/v1.41" .. path, params
end

local function reply_to(row)
  local bodies = { json = "{}", progress = "{}", items = "{}" }
  return { status = row.reply == "progress" and 200 or row.good[1], body = bodies[row.reply] or "" }
end

local function finish(result)
  if type(result) ~= "userdata" then return end
  for _ in result do assert.is_true(true) end
end

describe("a request whose kept-alive connection dies before the reply", function()
  local server
  local rows = {}
  for _, row in ipairs(core.operations()) do
    if not left_out[row.id] and row.since == "1.41" and row.reply ~= "hijack" then rows[#rows + 1] = row end
  end

  -- The first request for each operation gets nothing but the end of its connection.
  setup(function()
    local routes = {}
    for _, row in ipairs(rows) do
      local path = request_of(row)
      routes[#routes + 1] = { method = row.verb, path = path, times = 1, reply = { raw = "", after = "close" } }
      routes[#routes + 1] = { method = row.verb, path = path, reply = reply_to(row) }
    end
    server = scripted.start { api_version = "1.41", routes = routes }
  end)
  teardown(function() server:stop() end)

  local function count(row)
    local path, n = request_of(row), 0
    for _, request in ipairs(server:requests()) do
      if request.method == row.verb and request.path:match "^[^?]*" == path then n = n + 1 end
    end
    return n
  end

  for _, row in ipairs(rows) do
    it((row.idempotent and "is sent again: " or "is not sent again: ") .. row.id, function()
      local client <close> = assert(docker.connect { host = server.host, timeout = 20 })
      local _, params = request_of(row)
      assert(client:ping())
      local result, err = client:call(row.id, params)
      if row.idempotent then
        assert.is_truthy(result, tostring(err))
        finish(result)
        assert.equal(2, count(row))
      else
        assert.is_nil(result)
        assert.equal("interrupted", err.kind)
        assert.equal(1, count(row))
        finish(assert(client:call(row.id, params)))
        assert.equal(2, count(row))
      end
    end)
  end
end)

describe("a request that may be sent again", function()
  after_each(env.cleanup)

  local function start(routes)
    local server = scripted.start { api_version = "1.41", routes = routes }
    env.defer(function() server:stop() end)
    local client = assert(docker.connect { host = server.host, timeout = 20 })
    env.defer(function() client:close() end)
    assert(client:ping())
    return client, function()
      local n = 0
      for _, request in ipairs(server:requests()) do n = n + (request.path == "/v1.41/info" and 1 or 0) end
      return n
    end
  end

  it("is sent once more, not for ever", function()
    local client, count = start { { path = "/v1.41/info", reply = { raw = "", after = "close" } } }
    local info, err = client:info()
    assert.is_nil(info)
    assert.equal("interrupted", err.kind)
    assert.equal(2, count())
  end)

  it("is not where a line of the reply has come", function()
    local client, count = start { { path = "/v1.41/info", reply = { raw = "HTTP/1.1 200 OK\r\nX-", after = "close" } } }
    local info, err = client:info()
    assert.is_nil(info)
    assert.equal("interrupted", err.kind)
    assert.equal(1, count())
  end)

  it("is not where the connection was new", function()
    local server = scripted.start { api_version = "1.41", routes = { { path = "/v1.41/info", reply = { raw = "" } } } }
    env.defer(function() server:stop() end)
    local client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
    local info, err = client:info()
    assert.is_nil(info)
    assert.equal("interrupted", err.kind)
    assert.equal(1, #server:requests())
  end)

  it("is not after an error of the Engine's, whatever it is", function()
    for _, status in ipairs { 409, 429, 500, 502, 503 } do
      local client, count = start { { path = "/v1.41/info", reply = { status = status, json = { message = "no" } } } }
      assert.is_nil((client:info()))
      assert.equal(1, count())
    end
  end)
end)
