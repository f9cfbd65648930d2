-- src/buf.c: a growing buffer with a cap, and percent-encoding.

local pure = require "spec.support.pureprobe"

describe("a buffer", function()
  local cases = {
    { "empty", 10, {}, "" },
    { "grows", 100000, { { "append", ("x"):rep(70000) }, { "append", "y" } }, ("x"):rep(70000) .. "y", { "ok", "ok" } },
    { "up to its cap", 3, { { "append", "ab" }, { "putc", "c" } }, "abc", { "ok", "ok" } },
    { "not beyond it, and keeps what it had", 3,
      { { "append", "ab" }, { "append", "cd" }, { "putc", "e" }, { "putc", "f" } }, "abe",
      { "ok", "full", "ok", "full" } },
    { "with a cap of 0", 0, { { "append", "" }, { "append", "a" } }, "", { "ok", "full" } },
    { "of bytes", 9, { { "append", "\0a\255" } }, "\0a\255", { "ok" } },
    { "with formatted text", 99, { { "printf", "n", -5 }, { "printf", "m", 6 } }, "n=-5m=6", { "ok", "ok" } },
    { "where formatted text does not fit", 4, { { "append", "a" }, { "printf", "n", 10 } }, "a", { "ok", "full" } },
    { "loses bytes at its front", 9, { { "append", "abcdef" }, { "consume", 2 }, { "append", "g" } }, "cdefg",
      { "ok", "ok", "ok" } },
    { "loses nothing", 9, { { "append", "ab" }, { "consume", 0 } }, "ab", { "ok", "ok" } },
    { "loses all", 9, { { "append", "ab" }, { "consume", 2 }, { "append", "c" } }, "c", { "ok", "ok", "ok" } },
    { "loses more than it has", 9, { { "append", "ab" }, { "consume", 3 } }, "", { "ok", "ok" } },
    { "empty, loses", 9, { { "consume", 1 } }, "", { "ok" } },
    { "cleared", 9, { { "append", "ab" }, { "clear" }, { "append", "c" } }, "c", { "ok", "ok", "ok" } },
    { "reserves", 9, { { "reserve", 9 }, { "reserve", 10 }, { "append", "123456789" } }, "123456789",
      { "ok", "full", "ok" } },
    { "reserves behind what it has", 9, { { "append", "123" }, { "reserve", 6 }, { "reserve", 7 } }, "123",
      { "ok", "ok", "full" } },
    { "refuses a size that would wrap around", 9, { { "append", "1" }, { "reserve", -1 } }, "1", { "ok", "full" } },
    { "refuses it without a cap, too", -1, { { "append", "1" }, { "reserve", -2 } }, "1", { "ok", "no memory" } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local contents, statuses = pure.buf(case[2], case[3])
      assert.equal(case[4], contents)
      assert.same(case[5] or {}, statuses)
    end)
  end

  it("keeps its memory when cleared, and gives it back when it is more than is wanted", function()
    local big = { "append", ("x"):rep(5000) }
    local _, _, size = pure.buf(1 << 20, { big, { "clear" } })
    assert.is_true(size >= 5000)
    assert.equal(size, (select(3, pure.buf(1 << 20, { big, { "shrink", size } }))))
    assert.equal(0, (select(3, pure.buf(1 << 20, { big, { "shrink", size - 1 } }))))
    assert.equal("", (pure.buf(1 << 20, { big, { "shrink", size } })))
  end)
end)

describe("percent-encoding", function()
  local unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
  local cases = {
    { "", "", "" },
    { unreserved, "", unreserved },
    { "a b", "", "a%20b" },
    { "acme/web:1", "/:", "acme/web:1" },
    { "acme/web:1", "", "acme%2Fweb%3A1" },
    { "%", "", "%25" },
    { "\0\n\127\128\255", "", "%00%0A%7F%80%FF" },
    { "\0", "/:", "%00" }, -- the NUL that ends the list of what is kept is not kept
    { "€", "", "%E2%82%AC" },
    { '{"label":["a=b"]}', "", "%7B%22label%22%3A%5B%22a%3Db%22%5D%7D" },
    { "+&=?#", "", "%2B%26%3D%3F%23" },
  }
  for _, case in ipairs(cases) do
    it(("of %q, keeping %q"):format(case[1], case[2]), function()
      assert.equal(case[3], pure.buf_percent(case[1], case[2]))
    end)
  end
  it("brings every byte back", function()
    for byte = 0, 255 do
      local text = string.char(byte)
      local back = pure.buf_percent(text, ""):gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end)
      assert.equal(text, back)
    end
  end)
  it("stops at the cap", function()
    assert.same({ nil, "full" }, { pure.buf_percent("   ", "", 8) })
    assert.equal("%20%20%20", pure.buf_percent("   ", "", 9))
  end)
end)
