-- The transport's two-way connections: a request that becomes one by 101 (engine-semantics 36).

local env = require "spec.support.env"
local probe = require "spec.support.transportprobe"
local scripted = require "spec.support.scripted"

local LONG = 20
local BUFFER = 256 << 10 -- LIMIT_UPLOAD_BUFFER, LIMIT_STREAM_BUFFER
local SWITCH = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
  .. "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

local servers = {}
local function start(reply, more)
  local scenario = more or {}
  scenario.routes = scenario.routes or { { reply = reply } }
  local server = scripted.start(scenario)
  servers[#servers + 1] = server
  return probe.open { host = server.host, tls = scenario.tls, ca = server.ca }, server
end

local function upgrade(t, request)
  local all = { method = "POST", path = "/exec/1/start", type = "application/json", body = '{"Tty":true}',
    upgrade = true }
  for k, v in pairs(request or {}) do all[k] = v end
  return t:start(all)
end

local function wait(x) assert.equal("ready", x:wait(LONG)) end

local function headers(x)
  while not x:state().headers_done and not x:state().done do wait(x) end
  return x:state()
end

-- Reads until so many bytes have come, or the end.
local function read(x, count)
  local parts, have = {}, 0
  while have < (count or math.huge) do
    local bytes = x:read(count and count - have)
    if bytes ~= "" then
      parts[#parts + 1], have = bytes, have + #bytes
    elseif x:state().done then
      break
    else
      wait(x)
    end
  end
  return table.concat(parts)
end

local function finish(x)
  while not x:state().done do wait(x) end
  return x:state()
end

-- The same over each kind of socket.
local function kinds(name, test)
  for _, kind in ipairs {
    { name = "a Unix socket" }, { name = "TCP", unix = false }, { name = "TLS", unix = false, tls = true },
  } do
    it(name .. ", over " .. kind.name, function()
      test(function(reply) return start(reply, { unix = kind.unix, tls = kind.tls }) end, kind.tls)
    end)
  end
end

describe("a two-way connection", function()
  after_each(function()
    for i = #servers, 1, -1 do servers[i]:stop(); servers[i] = nil end
    env.cleanup()
  end)

  kinds("carries bytes both ways, and our end of it leaves the other way open", function(open, tls)
    local t, server = open { raw = { SWITCH, { echo = true }, "after your end" } }
    local x = upgrade(t)
    local state = headers(x)
    assert.equal(101, state.status)
    assert.equal("application/vnd.docker.raw-stream", x:header("Content-Type"))
    assert.is_true(state.sends)
    for i = 1, 5 do
      local text = ("message %d\0\r\n"):format(i)
      assert.equal("ok", x:send(text))
      assert.equal(text, read(x, #text))
    end
    x:send("last")
    x:send_end()
    assert.is_false(x:state().sends)
    assert.equal("lastafter your end", read(x))
    state = finish(x)
    assert.equal("none", state.fault, state.text)
    assert.equal(1, state.attempts)
    assert.equal(5 * 12 + 4 + 12, state.sent_bytes)
    assert.equal(5 * 12 + 18, state.received)
    assert.is_true(server:wait_end(1))
    assert.equal(0, t:connections())
    local request = server:requests()[1]
    assert.equal("POST", request.method)
    assert.equal("/exec/1/start", request.path)
    assert.equal('{"Tty":true}', request.body)
    assert.equal("application/json", request.headers["content-type"])
    assert.equal("Upgrade", request.headers.connection)
    assert.equal("tcp", request.headers.upgrade)
    assert.equal(tls and server.host:sub(7) or server.host:match("^tcp://(.*)") or "docker", request.headers.host)
  end)

  kinds("is slowed by whoever is slow, in either direction, and loses nothing", function(open)
    local t, server = open { raw = { SWITCH, { text = ("0123456789abcdef"):rep(4096), ["repeat"] = 64 },
      { wait_for = "go" }, { echo = true } } }
    local x = upgrade(t)
    headers(x)
    while not x:state().paused do wait(x) end
    assert.is_true(x:state().unread >= BUFFER and x:state().unread <= BUFFER + 65536)
    local block, sent = ("z"):rep(16384), 0
    local moved
    repeat
      moved = x:send(block) == "ok"
      if moved then sent = sent + #block
      else moved = x:wait(0.05) == "ready" or x:room() >= #block end
    until not moved
    assert.is_true(sent >= BUFFER)
    assert.is_true(x:state().paused)
    assert.equal(("0123456789abcdef"):rep(4096 * 64), read(x, 4 << 20))
    server:signal("go")
    wait(x)
    while x:room() < BUFFER / 2 do wait(x); x:read(0) end
    x:send_end()
    assert.equal(sent, #read(x))
    assert.equal("none", finish(x).fault)
  end)

  it("over TLS that ends without its word is cut", function()
    local t = start({ raw = { SWITCH, "some" }, after = "drop" }, { tls = true })
    local x = upgrade(t)
    assert.equal("some", read(x))
    assert.equal("cut", finish(x).fault)
  end)

  it("reset by the engine is cut, on TCP and on a Unix socket with unread bytes", function()
    for _, unix in ipairs { false, true } do
      local t = start({ raw = { SWITCH, "some", { wait_for = "go" } }, after = "reset" }, { unix = unix })
      local x = upgrade(t)
      assert.equal("some", read(x, 4))
      x:send("unread")
      servers[#servers]:signal("go")
      local state = finish(x)
      assert.equal("cut", state.fault)
      assert.equal(101, state.status)
      assert.equal("", x:read())
    end
  end)

  it("begins with the bytes that come together with the 101, and with a head split anywhere", function()
    for _, each in ipairs { 1, 7, 100000 } do
      local t = start { raw = SWITCH .. "\1\0\0\0\0\0\0\2ab", each = each }
      local x = upgrade(t)
      assert.equal("\1\0\0\0\0\0\0\2ab", read(x))
      assert.equal("none", finish(x).fault)
    end
  end)

  it("sends nothing of the stream before the 101", function()
    local t, server = start { raw = { { wait_for = "go" }, SWITCH, { read = 5 } } }
    local x = upgrade(t)
    env.wait(LONG, "the request", function() x:wait(0.002); return #server:requests() == 1 end)
    x:send("stdin")
    x:send_end()
    assert.equal("timeout", x:wait(0.02))
    server:signal("go")
    assert.equal(101, finish(x).status)
    assert.equal("stdin", server:received())
    local u = start { status = 409, json = { message = "not running" } }
    local y = upgrade(u)
    y:send("stdin")
    y:send_end()
    local state = finish(y)
    assert.equal(409, state.status)
    assert.equal("none", state.fault)
    assert.equal('{"message":"not running"}', y:read())
    assert.equal(1, #servers[#servers]:requests())
  end)

  it("that is refused is an ordinary reply, however that is framed", function()
    for _, reply in ipairs {
      { status = 404, body = "no such container" }, { status = 404, body = "no such container", each = 1 },
      { status = 404, body = { "no such", " container" }, framing = "chunked" },
      { status = 404, body = "no such container", framing = "close" },
      { raw = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404\r\n\r\nno such container" },
    } do
      local t = start(reply)
      local x = upgrade(t)
      local state = finish(x)
      assert.equal("none", state.fault)
      assert.equal(404, state.status)
      assert.is_false(state.sends)
      assert.equal("no such container", x:read())
      assert.equal(0, t:connections())
    end
    local t = start { status = 500, framing = "close", body = { { text = ("x"):rep(65536), ["repeat"] = 100 } } }
    local x = upgrade(t)
    assert.equal("none", finish(x).fault)
    assert.equal(65536, #x:read()) -- LIMIT_ERROR_BODY
    t = start { status = 304 }
    assert.equal(304, finish(upgrade(t)).status)
  end)

  it("that a proxy answers with 200 shows it, and hands out what comes", function()
    local t, server = start { raw = { "HTTP/1.1 200 OK\r\n\r\nsome", { wait_for = "go" } } }
    local x = upgrade(t)
    assert.equal(200, headers(x).status)
    assert.is_false(x:state().sends)
    assert.equal("some", read(x, 4))
    assert.is_false(x:state().done)
    server:signal("go")
    assert.equal("none", finish(x).fault)
  end)

  it("whose reply is cut, malformed or too long says so", function()
    local function fault(reply, kind, text)
      local x = upgrade((start(reply)))
      local state = finish(x)
      assert.equal(kind, state.fault)
      assert.matches(text, state.text)
      return state
    end
    fault({ raw = "" }, "cut", "before the reply")
    fault({ raw = "HTTP/1.1 101 UPGR" }, "cut", "before the reply")
    fault({ raw = "HTTP/1.1 404 x\r\nContent-Length: 10\r\n\r\nshort" }, "cut", "inside the reply")
    fault({ status = 404, framing = "chunked", body = "short", cut = 60 }, "cut", "inside the reply")
    fault({ raw = "SSH-2.0-OpenSSH\r\n" }, "protocol", "no HTTP/1 status line")
    fault({ raw = "HTTP/1.1 404 x\r\nContent-Length: x\r\n\r\n" }, "protocol", "Content%-Length")
    fault({ raw = "HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" }, "protocol", "a chunk")
    local state = fault({ raw = "HTTP/1.1 101 x\r\n" .. ("X: y\r\n"):rep(20000) }, "too_large", "")
    assert.equal("LIMIT_HEADERS", state.limit)
  end)

  it("that nobody asked for is refused", function()
    local t = start { unread = true, raw = SWITCH }
    local x = t:start { method = "POST", path = "/load", type = "application/x-tar", upload = true }
    local state = finish(x)
    assert.equal("protocol", state.fault)
    assert.matches("nobody asked", state.text)
  end)

  it("that can't be made says why, as all others do", function()
    assert.equal("missing", finish(upgrade(probe.open { host = "unix:///nonexistent/s" })).fault)
    assert.equal("refused", finish(upgrade(probe.open { host = "tcp://127.0.0.1:1" })).fault)
    assert.equal("unreachable", finish(upgrade(probe.open { host = "tcp://nowhere.invalid:1" })).fault)
    local _, server = start({ raw = SWITCH }, { tls = true })
    assert.equal("tls", finish(upgrade(probe.open { host = server.host, tls = true })).fault)
    assert.equal("none", finish(upgrade(probe.open { host = server.host, tls = true, insecure = true })).fault)
  end)

  it("that is aborted or closed leaves nothing behind, in any state, and its handle is as before", function()
    local t, server = start(nil, { routes = {
      { path = "/plain", reply = { body = "plain" } },
      { path = "/silent", reply = { raw = { { wait = true } } } },
      { reply = { raw = { SWITCH, "x", { wait = true } } } },
    } })
    for i, path in ipairs { "/silent", "/stream" } do
      local x = upgrade(t, { path = path })
      env.wait(LONG, "the request", function() x:wait(0.002); return #server:requests() == i end)
      if path == "/stream" then assert.equal("x", read(x, 1)) end
      x:abort()
      assert.equal(0, t:connections())
      server:wait_end(i)
    end
    local x = upgrade(t)
    assert.equal("x", read(x, 1))
    t:close()
    local state = finish(x)
    assert.equal("closed", state.fault)
    server:wait_end(3)
    t = probe.open { host = server.host }
    local plain = t:start { method = "GET", path = "/plain" }
    assert.equal(200, finish(plain).status)
    assert.equal("plain", plain:read())
    assert.equal(1, t:connections()) -- kept for the next
  end)

  it("40 at once, beside ordinary requests that keep their connections", function()
    local t, server = start(nil, { routes = {
      { method = "GET", reply = { body = "plain" } }, { reply = { raw = { SWITCH, { echo = true } } } },
    } })
    local all = {}
    for i = 1, 40 do all[i] = upgrade(t) end
    for i = 1, 40 do
      headers(all[i])
      all[i]:send("number " .. i)
      assert.equal(200, finish(t:start { method = "GET", path = "/" }).status)
    end
    for i = 1, 40 do
      all[i]:send_end()
      assert.equal("number " .. i, read(all[i]))
    end
    assert.equal(41, (server:connections()))
    assert.equal(1, t:connections())
  end)
end)
