-- The transport's uploads: request bodies that come by transfer_send, bounded, in chunks.

local env = require "spec.support.env"
local probe = require "spec.support.transportprobe"
local scripted = require "spec.support.scripted"

local LONG = 20
local BUFFER = 256 << 10 -- LIMIT_UPLOAD_BUFFER

local servers = {}
local function start(routes, more)
  local scenario = more or {}
  scenario.routes = routes
  local server = scripted.start(scenario)
  servers[#servers + 1] = server
  return probe.open { host = server.host }, server
end

local function upload(t, request)
  local all = { method = "POST", path = "/load", type = "application/x-tar", upload = true }
  for k, v in pairs(request or {}) do all[k] = v end
  return t:start(all)
end

-- Sends all of it, waiting for room.
local function send(x, text, step)
  local at = 1
  while at <= #text and not x:state().done do
    local room = x:room()
    if room == 0 then
      assert.equal("ready", x:wait(LONG))
    else
      local piece = text:sub(at, at + math.min(room, step or room) - 1)
      assert.equal("ok", x:send(piece))
      at = at + #piece
    end
  end
end

local function finish(x)
  while not x:state().done do assert.equal("ready", x:wait(LONG)) end
  return x:state()
end

describe("an upload", function()
  after_each(function()
    for i = #servers, 1, -1 do servers[i]:stop(); servers[i] = nil end
    env.cleanup()
  end)

  it("is sent in chunks, by the method asked for, as its type says", function()
    for _, method in ipairs { "POST", "PUT" } do
      local t, server = start { { reply = { body = "thanks" } } }
      local x = upload(t, { method = method })
      send(x, "first ")
      send(x, "second\0\r\n")
      x:send_end()
      local state = finish(x)
      assert.equal("none", state.fault)
      assert.equal(200, state.status)
      assert.equal("thanks", x:read())
      assert.equal(15, state.sent_bytes)
      assert.equal(1, state.attempts)
      assert.equal(6, state.received)
      assert.is_false(state.sends)
      local request = server:requests()[1]
      assert.equal(method, request.method)
      assert.equal("first second\0\r\n", request.body)
      assert.equal("chunked", request.headers["transfer-encoding"])
      assert.equal("application/x-tar", request.headers["content-type"])
      assert.is_nil(request.headers["content-length"])
      assert.is_nil(request.headers.expect)
    end
  end)

  it("may be empty; its connection is its own, and ends with it", function()
    local t, server = start { { reply = { body = "ok" } } }
    for i = 1, 3 do
      local x = upload(t)
      x:send_end()
      assert.equal(200, finish(x).status)
      assert.equal(0, t:connections())
      assert.equal(2 * i - 1, (server:connections()))
      assert.equal(200, finish(t:start { method = "GET", path = "/" }).status) -- the handle is as before
      t:close()
      t = probe.open { host = server.host }
    end
    assert.equal("", server:requests()[1].body)
    assert.equal("close", server:requests()[1].headers.connection)
  end)

  it("goes on when bytes come late, each at once", function()
    local t, server = start { { reply = { unread = true, body = { { read = 8 }, { chunks = true }, "ok" } } } }
    local x = upload(t)
    send(x, "abc") -- 3 CRLF abc CRLF
    env.wait(LONG, "the first bytes", function()
      x:wait(0.002)
      return server:received() == "3\r\nabc\r\n"
    end)
    send(x, "def")
    x:send_end()
    assert.equal(200, finish(x).status)
    assert.equal("3\r\nabc\r\ndef", server:received())
  end)

  it("is bounded: no more is taken than LIMIT_UPLOAD_BUFFER, and READY says when half of it is free", function()
    local t, server = start { { reply = { unread = true, body = { { wait_for = "go" }, { chunks = true }, "ok" } } } }
    local x = upload(t)
    local block, sent = ("x"):rep(16384), 0
    local moved
    repeat -- until socket and buffer are full
      moved = x:send(block) == "ok"
      if moved then sent = sent + #block
      else moved = x:wait(0.05) == "ready" or x:room() >= #block end
    until not moved
    assert.is_true(sent >= BUFFER)
    assert.is_true(sent < 8 << 20)
    assert.is_true(x:room() < BUFFER / 2)
    assert.is_true(x:state().sent_bytes >= sent - BUFFER)
    assert.equal("full", x:send(block))
    server:signal("go")
    assert.equal("ready", x:wait(LONG))
    assert.is_true(x:room() >= BUFFER / 2)
    assert.equal("full", x:send(("x"):rep(BUFFER + 1)))
    x:send_end()
    assert.equal(200, finish(x).status)
    assert.equal(sent, #server:received())
  end)

  it("of many megabytes arrives as it was", function()
    local t, server = start { { reply = { body = "ok" } } }
    local parts = {}
    for i = 1, 60000 do parts[i] = ("%d,"):format(i * 7919) end
    local text = table.concat(parts):rep(10)
    local x = upload(t)
    send(x, text, 50000)
    x:send_end()
    assert.equal(#text, finish(x).sent_bytes)
    assert.is_true(server:requests()[1].body == text)
  end)

  it("that the engine refuses early ends with that reply, whether we have more to send or nothing just now", function()
    for _, after in ipairs { "wait", "close" } do
      for _, unfinished in ipairs { "", "x", ("x"):rep(BUFFER) } do
        local t, server = start {
          { path = "/load", reply = { unread = true, status = 400, body = "no such thing", after = after } },
          { reply = { body = "next" } },
        }
        local x = upload(t)
        send(x, unfinished)
        local state = finish(x)
        assert.equal("none", state.fault)
        assert.equal(400, state.status)
        assert.equal("no such thing", x:read())
        assert.is_false(state.sends)
        assert.equal("ok", x:send("dropped")) -- the caller learns it from the reply
        x:send_end()
        local y = upload(t, { path = "/next" })
        y:send_end()
        assert.equal(200, finish(y).status)
        assert.equal(2, #server:requests())
      end
    end
  end)

  it("is not taken for whole where the engine refuses in the middle of it", function()
    local t, server = start { { reply = { unread = true, status = 413, framing = "close",
      body = { { read = 8 }, "too ", { wait_for = "go" }, "much" }, after = "wait" } } }
    local x = upload(t)
    send(x, "abc")
    while x:state().status ~= 413 do assert.equal("ready", x:wait(LONG)) end
    assert.is_false(x:state().sends)
    server:signal("go")
    t:close()
    assert.equal("closed", finish(x).fault)
    server:wait_closed(1)
    assert.equal("3\r\nabc\r\n", server:received()) -- and no last chunk behind it
  end)

  it("streams both ways at once, each side paused by itself", function()
    local t, server = start { { reply = { unread = true, framing = "chunked",
      body = { { text = ("y"):rep(65536), ["repeat"] = 32 }, { chunks = true }, "end" } } } }
    local x = upload(t, { stream = true })
    while not x:state().paused do assert.equal("ready", x:wait(LONG)) end -- nobody reads; and nothing to send
    send(x, "while it is paused")
    assert.is_true(x:state().paused)
    assert.is_true(x:state().unread <= BUFFER + 65536)
    local parts = {}
    x:send_end()
    while not x:state().done or x:state().unread > 0 do
      parts[#parts + 1] = x:read(10000)
      if parts[#parts] == "" and not x:state().done then assert.equal("ready", x:wait(LONG)) end
    end
    assert.equal(32 * 65536 + 3, #table.concat(parts))
    assert.equal("while it is paused", server:received())
  end)

  it("is never sent again", function()
    local t, server = start { { times = 1, reply = { raw = "" } }, { reply = { body = "again" } } }
    local x = upload(t)
    send(x, "once")
    x:send_end()
    local state = finish(x)
    assert.equal("cut", state.fault)
    assert.matches("before the reply", state.text)
    assert.equal(1, #server:requests())
  end)

  it("that is cut, reset, aborted or closed ends so, and the next one works", function()
    for _, how in ipairs { "close", "reset" } do
      local t = start {
        { times = 1, reply = { unread = true, raw = { { read = 8 } }, after = how } }, { reply = { body = "ok" } },
      }
      local x = upload(t)
      send(x, "abc")
      local state = finish(x)
      assert.equal("cut", state.fault)
      assert.equal(0, state.status)
      local y = upload(t)
      send(y, "abc")
      y:abort()
      y:free()
      local z = upload(t)
      send(z, "abc")
      z:send_end()
      assert.equal(200, finish(z).status)
    end
  end)
end)
