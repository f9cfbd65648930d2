-- src/httphead.c: the head of a reply, and where its body ends (RFC 9112). Each case whole, byte by byte, in threes.

local pure = require "spec.support.pureprobe"

local function split(text, size)
  local chunks = {}
  for i = 1, #text, size do chunks[#chunks + 1] = text:sub(i, i + size - 1) end
  return chunks
end

local function head(text)
  local whole, consumed, limit = pure.httphead { text }
  for _, size in ipairs { 1, 3 } do
    local parts, consumed_too = pure.httphead(split(text, size))
    assert.same(whole, parts)
    assert.equal(consumed, consumed_too)
  end
  return whole, consumed, limit
end

local function body(framing, length, text)
  local results = table.pack(pure.httpbody(framing, length, { text }))
  for _, size in ipairs { 1, 3 } do
    assert.same(results, table.pack(pure.httpbody(framing, length, split(text, size))))
  end
  return table.unpack(results, 1, results.n)
end

local OK = "HTTP/1.1 200 OK\r\n"

describe("the head of a reply", function()
  it("ends at the blank line, and what follows is not touched", function()
    local text = OK .. "Content-Type: text/plain\r\nX:\r\nContent-Length: 3\r\n\r\n"
    local h, consumed = head(text .. "abc")
    assert.equal(#text, consumed)
    assert.same({ status = 200, minor = 1, framing = "length", length = 3,
      lines = "Content-Type: text/plain\r\nX:\r\nContent-Length: 3\r\n" }, h)
  end)

  it("of an upgrade leaves the stream's first bytes alone", function()
    local text = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    local h, consumed = head(text .. "\1\0\0\0\0\0\0\1x")
    assert.equal("upgraded", h.framing)
    assert.equal(101, h.status)
    assert.equal(#text, consumed)
  end)

  it("tells how the body ends", function()
    for _, case in ipairs {
      { OK .. "\r\n", "close" }, { OK .. "Content-Length: 0\r\n\r\n", "length", 0 },
      { "HTTP/1.0 200\n\n", "close" }, { OK .. "content-LENGTH:\t007 \r\n\r\n", "length", 7 },
      { OK .. "Transfer-Encoding: Chunked\r\n\r\n", "chunked" }, { "HTTP/1.1 204 \r\n\r\n", "none" },
      { "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "none", 9 },
      { OK .. "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "length", 5 },
      { "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" .. OK .. "\r\n",
        "close" },
      { OK .. "Content-Length: 4611686018427387903\r\n\r\n", "length", 4611686018427387903 },
    } do
      local h = assert(head(case[1]))
      assert.equal(case[2], h.framing)
      assert.equal(case[3] or 0, h.length)
    end
    assert.equal("C: d\r\n", head("HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" .. OK .. "C: d\r\n\r\n").lines)
  end)

  it("that is none, or can be read in two ways, is refused", function()
    local LENGTH, BOTH = "a Content-Length that is no length", "a reply whose length can be read in two ways"
    local CODING = "a Transfer-Encoding other than chunked"
    for text, fault in pairs {
      ["SSH-2.0-OpenSSH\r\n"] = "no HTTP/1 status line", ["\r\n"] = "no HTTP/1 status line",
      ["HTTP/2 200\r\n"] = "no HTTP/1 status line", ["HTTP/1.2 200\r\n"] = "no HTTP/1 status line",
      ["HTTP/1.1 20\r\n"] = "no HTTP/1 status line", ["HTTP/1.1 2000\r\n"] = "no HTTP/1 status line",
      ["HTTP/1.1 099\r\n"] = "no HTTP/1 status line", ["HTTP/1.1  200\r\n"] = "no HTTP/1 status line",
      ["HTTP/1.1 200 a\0b\r\n"] = "a control character in the status line",
      [OK .. "none\r\n"] = "a header line that is none", [OK .. ": x\r\n"] = "a header line that is none",
      [OK .. "A : x\r\n"] = "a header line that is none", [OK .. "A: b\r\n c\r\n"] = "a header line that is none",
      [OK .. "A\0: x\r\n"] = "a header line that is none", [OK .. "\xC3\xA9: x\r\n"] = "a header line that is none",
      [OK .. "A: b\rC: d\r\n"] = "a control character in a header line",
      [OK .. "A: b\0\r\n"] = "a control character in a header line",
      [OK .. "Content-Length:\r\n"] = LENGTH, [OK .. "Content-Length: +5\r\n"] = LENGTH,
      [OK .. "Content-Length: -5\r\n"] = LENGTH, [OK .. "Content-Length: 5, 5\r\n"] = LENGTH,
      [OK .. "Content-Length: 0x5\r\n"] = LENGTH, [OK .. "Content-Length: 4611686018427387904\r\n"] = LENGTH,
      [OK .. "Content-Length: 99999999999999999999999\r\n"] = LENGTH,
      [OK .. "Content-Length: 5\r\nContent-Length: 6\r\n"] = "two values of Content-Length",
      [OK .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"] = BOTH,
      ["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] = BOTH,
      [OK .. "Transfer-Encoding: gzip, chunked\r\n"] = CODING, [OK .. "Transfer-Encoding: identity\r\n"] = CODING,
      [OK .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"] = CODING,
    } do
      local h, why, limit = head(text)
      assert.is_nil(h)
      assert.equal(fault, why)
      assert.is_nil(limit)
    end
  end)

  it("that has not ended is known to be unfinished", function()
    assert.equal("status", select(2, head("")))
    assert.equal("status", select(2, head("HTTP/1.1 200 OK")))
    assert.equal("status", select(2, head("HTTP/1.1 100 Continue\r\n\r\n")))
    assert.equal("lines", select(2, head(OK .. "A: b\r\n")))
    assert.equal("lines", select(2, head(OK .. "A: b\r\n\r")))
  end)

  it("is bounded by LIMIT_HEADERS, all lines and informational replies together", function()
    local full = OK .. "X: " .. ("x"):rep(65536 - #OK - 7) .. "\r\n"
    assert.is_truthy(pure.httphead { full .. "\r\n" })
    for _, text in ipairs {
      full .. "xxx", OK .. ("x"):rep(70000), OK .. ("A: b\r\n"):rep(20000),
      ("HTTP/1.1 100 Continue\r\n\r\n"):rep(5000),
    } do
      for _, size in ipairs { #text, 1000 } do
        local h, fault, limit = pure.httphead(split(text, size))
        assert.is_nil(h)
        assert.equal("the head of the reply is longer than LIMIT_HEADERS", fault)
        assert.equal("LIMIT_HEADERS", limit)
      end
    end
  end)
end)

describe("the body of a reply", function()
  it("ends where its framing says", function()
    for _, case in ipairs {
      { "none", 0, "abc", "", 0, true }, { "length", 0, "abc", "", 0, true }, { "length", 2, "abc", "ab", 2, true },
      { "length", 4, "abc", "abc", 3, false }, { "close", 0, "abc", "abc", 3, true }, { "close", 0, "", "", 0, true },
      { "chunked", 0, "3\r\nabc\r\n0\r\n\r\nnext", "abc", 13, true },
      { "chunked", 0, "0003;a=b;c\r\nabc\r\nA \r\n0123456789\r\n00\r\nX: y\r\nZ: 1\r\n\r\n", "abc0123456789", 51,
        true },
      { "chunked", 0, "1\r\nx\r\nf\r\n123456789012345\r\n0\r\n\r", "x123456789012345", 30, false },
      { "chunked", 0, "3\r\nab", "ab", 5, false }, { "chunked", 0, "", "", 0, false },
      { "chunked", 0, "3\r\nabc\r\n", "abc", 8, false }, { "chunked", 0, "3\r\nabc\r\n0\r\n", "abc", 11, false },
    } do
      local bytes, consumed, complete = body(case[1], case[2], case[3])
      assert.equal(case[4], bytes)
      assert.equal(case[5], consumed)
      assert.equal(case[6], complete)
    end
  end)

  it("in chunks that are none is refused", function()
    for text, fault in pairs {
      ["\r\n"] = "a chunk without a good size", ["x\r\n"] = "a chunk without a good size",
      ["-1\r\n"] = "a chunk without a good size", [";a\r\n"] = "a chunk without a good size",
      ["1 2\r\n"] = "a chunk without a good size", ["1x\r\n"] = "a chunk without a good size",
      ["1\nx"] = "a chunk without a good size", ["1\rx"] = "a chunk's line without CR LF",
      ["1;a\nx"] = "a chunk's line without CR LF", ["ffffffffffffffff\r\n"] = "a chunk without a good size",
      ["1\r\nxy\r\n"] = "a chunk that is longer than its size", ["1\r\nx\ry"] = "a chunk that is longer than its size",
      ["0\r\n\n"] = "a trailer without CR LF", ["0\r\n\rx"] = "a trailer without CR LF",
    } do
      local bytes, why, limit = body("chunked", 0, text)
      assert.is_nil(bytes)
      assert.equal(fault, why)
      assert.is_nil(limit)
    end
    assert.equal("LIMIT_CHUNK_LINE", select(3, body("chunked", 0, "1;" .. ("x"):rep(2000))))
    assert.equal("LIMIT_HEADERS", select(3, pure.httpbody("chunked", 0, { "0\r\n" .. ("x"):rep(70000) })))
    assert.equal("LIMIT_HEADERS", select(3, pure.httpbody("chunked", 0, { "0\r\n" .. ("a: b\r\n"):rep(20000) })))
  end)
end)
