-- src/frames.c: multiplexed stdio. engine-semantics 34: types, zero lengths, splits anywhere, the daemon's error.

local pure = require "spec.support.pureprobe"

local function frame(stream, text, length)
  return string.pack(">BxxxI4", stream, length or #text) .. text
end

-- Neighbouring pieces of one stream joined: how the bytes were split must not matter.
local function join(pieces)
  local out = {}
  for _, piece in ipairs(pieces) do
    assert.is_true(#piece.text > 0)
    local last = out[#out]
    if last and last[1] == piece.stream then last[2] = last[2] .. piece.text
    else out[#out + 1] = { piece.stream, piece.text } end
  end
  return out
end

local function bytewise(text)
  local chunks = {}
  for c in text:gmatch(".") do chunks[#chunks + 1] = c end
  return chunks
end

-- The outcome, in a form that must not depend on the chunks.
local function outcome(chunks)
  local pieces, fault, soFar, message, consumed = pure.frames(chunks)
  if pieces then return { pieces = join(pieces), consumed = fault } end
  return { fault = fault, pieces = join(soFar), message = message, consumed = consumed }
end

local DAEMON = "the daemon ended the stream with an error"
local HEADER = "the stream was cut inside a frame's header"
local PAYLOAD = "the stream was cut inside a frame"
local TYPE = "a frame of unknown type (0 to 3 expected)"
local PADDING = "not a stream of frames (bytes 2 to 4 of a header are not 0)"
local LIMIT = "a frame is longer than LIMIT_FRAME"

describe("frames", function()
  local hello = frame(1, "hello\n")
  local cases = {
    { "nothing at all", "", {} },
    { "one of stdout", hello, { { 1, "hello\n" } } },
    { "one of stderr", frame(2, "oh"), { { 2, "oh" } } },
    { "type 0 as stdout", frame(0, "in"), { { 1, "in" } } },
    { "both, in order", frame(1, "a") .. frame(2, "b") .. frame(1, "c"), { { 1, "a" }, { 2, "b" }, { 1, "c" } } },
    { "of length zero", frame(1, "") .. frame(2, "") .. hello .. frame(0, ""), { { 1, "hello\n" } } },
    { "nothing but zero lengths", frame(1, "") .. frame(2, ""), {} },
    { "UTF-8 that ends in the next frame", frame(1, "\xe2\x82") .. frame(1, "\xac!"), { { 1, "€!" } } },
    { "any bytes", frame(1, "\0\1\2\255\0\0\0\0\0\0"), { { 1, "\0\1\2\255\0\0\0\0\0\0" } } },
    { "a payload that looks like a frame", frame(1, frame(2, "x")), { { 1, frame(2, "x") } } },
    { "an error of the daemon", hello .. frame(3, "no more"), { { 1, "hello\n" } }, DAEMON, "no more" },
    { "an error, and what follows is not read", frame(3, "x") .. hello, {}, DAEMON, "x", 9 },
    { "an error without text", frame(3, ""), {}, DAEMON, "" },
    { "an error that is cut", frame(3, "lon", 100), {}, DAEMON, "lon" },
    { "an unknown type", hello .. frame(4, "x"), { { 1, "hello\n" } }, TYPE, "", 14 + 8 },
    { "type 255", frame(255, "x"), {}, TYPE, "", 8 },
    { "padding that is not 0", "\1\0\0\1\0\0\0\0", {}, PADDING, "" },
    { "a terminal's bytes", "root@box:~# ls\r\n", {}, PADDING, "", 8 },
    { "a frame that claims 4 GiB", frame(1, "x", 0xFFFFFFFF), {}, LIMIT, "", 8 },
    { "a frame one byte too long", frame(2, "x", (16 << 20) + 1), {}, LIMIT, "", 8 },
    { "an error that claims 4 GiB", frame(3, "x", 0xFFFFFFFF), {}, LIMIT, "", 8 },
    { "a cut header", hello .. "\1\0\0", { { 1, "hello\n" } }, HEADER, "" },
    { "a header and no payload", hello .. frame(2, "", 1), { { 1, "hello\n" } }, PAYLOAD, "" },
    { "a cut payload", frame(2, "abc", 4), { { 2, "abc" } }, PAYLOAD, "" },
  }
  for _, case in ipairs(cases) do
    local name, bytes, pieces, fault, message, consumed = table.unpack(case, 1, 6)
    local expected = { pieces = pieces, fault = fault, message = message, consumed = consumed or #bytes }
    it("are read: " .. name, function() assert.same(expected, outcome { bytes }) end)
    it("are read one byte at a time: " .. name, function() assert.same(expected, outcome(bytewise(bytes))) end)
    it("are read split at every byte: " .. name, function()
      for at = 0, #bytes do assert.same(expected, outcome { bytes:sub(1, at), bytes:sub(at + 1) }) end
    end)
  end

  it("cut at any byte are an error, unless it is between two", function()
    local bytes = frame(1, "abc") .. frame(2, "") .. frame(2, "defg")
    local whole = { [0] = true, [11] = true, [19] = true, [#bytes] = true }
    for at = 0, #bytes do
      assert.equal(whole[at], outcome({ bytes:sub(1, at) }).fault == nil or nil, "cut at " .. at)
    end
  end)
  it("may be as long as LIMIT_FRAME", function()
    local text = ("0123456789abcdef"):rep(1 << 20)
    assert.same({ { 1, text } }, outcome({ frame(1, text) }).pieces)
  end)
  it("keep as much of the daemon's error as LIMIT_ERROR_BODY", function()
    local text = ("x"):rep(100000)
    for _, chunks in ipairs { { frame(3, text) }, { frame(3, text):sub(1, 70000), frame(3, text):sub(70001) } } do
      local result = outcome(chunks)
      assert.same({ DAEMON, 64 << 10, 100008 }, { result.fault, #result.message, result.consumed })
    end
  end)
  it("stop where the reader wants, with that piece consumed", function()
    local pieces, consumed = pure.frames({ frame(1, "abc") .. frame(2, "d") .. frame(1, "e") }, 2)
    assert.same({ { 1, "abc" }, { 2, "d" } }, join(pieces))
    assert.equal(11 + 9, consumed)
  end)
end)
