-- src/stream_write.c, invoke.c: two-way streams (attach, exec), from a scripted server.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

local RAW, FRAMED = "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream"

local function frame(stream, text)
  return string.pack(">I1xxxs4", stream, text)
end

local function upgraded(kind)
  return "HTTP/1.1 101 UPGRADED\r\nContent-Type: " .. (kind or RAW) .. "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
end

-- A client of a server that answers an attach or exec start with these pieces behind the 101.
local function serve(pieces, options)
  options = options or {}
  local raw = { options.head or upgraded(options.type) }
  table.move(pieces, 1, #pieces, 2, raw)
  local version = options.version or "1.41"
  local reply = { raw = raw, after = options.after or "close" }
  local server = scripted.start { api_version = version, routes = {
    { path = "/v" .. version .. "/containers/web/attach", reply = reply },
    { path = "/v" .. version .. "/exec/e/start", reply = reply },
    { path = "/v" .. version .. "/info", reply = { json = { ID = "x" } } },
  } }
  env.defer(function() server:stop() end)
  local client = assert(docker.connect { host = server.host, timeout = 20 })
  env.defer(function() client:close() end)
  return client, server
end

local function attach(client, options)
  return client:call("ContainerAttach", { id = "web", stream = true, stdin = true, stdout = true }, options)
end

local function collect(stream)
  local all = {}
  while true do
    local chunk, which = stream:read()
    if not chunk then return all, which end
    all[#all + 1] = which .. ":" .. chunk
  end
end

local function both(fn)
  fn()
  loop.run(fn)
end

describe("a two-way stream", function()
  after_each(env.cleanup)

  it("asks for an upgrade, writes and reads, and ends its side with close_write (semantics 36)", function()
    local client, server = serve({ { echo = true } })
    both(function()
      local stream = assert(attach(client, { tty = true }))
      assert.is_true(stream:write("hello "))
      assert.is_true(stream:write(""))
      assert.is_true(stream:write("world\0\255"))
      assert.is_true(stream:close_write())
      assert.is_true(stream:close_write())
      local text = ""
      for chunk, which in stream do
        assert.equal("stdout", which)
        text = text .. chunk
      end
      assert.equal("hello world\0\255", text)
    end)
    local request = server:requests()[2]
    assert.same({ "POST", "Upgrade", "tcp" }, { request.method, request.headers.connection, request.headers.upgrade })
    assert.matches("^/v1%.41/containers/web/attach%?", request.path)
  end)

  it("sends the exec's configuration as JSON", function()
    local client, server = serve({ frame(1, "out"), frame(2, "err") })
    local stream = assert(client:call("ExecStart", { id = "e", body = { Detach = false, Tty = false } }))
    assert.same({ "stdout:out", "stderr:err" }, (collect(stream)))
    local request = server:requests()[2]
    assert.same({ "application/json", '"Upgrade"' }, { request.headers["content-type"],
      '"' .. request.headers.connection .. '"' })
    assert.matches('"Tty":false', request.body)
  end)

  it("has what came behind the 101 in the same packet (semantics 36)", function()
    local client = serve({}, { head = upgraded() .. frame(1, "at once") })
    assert.same({ "stdout:at once" }, (collect(assert(attach(client)))))
  end)

  it("is framed by default, bare with tty; from 1.42 on the Content-Type decides (semantics 35)", function()
    local body = frame(2, "x")
    local function read(kind, version, options)
      local client = serve({ body }, { type = kind, version = version })
      return collect(assert(attach(client, options)))[1]
    end
    assert.equal("stderr:x", read(RAW, "1.41"))
    assert.equal("stdout:" .. body, read(RAW, "1.41", { tty = true }))
    assert.equal("stdout:" .. body, read(RAW, "1.42"))
    assert.equal("stderr:x", read(FRAMED, "1.42", { tty = true }))
    local client = serve({ body })
    local stream = assert(client:call("ExecStart", { id = "e", body = { Tty = true } }))
    assert.same({ "stdout:" .. body }, (collect(stream)))
  end)

  it("may be written by one task while another one reads", function()
    local client = serve({ { echo = true } })
    local piece = ("0123456789abcdef"):rep(4096)
    loop.run(function()
      local stream = assert(attach(client, { tty = true }))
      local size = 0
      local reader = loop.spawn(function()
        for chunk in stream do size = size + #chunk end
      end)
      for _ = 1, 50 do assert.is_true(stream:write(piece)) end
      stream:close_write()
      reader:join()
      assert.equal(50 * #piece, size)
    end)
  end)

  it("write waits while the other side does not read", function()
    local client, server = serve({ { wait_for = "go" }, { echo = true } })
    local piece = ("x"):rep(1 << 20)
    loop.run(function()
      local stream = assert(attach(client, { tty = true }))
      local done
      local writer = loop.spawn(function()
        for _ = 1, 3 do assert.is_true(stream:write(piece)) end
        done = true
        return stream:close_write()
      end)
      assert(loop.sleep(0.2))
      assert.is_nil(done)
      assert.has_error(function() stream:write("y") end, "another task is writing to this stream")
      server:signal "go"
      local size = 0
      for chunk in stream do size = size + #chunk end
      assert.is_true(writer:join())
      assert.equal(3 << 20, size)
    end)
  end)

  it("a write that waits ends by ctx, deadline and cancel, and the stream can still be read", function()
    local client = serve({ "hello", { wait_for = "never" } })
    local huge = ("x"):rep(4 << 20)
    local ctx = docker.context {}
    local stream = assert(attach(client, { tty = true, ctx = ctx }))
    loop.run(function()
      local writer = loop.spawn(function() return stream:write(huge) end)
      assert(loop.sleep(0.05))
      writer:cancel()
      local ok, err = writer:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      assert.equal("hello", (stream:read()))
      writer = loop.spawn(function() return stream:write(huge) end)
      assert(loop.sleep(0.05))
      ctx:cancel("over")
      ok, err = writer:join()
      assert.is_nil(ok)
      assert.matches("cancelled: over", err.message)
    end)
    stream:close()
    stream = assert(attach(client, { tty = true, timeout = 0.2 }))
    local ok, err = stream:write(huge)
    assert.is_nil(ok)
    assert.equal("timeout", err.kind)
    stream:close()
  end)

  it("whose other side has closed takes no more", function()
    local client = serve({ "bye" })
    local stream = assert(attach(client, { tty = true }))
    assert.equal("bye", (stream:read()))
    assert.is_nil(stream:read())
    local ok, err = stream:write("anybody?")
    assert.is_nil(ok)
    assert.equal("interrupted", err.kind)
    assert.is_true(stream:close_write())
    stream:close()
    assert.has_error(function() stream:write("x") end, "the stream is closed")
  end)

  it("that is cut inside a frame, or reset, is interrupted", function()
    local client = serve({ frame(1, "whole"), frame(1, "cut"):sub(1, 9) })
    local all, err = collect(assert(attach(client)))
    assert.matches("^stdout:whole", all[1])
    assert.equal("interrupted", err.kind)
    local server = scripted.start { unix = false, api_version = "1.41", routes = {
      { prefix = "/v1", reply = { raw = { upgraded(), frame(1, "a"), { delay = 0.1 }, { reset = true } } } } } }
    env.defer(function() server:stop() end)
    local other <close> = assert(docker.connect { host = server.host })
    err = select(2, collect(assert(attach(other))))
    assert.equal("interrupted", err.kind)
  end)

  it("closes its connection, and the client goes on", function()
    local client, server = serve({ { wait = true } })
    local stream = assert(attach(client))
    stream:close()
    server:wait_closed(1)
    assert(client:info())
  end)

  it("needs a 101: a proxy that answers 200 is told of", function()
    local client = serve({ "output" }, { head = "HTTP/1.1 200 OK\r\nContent-Type: " .. RAW .. "\r\n\r\n" })
    local stream, err = attach(client)
    assert.is_nil(stream)
    assert.equal("protocol", err.kind)
    assert.matches("answered 200.*proxy", err.message)
    assert(client:info())
  end)

  it("a refusal is an error by its status", function()
    local body = '{"message":"Container abc is not running"}'
    local client = serve({}, { head = "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: "
      .. #body .. "\r\n\r\n" .. body })
    local stream, err = client:call("ExecStart", { id = "e", body = {} })
    assert.is_nil(stream)
    assert.same({ "conflict", 409, "ExecStart e: Container abc is not running" },
      { err.kind, err.status, err.message })
  end)

  it("is not for an exec that is started detached", function()
    local client, server = serve({}, { head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" })
    assert.is_true(client:call("ExecStart", { id = "e", body = { Detach = true } }))
    assert.is_nil(server:requests()[2].headers.upgrade)
    local params = { id = "e", body = { Detach = true } }
    assert.error_matches(function() client:call("ExecStart", params, { stdin = "" }) end, "detached")
  end)

  it("timeouts: the first byte and idle", function()
    local client = serve({ "x", { wait = true } })
    local stream = assert(attach(client, { tty = true, idle_timeout = 0.1 }))
    assert.equal("x", (stream:read()))
    local _, err = stream:read()
    assert.matches("idle_timeout", err.message)
    local server = scripted.start { connections = { { raw = { { read = 10 }, { wait = true } } } } }
    env.defer(function() server:stop() end)
    local other <close> = assert(docker.connect { host = server.host, api_version = "1.41", timeout = 0.1 })
    stream, err = attach(other)
    assert.is_nil(stream)
    assert.matches("first_byte_timeout", err.message)
  end)
end)

describe("stdin of a two-way stream", function()
  after_each(env.cleanup)

  it("is a string, a function, or an object with read(); then the side is closed", function()
    local client = serve({ { echo = true } })
    local path = env.tmpdir() .. "/f"
    env.write_file(path, "from a file")
    both(function()
      local n = 0
      local file <close> = assert(io.open(path, "rb"))
      for want, stdin in pairs {
        ["from a string"] = "from a string", [""] = "", ["from a file"] = file,
        ["123"] = function()
          n = n + 1
          return n <= 3 and tostring(n) or nil
        end,
        [("x"):rep(3 << 20)] = ("x"):rep(3 << 20),
      } do
        local text = ""
        for chunk in assert(attach(client, { tty = true, stdin = stdin })) do text = text .. chunk end
        assert.is_true(want == text)
      end
    end)
  end)

  it("is not touched where the Engine refuses", function()
    local client = serve({}, { head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" })
    local asked = 0
    local stream, err = attach(client, { stdin = function() asked = asked + 1 end })
    assert.is_nil(stream)
    assert.same({ "not_found", 0 }, { err.kind, asked })
  end)

  it("that fails fails the read", function()
    local client = serve({ { echo = true } })
    local stream = assert(attach(client, { tty = true, stdin = function() return nil, "broken" end }))
    local chunk, err = stream:read()
    assert.is_nil(chunk)
    assert.equal("broken", err.cause)
    stream = assert(attach(client, { tty = true, stdin = function() error("no", 0) end }))
    assert.same({ false, "no" }, { pcall(stream.read, stream) })
  end)

  it("and write exclude each other", function()
    local client = serve({ { echo = true } })
    local stream = assert(attach(client, { tty = true, stdin = "x" }))
    assert.has_error(function() stream:write("y") end, "the option 'stdin' writes to this stream")
    assert.has_error(function() stream:close_write() end, "the option 'stdin' writes to this stream")
    assert.error_matches(function() attach(client, { stdin = 12 }) end, "option 'stdin': string, function")
  end)

  it("that the other side does not want is left where it is; the end is then a reset, perhaps", function()
    local client = serve({ "done" })
    local asked = 0
    local stream = assert(attach(client, { tty = true, stdin = function()
      asked = asked + 1
      return ("x"):rep(1000)
    end }))
    assert.equal("done", (stream:read()))
    local chunk, err = stream:read()
    assert.is_nil(chunk)
    assert.is_true(err == nil or err.kind == "interrupted")
    local before = asked
    stream:close()
    assert.equal(before, asked)
  end)
end)

describe("a stream that goes one way", function()
  after_each(env.cleanup)

  it("is not for writing", function()
    local server = scripted.start { api_version = "1.41", routes = { { prefix = "/v1", reply = { body = "" } } } }
    env.defer(function() server:stop() end)
    local client = assert(docker.connect { host = server.host })
    local stream = assert(client:call("SystemEvents"))
    assert.has_error(function() stream:write("x") end, "this stream is for reading only")
    assert.has_error(function() stream:close_write() end, "this stream is for reading only")
    client:close()
  end)
end)
