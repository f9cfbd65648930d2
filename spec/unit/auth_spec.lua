-- src/auth.c: X-Registry-Auth. engine-semantics 10: base64url with padding, or the Engine goes anonymous in silence;
-- 11: {} when there is nothing; 12: Docker Hub's key.

local cjson = require "cjson"
local pure = require "spec.support.pureprobe"

-- An independent decoder, strict: URL-safe alphabet, length a multiple of 4, padding at the end only, no stray bits.
local function decode(text)
  assert(#text % 4 == 0, "length is not a multiple of 4")
  local body, padding = text:match("^([A-Za-z0-9_-]*)(=?=?)$")
  assert(body, "a byte outside base64url")
  local value = {}
  for i, c in ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"):gmatch("()(.)") do
    value[c] = i - 1
  end
  local out, bits, have = {}, 0, 0
  for c in body:gmatch(".") do
    bits, have = bits << 6 | value[c], have + 6
    if have >= 8 then
      have = have - 8
      out[#out + 1] = string.char(bits >> have)
      bits = bits & (1 << have) - 1
    end
  end
  assert(bits == 0 and have == #padding * 2, "padding does not fit")
  return table.concat(out)
end

describe("X-Registry-Auth", function()
  local cases = {
    { {}, "e30=", "{}" },
    { { username = "ci", password = "pw" }, nil, '{"username":"ci","password":"pw"}' },
    { { username = "ci", password = "pw", serveraddress = "r.example.com:5000" }, nil,
      '{"username":"ci","password":"pw","serveraddress":"r.example.com:5000"}' },
    { { identitytoken = "t", serveraddress = "https://index.docker.io/v1/" }, nil,
      '{"identitytoken":"t","serveraddress":"https://index.docker.io/v1/"}' },
    { { registrytoken = "t" }, nil, '{"registrytoken":"t"}' },
    { { username = "", password = "" }, nil, '{"username":"","password":""}' },
    { { password = '"\\\0\n\127' }, nil, '{"password":"\\"\\\\\\u0000\\n\127"}' },
    { { password = "pä€𝄞" }, nil, '{"password":"pä€𝄞"}' },
    { { username = "a??>", password = "~~~" }, "eyJ1c2VybmFtZSI6ImE_Pz4iLCJwYXNzd29yZCI6In5-fiJ9" }, -- "_" and "-"
  }
  for _, case in ipairs(cases) do
    it("is right for " .. (case[3] or case[2]):gsub("%c", "."), function()
      local text = assert(pure.auth_encode(case[1]))
      if case[2] then assert.equal(case[2], text) end
      if case[3] then assert.equal(case[3], decode(text)) end
    end)
  end

  it("brings 1,000 passwords full of symbols back", function() -- 10
    math.randomseed(20)
    local dash, underline, padded = 0, 0, 0
    for i = 1, 1000 do
      local c = {}
      for j = 1, math.random(0, 40) do
        c[j] = math.random(4) == 1 and utf8.char(math.random(0xA0, 0xD7FF)) or string.char(math.random(0, 127))
      end
      local auth = { username = "ci" .. ("+"):rep(i % 3), password = table.concat(c) }
      local text = assert(pure.auth_encode(auth))
      assert.same(auth, cjson.decode(decode(text)))
      if text:find("-", 1, true) then dash = dash + 1 end
      if text:find("_", 1, true) then underline = underline + 1 end
      if text:find("=", 1, true) then padded = padded + 1 end
    end
    -- each of the three would have failed in standard base64 or without padding
    assert.is_true(dash > 50 and underline > 50 and padded > 50)
  end)

  it("can't hold what is not UTF-8", function()
    assert.same({ nil, "bad utf-8" }, { pure.auth_encode { username = "ci", password = "\xff" } })
    assert.same({ nil, "bad utf-8" }, { pure.auth_encode { username = "\xc3" } })
  end)
  it("is bounded, and works up to the bound with the longest escapes", function()
    local long = ("\1"):rep(64 << 10)
    local text = assert(pure.auth_encode { username = long, password = long, identitytoken = long,
      registrytoken = long, serveraddress = long })
    assert.equal(long, cjson.decode(decode(text)).serveraddress)
    assert.same({ nil, "full" }, { pure.auth_encode { password = long .. "x" } })
  end)
end)

describe("the credential's server", function() -- 12
  local cases = {
    { "docker.io", "https://index.docker.io/v1/" }, { "index.docker.io", "https://index.docker.io/v1/" },
    { "registry.example.com", "registry.example.com" }, { "localhost:5000", "localhost:5000" },
    { "docker.io.example.com", "docker.io.example.com" }, { "docker.i", "docker.i" }, { "", "" },
  }
  for _, case in ipairs(cases) do
    it("of " .. case[1], function() assert.equal(case[2], pure.auth_server(case[1])) end)
  end
end)
