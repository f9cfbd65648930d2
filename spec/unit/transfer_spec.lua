-- The transport's streams: back-pressure and pacing, without what makes chunks or items of the bytes.

local env = require "spec.support.env"
local probe = require "spec.support.transportprobe"
local scripted = require "spec.support.scripted"

local LONG = 20
local BUFFER = 256 << 10 -- LIMIT_STREAM_BUFFER

local server
local function start(reply)
  server = scripted.start { routes = { { reply = reply } } }
  return probe.open { host = server.host }
end

describe("a stream", function()
  after_each(function()
    server:stop()
    env.cleanup()
  end)

  it("holds LIMIT_STREAM_BUFFER and one read of the socket at most, however much more is there and however it is read",
    function()
    for _, size in ipairs { 1000, 65536, 1 << 20 } do
      local total = 200 * size < 8 << 20 and 200 * size or 8 << 20
      local t = start { framing = "close", body = { { text = ("0123456789abcdef"):rep(4096), ["repeat"] = 160 } } }
      local x = t:start { method = "GET", path = "/", stream = true }
      local have = 0
      while have < total do
        local bytes = x:read(size)
        have = have + #bytes
        for _ = 1, bytes == "" and 1 or 3 do x:wait(bytes == "" and LONG or 0) end
        assert.is_true(x:state().unread <= BUFFER + 65536, x:state().unread)
      end
      x:abort()
      server:stop()
    end
  end)

  -- Many small writes in a row make a stream busy: it is then read after rests (src/pace.c).
  local function busy(more)
    local pieces = { { text = ("a line of a log\n"):rep(4), ["repeat"] = 2000, each = 16 } }
    for _, piece in ipairs(more or {}) do pieces[#pieces + 1] = piece end
    return { framing = "close", body = pieces }
  end
  local BUSY_BYTES = 2000 * 64

  local function read(x, count)
    local parts, have = {}, 0
    while have < count do
      local bytes = x:read(count - have)
      if bytes == "" then
        if x:state().done then break end
        assert.equal("ready", x:wait(LONG))
      end
      parts[#parts + 1], have = bytes, have + #bytes
    end
    return table.concat(parts)
  end

  it("that is busy loses nothing and sleeps through nothing: lines, silence, one line, the end", function()
    local t = start(busy { { wait_for = "one" }, "one line\n", { wait_for = "more" },
      { text = "more\n", ["repeat"] = 500, each = 5 }, { wait_for = "end" } })
    local x = t:start { method = "GET", path = "/", stream = true }
    assert.equal(("a line of a log\n"):rep(8000), read(x, BUSY_BYTES))
    assert.equal("timeout", x:wait(0.02))
    server:signal("one")
    assert.equal("one line\n", read(x, 9))
    server:signal("more")
    assert.equal(("more\n"):rep(500), read(x, 2500))
    server:signal("end")
    assert.equal("", read(x, 1))
    assert.equal("none", x:state().fault)
  end)

  it("that is busy is cut, aborted, paused and closed as any other", function()
    local t = start(busy { { text = "x", ["repeat"] = 8192 }, { wait = true } })
    local x = t:start { method = "GET", path = "/", stream = true }
    while not x:state().paused and x:state().unread < BUFFER / 2 do x:wait(LONG) end
    x:wait(0.005)
    assert.equal(BUSY_BYTES + 8192, #read(x, BUSY_BYTES + 8192))
    local y = t:start { method = "GET", path = "/", stream = true }
    assert.equal(1000, #read(y, 1000))
    y:abort()
    y = t:start { method = "GET", path = "/", stream = true } -- both at once
    assert.equal(BUSY_BYTES, #read(y, BUSY_BYTES))
    t:close()
    assert.equal("closed", x:state().fault)
    assert.equal("closed", y:state().fault)
    server:wait_closed(3)
    server:stop()
    t = start { length = 1 << 20, body = { { text = ("x"):rep(64), ["repeat"] = 2000, each = 16 }, { close = true } } }
    x = t:start { method = "GET", path = "/", stream = true }
    assert.equal(BUSY_BYTES, #read(x, 1 << 20))
    assert.equal("cut", x:state().fault)
  end)

  it("that was busy leaves no descriptor behind", function()
    local function descriptors()
      local pipe <close> = assert(io.popen("ls /proc/$PPID/fd | wc -l"))
      return pipe:read("n")
    end
    local before
    for i = 1, 12 do
      local t = start(busy())
      local x = t:start { method = "GET", path = "/", stream = true }
      assert.equal(BUSY_BYTES, #read(x, BUSY_BYTES + 1))
      x:free()
      t:close()
      server:stop()
      local other <close> = scripted.start { routes = {} } -- the loop has its turn
      local u = probe.open { host = other.host }
      local y = u:start { method = "GET", path = "/" }
      while not y:state().done do y:wait(LONG) end
      u:close()
      if i == 2 then before = descriptors() end
    end
    assert.is_true(descriptors() <= before + 3, descriptors() .. " of " .. before)
  end)
end)
