-- What the other specs stand on: the scripted server does what a scenario says, env takes away what was made.

local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

local function curl(server, rest)
  local path = server.host:match("^unix://(.*)")
  local where = path and "--unix-socket " .. env.quote(path) .. " http://engine" or "http://" .. server.host:sub(7)
  return env.sh("curl -sS -m 10 " .. where .. rest)
end

describe("the scripted server", function()
  after_each(env.cleanup)

  it("answers routes in order, on a Unix socket", function()
    local server <close> = scripted.start {
      routes = {
        { method = "GET", path = "/v1.41/info", times = 1, reply = { json = { ID = "first" } } },
        { prefix = "/v1.41/", replies = { { status = 500, body = "<html>" }, { body = "second" } } },
      },
    }
    assert.equal('{"ID":"first"}', curl(server, "/v1.41/info").out)
    assert.equal("<html>500", curl(server, "/v1.41/info -w '%{http_code}'").out)
    assert.equal("second", curl(server, "/v1.41/x").out)
    assert.equal("second", curl(server, "/v1.41/y").out)
    assert.matches("no route for GET /z", curl(server, "/z").out)
  end)

  it("answers pings by itself, and on TCP", function()
    local server <close> = scripted.start { unix = false, api_version = "1.39" }
    assert.matches("^tcp://127%.0%.0%.1:%d+$", server.host)
    assert.equal("OK", curl(server, "/_ping").out)
    assert.matches("Api%-Version: 1%.39\r\n", curl(server, "/_ping -I").out)
  end)

  it("logs requests with headers and bodies, any bytes, and connections", function()
    local server <close> = scripted.start { routes = { { reply = { body = "\0\xff\xc3\xa9" } } } }
    local path = env.tmpdir() .. "/body"
    env.write_file(path, "\0\x80\xfe\n")
    local r = curl(server, "/a?b=c -H 'X-One: 1' --data-binary @" .. path)
    assert.equal("\0\xff\xc3\xa9", r.out)
    curl(server, "/chunked -X PUT -H 'Transfer-Encoding: chunked' --data-binary @" .. path)
    local requests = server:requests()
    assert.equal(2, #requests)
    assert.equal("POST", requests[1].method)
    assert.equal("/a?b=c", requests[1].path)
    assert.equal("1", requests[1].headers["x-one"])
    assert.equal("\0\x80\xfe\n", requests[1].body)
    assert.equal("\0\x80\xfe\n", requests[2].body)
    server:wait_closed(2)
    assert.same({ 2, 2 }, { server:connections() })
  end)

  it("frames bodies by length, chunks or the end of the connection", function()
    local server <close> = scripted.start {
      routes = {
        { path = "/length", reply = { body = { "ab", "cd" } } },
        { path = "/chunked", reply = { framing = "chunked", body = { "ab", { text = "cd", ["repeat"] = 3 } } } },
        { path = "/close", reply = { framing = "close", body = { "ab", "cd" } } },
        { path = "/one", reply = { each = 1, body = "abcd" } },
      },
    }
    assert.matches("Content%-Length: 4\r\n\r\nabcd$", curl(server, "/length -i").out)
    assert.equal("2\r\nab\r\n2\r\ncd\r\n2\r\ncd\r\n2\r\ncd\r\n0\r\n\r\n", curl(server, "/chunked --raw").out)
    assert.matches("\r\n\r\nabcd$", curl(server, "/close -i").out)
    assert.equal("abcd", curl(server, "/one").out)
  end)

  -- curl's exit statuses: 18 cut short, 28 timed out, 52 nothing, 56 reset, 1 no HTTP.
  local faults = {
    { "a cut body", { body = "abcdef", cut = 47 }, 18 },
    { "a cut at the first byte", { cut = 0 }, 52 },
    { "a length that lies", { body = "abc", length = 10, after = "close" }, 18 },
    { "a missing last chunk", { framing = "chunked", body = { "abc", { close = true } } }, 18 },
    { "a reset in the body", { body = { "abc", { reset = true }, "def" } }, 56 },
    { "a half-closed connection in the body", { body = { "abc", { half_close = true }, "def" } }, 18 },
    { "raw bytes", { raw = "ICY 200\r\n\r\n" }, 1 },
    { "silence", { body = { "abc", { wait = true } } , length = 4 }, 28, " -m 0.3" },
  }
  for _, fault in ipairs(faults) do
    local what, reply, status, option = table.unpack(fault, 1, 4)
    it("gives " .. what, function()
      local server <close> = scripted.start { unix = false, routes = { { reply = reply } } }
      assert.equal(status, curl(server, "/" .. (option or "")).status)
    end)
  end

  it("does things to a connection before any request", function()
    local server <close> = scripted.start { unix = false, connections = { { raw = {}, after = "close" }, false } }
    assert.is_true(curl(server, "/_ping").status ~= 0)
    assert.equal("OK", curl(server, "/_ping").out)
  end)

  it("waits for a signal, and reads and echoes what comes", function()
    local server <close> = scripted.start {
      routes = {
        { path = "/gate", reply = { body = { { wait_for = "go" }, "open" } } },
        { path = "/echo", reply = { raw = { { read = 2 }, "<", { echo = true }, ">" } } },
      },
    }
    server:signal("go")
    assert.equal("open", curl(server, "/gate").out)
    local socket = server.host:match("^unix://(.*)")
    local echo = [[python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"GET /echo HTTP/1.1\r\n\r\nxyab"); s.shutdown(1)
data = b""
while True:
  more = s.recv(99)
  if not more: break
  data += more
print(data.decode())' ]]
    assert.equal("<ab>", env.run(echo .. socket))
    assert.equal("xy", server:received())
  end)

  it("ends with its scope, and takes its folder with it", function()
    local kept
    do
      local server <close> = scripted.start {}
      kept = server
      assert.is_true(env.sh("test -d " .. server.dir).ok)
    end
    assert.is_false(env.sh("test -e " .. kept.dir).ok)
    assert.is_false(env.sh("kill -0 " .. kept.pid).ok)
    kept:stop()
  end)
end)

describe("env", function()
  it("runs commands and tells how they ended", function()
    local r = env.sh("cat; echo err >&2; exit 3", "in\0put")
    assert.same({ status = 3, ok = false, out = "in\0put", err = "err\n" }, r)
    assert.equal(143, env.sh("kill -TERM $$").status)
    assert.error_matches(function() env.run("echo what; exit 2") end, "status 2: what")
  end)

  it("gives names and folders that nobody has, and takes the folders away", function()
    assert.not_equal(env.name("a"), env.name("a"))
    assert.matches("^web%-%x+%-%d+$", env.name("web"))
    local dir = env.tmpdir()
    env.write_file(dir .. "/x", "1")
    env.cleanup()
    assert.is_false(env.sh("test -e " .. dir).ok)
  end)

  it("cleans up in reverse order, all of it, and raises the first error", function()
    local order = {}
    env.defer(function() order[#order + 1] = "first" end)
    env.defer(function() error("broken", 0) end)
    env.defer(function() order[#order + 1] = "last" end)
    assert.error_matches(env.cleanup, "broken")
    assert.same({ "last", "first" }, order)
  end)
end)
