-- src/jsonseq.c: values in a stream. engine-semantics 7: they do not align with chunks or lines, and UTF-8 is split
-- inside a character; 38: events come as JSONL, NDJSON or json-seq with 0x1E.

local pure = require "spec.support.pureprobe"

local function outcome(chunks)
  local values, reason, soFar = pure.jsonseq(chunks)
  return { values = values or soFar, reason = reason }
end

local function bytewise(text)
  local chunks = {}
  for c in text:gmatch(".") do chunks[#chunks + 1] = c end
  return chunks
end

describe("a sequence of JSON values", function()
  local cases = {
    { "", {} },
    { " \t\r\n\x1e\n", {} },
    { "{}", { "{}" } },
    { '{"a":1}\r\n{"b":[2,{"c":3}]}\r\n', { '{"a":1}', '{"b":[2,{"c":3}]}' } },
    { '{"a":1}{"b":2}[3][]', { '{"a":1}', '{"b":2}', "[3]", "[]" } },
    { '\x1e{"a":1}\n\x1e{"b":2}\n', { '{"a":1}', '{"b":2}' } },
    { '\n\n\x1e \x1e{"a":\n1 }\n\n', { '{"a":\n1 }' } }, -- lines mean nothing
    { '{"s":"}]{[\\"}\\\\"}{"t":"\\\\\\""}', { '{"s":"}]{[\\"}\\\\"}', '{"t":"\\\\\\""}' } },
    { '{"id":"8ä€𝄞"}{"\\u00e4":1}', { '{"id":"8ä€𝄞"}', '{"\\u00e4":1}' } },
    { '"a" "b""c\\"d"', { '"a"', '"b"', '"c\\"d"' } },
    { "1 -2.5e3\ntrue\x1enull false", { "1", "-2.5e3", "true", "null", "false" } },
    { '1{"a":2}3[4]5"6"7', { "1", '{"a":2}', "3", "[4]", "5", '"6"', "7" } },
    { "12", { "12" } }, -- ends with the input
    { ("["):rep(100) .. ("]"):rep(100), { ("["):rep(100) .. ("]"):rep(100) } },
    -- not JSON, but it must end somewhere: json_parse refuses it
    { "[} {]", { "[}", "{]" } },
    { "} ]\n,", { "}", "]", "," } },
    { "tru}e nul,l:", { "tru}e", "nul,l:" } },
    { "<html>\n", { "<html>" } },
    { "\\{}", { "\\", "{}" } },
    { "\0 \xff", { "\0", "\xff" } },
    { '{"cut":1\x1e{"a":2}', { '{"cut":1', '{"a":2}' } }, -- RFC 7464: a new text begins
    { '{"cut":"x\x1e[1]', { '{"cut":"x', "[1]" } },
    { '{"cut":"x\\\x1e[1]', { '{"cut":"x\\', "[1]" } },
    -- cut
    { "{", {}, "cut" },
    { '{"a":1}{"b":', { '{"a":1}' }, "cut" },
    { '[1,2]\n[3,"', { "[1,2]" }, "cut" },
    { '"abc', {}, "cut" },
    { '"abc\\"', {}, "cut" },
    { '{"a":"\xc3', {}, "cut" },
  }
  for _, case in ipairs(cases) do
    local text, expected = case[1], { values = case[2], reason = case[3] }
    local name = ("%q"):format(text:sub(1, 60)):gsub("\\\n", "\\n")
    it("is taken apart: " .. name, function() assert.same(expected, outcome { text }) end)
    it("is taken apart one byte at a time: " .. name, function() assert.same(expected, outcome(bytewise(text))) end)
    it("is taken apart split at every byte: " .. name, function()
      for at = 0, #text do assert.same(expected, outcome { text:sub(1, at), text:sub(at + 1) }) end
    end)
  end

  it("is cut at any byte inside a value, and whole between two", function()
    local text = '{"a":"}"}\n[1,"é"]'
    local whole = { [0] = true, [9] = true, [10] = true, [#text] = true }
    for at = 0, #text do assert.equal(whole[at], outcome({ text:sub(1, at) }).reason == nil or nil, "cut at " .. at) end
  end)

  local limit = 4 << 20 -- LIMIT_JSON_ITEM
  it("has values as long as LIMIT_JSON_ITEM, and no longer", function()
    local function value(size) return '"' .. ("x"):rep(size - 2) .. '"' end
    local half = limit // 2
    for _, size in ipairs { limit, limit + 1 } do
      local text = value(size)
      for _, chunks in ipairs { { text }, { text:sub(1, half), text:sub(half + 1) }, { "\n", text, " 1" } } do
        local result = outcome(chunks)
        assert.equal(size > limit and "too long" or nil, result.reason)
        assert.equal(size > limit and 0 or size, #(result.values[1] or ""))
      end
    end
    assert.equal("too long", outcome({ "[" .. ("1"):rep(limit) }).reason) -- whose end has not even come
    assert.equal("too long", outcome({ ("1"):rep(limit + 1) }).reason)
    assert.same({ values = { ("1"):rep(limit) } }, outcome { ("1"):rep(limit) .. " " })
  end)
  it("does not count what stands between values", function()
    local result = outcome { ("\n"):rep(limit + 10), "{}", ("\n"):rep(limit + 10), "[]" }
    assert.same({ values = { "{}", "[]" } }, result)
  end)
end)
