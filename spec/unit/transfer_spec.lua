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
end)
