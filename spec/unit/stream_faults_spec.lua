-- What ends a stream badly, for each kind of stream: an Engine that resets, closes half, claims too much, or
-- goes silent. Each is an error that says what it was, and the same client works afterwards. Answers are
-- a scripted server's.

local env = require "spec.support.env"
local given = require "spec.support.given"
local loop = require "docker_watcher.loop"

local RAW = "application/vnd.docker.raw-stream"
local UPGRADED = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " .. RAW
  .. "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
local frame, failure = given.frame, given.failure

local sanitized = os.getenv "DW_PRELOAD" ~= nil -- freed memory is kept for a while then

-- Bytes of this process that are in memory.
local function resident()
  return tonumber(env.read_file("/proc/self/status"):match("VmRSS:%s+(%d+)")) << 10
end

-- Each kind of stream: how it is opened, what its server sends first, and what that is to read.
local kinds = {
  { name = "logs", path = "/v1.41/containers/web/logs", first = frame(1, "one\n"), item = "one\n",
    open = function(client, options)
      options.follow = true
      return client:logs("web", options)
    end },
  { name = "events", path = "/v1.41/events", item = "create",
    first = '{"Type":"volume","Action":"create","Actor":{"ID":"v"},"time":1,"timeNano":1000000000}\n',
    open = function(client, options)
      options.reconnect = false
      return client:events(options)
    end },
  { name = "stats", path = "/v1.41/containers/web/stats", first = '{"id":"web","memory_stats":{"usage":7}}\n', item = 7,
    open = function(client, options) return client:stats("web", options) end },
  { name = "save_image", path = "/v1.41/images/web/get", first = "bytes", item = "bytes",
    open = function(client, options) return client:save_image("web", options) end },
  { name = "export", path = "/v1.41/containers/web/export", first = "bytes", item = "bytes",
    open = function(client, options) return client:export("web", options) end },
  { name = "copy_out", path = "/v1.41/containers/web/archive", first = "bytes", item = "bytes",
    -- {"name":"a","mode":420}
    headers = { ["X-Docker-Container-Path-Stat"] = "eyJuYW1lIjoiYSIsIm1vZGUiOjQyMH0=" },
    open = function(client, options) return client:copy_out("web", "/a", nil, options) end },
  { name = "push", path = "/v1.41/images/web/push", first = '{"status":"Preparing"}\n', item = "Preparing",
    open = function(client, options) return client:call("ImagePush", { name = "web" }, options) end },
  { name = "build", path = "/v1.41/build", first = '{"stream":"Step 1"}\n', item = "Step 1",
    open = function(client, options) return client:call("ImageBuild", { body = "tar" }, options) end },
  { name = "attach", path = "/v1.41/containers/web/attach", first = frame(1, "one\n"), item = "one\n", two_way = true,
    open = function(client, options) return client:attach("web", options) end },
  { name = "exec_stream", path = "/v1.41/exec/e/start", first = frame(1, "one\n"), item = "one\n", two_way = true,
    open = function(client, options) return client:exec_stream("web", { "cat" }, options) end },
}

-- What an item of any kind comes to.
local function plain(item)
  if type(item) ~= "table" then return item end
  return item.action or item.memory or item.status or item.stream
end

-- A client of a server that answers a kind of stream with these pieces, once its head and first item are sent, and
-- other requests well. `pieces` = nil: not even a head.
local function serve(kind, pieces, options)
  options = options or {}
  local reply
  if not pieces then
    reply = { raw = { { wait = true } } }
  elseif kind.two_way then
    reply = { raw = table.move(pieces, 1, #pieces, 3, { UPGRADED, kind.first }) }
  else
    reply = { framing = options.framing or "chunked", headers = kind.headers,
      body = table.move(pieces, 1, #pieces, 2, { kind.first }) }
  end
  local server = given.server { unix = options.unix, routes = {
    { path = kind.path, reply = reply, times = 1 },
    { path = "/v1.41/containers/web/exec", reply = { status = 201, json = { Id = "e" } } },
    { path = "/v1.41/exec/e/json", reply = { json = { Running = false, ExitCode = 0 } } },
    { path = "/v1.41/containers/web/json", reply = { json = { Id = "web", Config = { Tty = false } } } },
    { path = "/v1.41/info", reply = { json = { ID = "x" } } },
  } }
  return given.client { host = server.host, timeout = options.timeout or 20 }, server
end

-- The first item is there, then comes the error, of that kind.
local function breaks(kind, client, wanted, options)
  local stream = assert(kind.open(client, options or {}))
  assert.equal(kind.item, plain(assert(stream:read())))
  local item, err
  repeat item, err = stream:read() until item == nil
  assert(err, kind.name .. " came to a clean end")
  failure(wanted, item, err)
  stream:close()
  assert(client:info())
  return err
end

for _, kind in ipairs(kinds) do
  describe(kind.name, function()
    after_each(env.cleanup)

    it("that is reset is interrupted", function()
      breaks(kind, serve(kind, { { delay = 0.05 }, { reset = true } }, { unix = false }), "interrupted")
    end)

    if not kind.two_way then -- where it is the end of the output
      it("whose Engine closes its half is interrupted", function()
        breaks(kind, serve(kind, { { half_close = true } }), "interrupted")
      end)
    end

    it("first_byte_timeout ends one that never begins, and is named", function()
      local client, server = serve(kind, nil)
      local err = failure("timeout", kind.open(client, { first_byte_timeout = 0.1, idle_timeout = 20 }))
      assert.matches("first_byte_timeout", err.message)
      assert.is_nil(err.message:find("idle_timeout", 1, true))
      assert.equal("x", assert(client:info()).id)
      server:wait_closed(1)
    end)

    it("idle_timeout ends one that falls silent, and is named", function()
      local client = serve(kind, { { wait = true } })
      local err = breaks(kind, client, "timeout", { idle_timeout = 0.1, first_byte_timeout = 20 })
      assert.matches("idle_timeout", err.message)
    end)

    it("timeout ends one that falls silent", function()
      local err = breaks(kind, serve(kind, { { wait = true } }), "timeout", { timeout = 0.5 })
      assert.is_nil(err.message:find("idle_timeout", 1, true))
      assert.is_nil(err.message:find("first_byte", 1, true))
    end)

    it("ends by task:cancel in the middle, and nothing stays open", function()
      local client, server = serve(kind, { { wait = true } })
      loop.run(function()
        local task = loop.spawn(function()
          local stream <close> = assert(kind.open(client, {}))
          assert(stream:read())
          return stream:read()
        end)
        while client:connections() == 0 or tostring(task) ~= "task (sleeping)" do loop.sleep(0.01) end
        loop.sleep(0.1)
        task:cancel()
        failure("cancelled", task:join())
      end)
      assert(client:info())
      client:close()
      local opened = server:connections()
      server:wait_closed(opened)
    end)

    it("ends by client:close in another task", function()
      local client, server = serve(kind, { { wait = true } })
      loop.run(function()
        local stream <close> = assert(kind.open(client, {}))
        assert(stream:read())
        local task = loop.spawn(function() return stream:read() end)
        loop.sleep(0.05)
        client:close()
        local err = failure("cancelled", task:join())
        assert.matches("the client was closed", err.message)
      end)
      server:wait_closed((server:connections()))
    end)
  end)
end

describe("a JSON call", function()
  after_each(env.cleanup)

  it("that is accepted and never answered ends by timeout; the next one works", function()
    local server = given.server { routes = {
      { path = "/v1.41/info", times = 1, reply = { raw = { { wait = true } } } },
      { path = "/v1.41/info", reply = { json = { ID = "x" } } },
    } }
    local client = given.client { host = server.host }
    failure("timeout", client:info { timeout = 0.1 })
    assert.equal("x", assert(client:info()).id)
  end)

  it("to a host that takes the connection and says no word of TLS ends by connect_timeout, and names it", function()
    local server = given.server { unix = false, api_version = false, connections = { { raw = { { wait = true } } } } }
    local client = given.client { host = server.host, tls = { verify = false }, connect_timeout = 0.2, timeout = 20 }
    local err = failure("unreachable", client:ping())
    assert.matches("connect_timeout", err.message)
  end)
end)

describe("a frame that claims 4 GiB", function()
  after_each(env.cleanup)

  for _, i in ipairs { 1, 9, 10 } do
    local kind = kinds[i]
    it("is refused by LIMIT_FRAME: " .. kind.name, function()
      local err = breaks(kind, serve(kind, { "\1\0\0\0\255\255\255\255", { text = ("x"):rep(1000) }, { wait = true } }),
        "too_large")
      assert.matches("LIMIT_FRAME", err.message)
    end)
  end
end)

-- #heavy: what is resident under valgrind says nothing.
describe("64 MiB without the end of a line #heavy", function()
  after_each(env.cleanup)

  it("is delivered, and memory stays flat: chunks are not lines", function()
    local kind = kinds[1]
    local client = serve(kind, { { text = frame(1, ("x"):rep(32760)), ["repeat"] = 2048 } })
    local stream = assert(kind.open(client, {}))
    local size = #assert(stream:read()) - #kind.item
    local before, most, next_look = resident(), 0, 0
    for chunk in stream do
      size = size + #chunk
      if size >= next_look then
        most = math.max(most, resident() - before)
        next_look = size + (4 << 20)
      end
    end
    assert.equal(2048 * 32760, size)
    if not sanitized then assert.is_true(most < 8 << 20, most .. " bytes more") end
    assert(client:info())
  end)

  for _, i in ipairs { 2, 3, 7, 8 } do
    local kind = kinds[i]
    it("is refused by LIMIT_JSON_ITEM where it is one item: " .. kind.name, function()
      local before = resident()
      local client = serve(kind, { '{"stream":"', { text = ("x"):rep(1 << 20), ["repeat"] = 64 } })
      local err = breaks(kind, client, "too_large")
      assert.matches("LIMIT_JSON_ITEM", err.message)
      if not sanitized then assert.is_true(resident() - before < 24 << 20) end
    end)
  end
end)

describe("a 200 that turns into an error", function()
  after_each(env.cleanup)

  it("of frames is the daemon's word", function()
    local err = breaks(kinds[1], serve(kinds[1], { frame(3, "disk on fire"), { wait = true } }), "stream")
    assert.matches("disk on fire", err.message)
  end)

  for _, i in ipairs { 7, 8 } do
    local kind = kinds[i]
    it("of " .. kind.name .. " is its error", function()
      local client = serve(kind, { '{"errorDetail":{"message":"no space left"}}', { wait = true } })
      local err = breaks(kind, client, "engine")
      assert.matches("no space left", err.message)
    end)
  end
end)

