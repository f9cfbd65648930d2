-- docker_watcher.tags.{version,range,semver}: SemVer 2.0 precedence, the range grammar of npm's and Masterminds' users,
-- and which tag of a list is chosen. A case is a line.

local range = require "docker_watcher.tags.range"
local semver = require "docker_watcher.tags.semver"
local version = require "docker_watcher.tags.version"

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "%S" then list[#list + 1] = line:match "^%s*(.-)%s*$" end
  end
  return list
end

local function parse(text)
  local v, reason = version.parse(text)
  return v or error(("'%s': %s"):format(text, reason), 2)
end

describe("version.parse", function()
  local good = lines [[
    0.0.4
    1.2.3
    10.20.30
    1.1.2-prerelease+meta
    1.1.2+meta
    1.1.2+meta-valid
    1.0.0-alpha
    1.0.0-beta
    1.0.0-alpha.beta
    1.0.0-alpha.beta.1
    1.0.0-alpha.1
    1.0.0-alpha0.valid
    1.0.0-alpha.0valid
    1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay
    1.0.0-rc.1+build.1
    2.0.0-rc.1+build.123
    1.2.3-beta
    10.2.3-DEV-SNAPSHOT
    1.2.3-SNAPSHOT-123
    1.0.0
    2.0.0
    1.1.7
    2.0.0+build.1848
    2.0.1-alpha.1227
    1.0.0-alpha+beta
    1.2.3----RC-SNAPSHOT.12.9.1--.12+788
    1.2.3----R-S.12.9.1--.12+meta
    1.2.3----RC-SNAPSHOT.12.9.1--.12
    1.0.0+0.build.1-rc.10000aaa-kk-0.1
    99999999999999999999999.999999999999999999.99999999999999999
    1.0.0-0A.is.legal
    v1.2.3
    V1.2.3
  ]]
  for _, text in ipairs(good) do
    it("takes " .. text, function()
      local v = parse(text)
      assert.equal((text:gsub("^[vV]", "")), version.format(v))
    end)
  end

  local bad = lines [[
    1
    1.2
    1.2.3-0123
    1.2.3-0123.0123
    1.1.2+.123
    +invalid
    -invalid
    -invalid+invalid
    -invalid.01
    alpha
    alpha.beta
    alpha.beta.1
    alpha.1
    alpha+beta
    alpha_beta
    alpha.
    alpha..
    beta
    1.0.0-alpha_beta
    -alpha.
    1.0.0-alpha..
    1.0.0-alpha..1
    1.0.0-alpha...1
    1.0.0-alpha....1
    01.1.1
    1.01.1
    1.1.01
    1.2.3.DEV
    1.2-SNAPSHOT
    1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788
    1.2-RC-SNAPSHOT
    -1.0.3-gamma+b7718
    +justmeta
    9.8.7+meta+meta
    9.8.7-whatever+meta+meta
    1.2.3+
    1.2.3-
    1.2.3.4
    vv1.2.3
    1.2.3 4
  ]]
  for _, text in ipairs(bad) do
    it("refuses " .. text .. " and says why", function()
      local v, reason = version.parse(text)
      assert.is_nil(v)
      assert.is_string(reason)
      assert.is_true(#reason > 5)
    end)
  end
end)

describe("version.compare", function()
  -- From the lowest to the highest; each is below all that follow. The first row is semver.org's (section 11).
  local ladders = {
    "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0",
    "1.0.0 2.0.0 2.1.0 2.1.1",
    "0.0.0-0 0.0.0-1 0.0.0-a 0.0.0 0.0.1-0 0.0.1",
    "1.0.0-1 1.0.0-2 1.0.0-10 1.0.0-10.a 1.0.0-A 1.0.0-B 1.0.0-a 1.0.0-b",
    "1.0.0--- 1.0.0-1a 1.0.0-a- 1.0.0-aa",
    "1.9.0 1.10.0 1.11.0 1.100.0",
    "9.0.0 10.0.0 99999999999999999999.0.0 100000000000000000000.0.0",
    "1.0.0-9223372036854775807 1.0.0-9223372036854775808 1.0.0-99999999999999999999",
    "1.0.0-rc.1 1.0.0-rc.1.0 1.0.0-rc.1.a 1.0.0-rc.2",
    "1.2.3-alpha.10.beta.0 1.2.3-alpha.10.beta.2 1.2.3-alpha.10.beta.10",
  }
  for _, text in ipairs(ladders) do
    local ladder = {}
    for word in text:gmatch "%S+" do ladder[#ladder + 1] = word end
    for i = 1, #ladder do
      for j = 1, #ladder do
        local wanted = i < j and -1 or i > j and 1 or 0
        it(("%s %s %s"):format(ladder[i], wanted < 0 and "<" or wanted > 0 and ">" or "=", ladder[j]), function()
          assert.equal(wanted, version.compare(parse(ladder[i]), parse(ladder[j])))
        end)
      end
    end
  end

  for _, pair in ipairs { "1.0.0+a 1.0.0+b", "v1.2.3 1.2.3", "1.0.0-rc.1+x 1.0.0-rc.1", "1.0.0+1 1.0.0" } do
    it(pair .. " are equal", function()
      local a, b = pair:match "(%S+) (%S+)"
      assert.equal(0, version.compare(parse(a), parse(b)))
    end)
  end

  it("adds one to numbers of any length", function()
    for digits, wanted in pairs { ["0"] = "1", ["9"] = "10", ["19"] = "20", ["999"] = "1000",
      ["9223372036854775807"] = "9223372036854775808", ["1299"] = "1300" } do
      assert.equal(wanted, version.increment(digits))
    end
  end)
end)

-- RANGE | versions inside | versions outside. Versions are divided by blanks.
local function range_cases(text, options)
  for _, line in ipairs(lines(text)) do
    local wanted, inside, outside = line:match "^(.-)%s*|%s*(.-)%s*|%s*(.-)$"
    wanted = wanted == "(empty)" and "" or wanted:gsub("OR", "||")
    local function check(list, expected)
      for word in list:gmatch "%S+" do
        it(("'%s' %s %s"):format(wanted, expected and "holds" or "does not hold", word), function()
          local r, reason = range.parse(wanted, options)
          assert.is_truthy(r, reason)
          local yes, why = range.satisfies(parse(word), r)
          assert.equal(expected, yes, why)
          if not yes then assert.is_string(why) end
        end)
      end
    end
    check(inside, true)
    check(outside, false)
  end
end

describe("ranges as npm reads them", function()
  range_cases [[
    1.0.0 - 2.0.0        | 1.0.0 1.2.3 2.0.0                   | 0.9.9 2.0.1 2.2.3 1.5.0-rc.1
    1.2.3 - 2.3.4        | 1.2.3 2.3.4                         | 1.2.2 2.3.5
    1.2 - 2.3.4          | 1.2.0 2.3.4                         | 1.1.9 2.3.5
    1.2.3 - 2.3          | 1.2.3 2.3.99                        | 2.4.0 2.4.0-0
    1.2.3 - 2            | 1.2.3 2.99.99                       | 3.0.0 3.0.0-alpha
    1.2.3+a - 2.4.3+b    | 1.2.3 2.4.3                         | 2.4.4
    1.2.3-beta - 2.0.0   | 1.2.3-beta 1.2.3-rc.1 2.0.0         | 1.2.3-alpha 1.2.4-beta
    ^1.2.3+build         | 1.2.3 1.3.0                         | 2.0.0
    1.0.0                | 1.0.0 v1.0.0 1.0.0+x                | 1.0.1 0.9.9 1.0.0-rc.1
    =1.0.0               | 1.0.0                               | 1.0.1
    v1.0.0               | 1.0.0                               | 1.0.1
    >=*                  | 0.2.4 1.0.0                         | 1.0.0-rc.1
    (empty)              | 0.0.0 1.0.0 99.0.0                  | 1.0.0-rc.1
    *                    | 1.2.3 v1.2.3 0.0.0                  | 1.2.3-foo
    x                    | 1.2.3                               | 1.2.3-foo
    X                    | 1.2.3                               | 1.2.3-0
    >=1.0.0              | 1.0.0 1.0.1 1.1.0 2.0.0             | 0.9.9 1.0.0-rc.1 2.0.0-rc.1
    >1.0.0               | 1.0.1 1.1.0                         | 1.0.0 0.0.1
    <=2.0.0              | 2.0.0 1.9999.9999 0.2.9             | 2.0.1 2.0.0-rc.1
    <2.0.0               | 1.9999.9999 0.2.9                   | 2.0.0 2.2.9 2.0.0-rc.1
    >= 1.0.0             | 1.0.0 1.0.1                         | 0.1.0
    >  1.0.0             | 1.0.1 1.1.0                         | 1.0.0
    <=   2.0.0           | 2.0.0 1.9.0                         | 2.9.9
    <    2.0.0           | 1.9.9                               | 2.2.9
    >=0.1.97             | v0.1.97 0.1.97 1.0.0                | 0.1.93
    0.1.20 OR 1.2.4      | 0.1.20 1.2.4                        | 1.2.3
    >=0.2.3 OR <0.0.1    | 0.0.0 0.2.3 0.2.4                   | 0.0.3 0.2.2
    OR                   | 1.3.4 0.0.0                         | 1.0.0-rc.1
    2.x.x                | 2.1.3 2.0.0                         | 1.1.3 3.1.3
    1.2.x                | 1.2.3 1.2.0                         | 1.3.3 1.1.9
    1.2.x OR 2.x         | 2.1.3 1.2.3                         | 1.1.3 3.1.3 1.3.0
    2.*.*                | 2.1.3                               | 1.1.3 3.0.0
    1.2.*                | 1.2.3                               | 1.3.3
    1.2.* OR 2.*         | 2.1.3 1.2.3                         | 3.1.3 1.1.3
    2                    | 2.1.2 2.0.0                         | 1.1.2 3.0.0
    2.3                  | 2.3.1 2.3.0                         | 2.4.1 2.2.9
    ~0.0.1               | 0.0.1 0.0.2                         | 0.1.0 0.1.0-alpha
    ~x                   | 0.0.9 9.9.9                         | 1.0.0-rc.1
    ~2                   | 2.0.9 2.9.9                         | 3.0.0 1.9.9
    ~2.4                 | 2.4.0 2.4.5                         | 2.5.0 2.3.9
    ~>3.2.1              | 3.2.2 3.2.1                         | 3.3.2 3.2.0
    ~1                   | 1.2.3 1.0.0                         | 0.2.3 2.2.3
    ~>1                  | 1.2.3                               | 0.2.4 2.0.0
    ~> 1                 | 1.2.3                               | 0.2.3
    ~1.0                 | 1.0.2 1.0.0                         | 1.1.0
    ~ 1.0                | 1.0.2                               | 1.1.0
    ~ 1.0.3              | 1.0.12 1.0.3                        | 1.0.2 1.1.0
    ~1.2.1 >=1.2.3       | 1.2.3 1.2.9                         | 1.2.2 1.3.0
    ~1.2.1 =1.2.3        | 1.2.3                               | 1.2.4 1.2.1
    ~1.2.1 1.2.3         | 1.2.3                               | 1.2.2
    >=1.2.1 1.2.3        | 1.2.3                               | 1.2.1
    1.2.3 >=1.2.1        | 1.2.3                               | 1.2.2
    >=1.2.3 >=1.2.1      | 1.2.3                               | 1.2.1
    >=1                  | 1.0.0 2.0.0                         | 0.9.9
    >= 1                 | 1.0.0                               | 0.0.1
    <1.2                 | 1.1.1 1.1.99                        | 1.2.0 1.2.0-rc.1
    < 1.2                | 1.1.1                               | 1.2.0
    =0.7.x               | 0.7.2                               | 0.8.2 0.6.9
    <=0.7.x              | 0.7.2 0.6.2                         | 0.8.0 0.8.0-rc.1
    >=0.7.x              | 0.7.0 1.0.0                         | 0.6.2
    <0.7.x               | 0.6.9                               | 0.7.0
    >0.7.x               | 0.8.0                               | 0.7.2 0.7.99
    <=1                  | 1.9.9 0.1.0                         | 2.0.0 2.0.0-0
    >1                   | 2.0.0                               | 1.0.0 1.9.9
    >1.2                 | 1.3.0                               | 1.2.8 1.2.0
    <1                   | 0.9.9                               | 1.0.0 1.0.0-beta
    >*                   |                                     | 0.0.0 1.0.0 99.0.0
    <*                   |                                     | 0.0.0 1.0.0
    ~1.2.3-beta          | 1.2.3-beta 1.2.3-rc 1.2.3 1.2.9     | 1.2.3-alpha 1.2.4-beta 1.3.0
    ^0.0.1               | 0.0.1                               | 0.0.2 0.0.2-alpha 0.1.0
    ^0.0                 | 0.0.0 0.0.9                         | 0.1.0
    ^0                   | 0.0.0 0.9.9                         | 1.0.0
    ^0.1                 | 0.1.2 0.1.0                         | 0.2.0 0.0.9
    ^0.1.2               | 0.1.2 0.1.9                         | 0.1.1 0.2.0 0.2.0-rc.1
    ^1.2                 | 1.2.0 1.4.2 1.99.0                  | 1.1.9 2.0.0 2.0.0-0
    ^1.2 ^1              | 1.4.2                               | 1.1.0
    ^1                   | 1.0.0 1.9.9                         | 0.9.9 2.0.0
    ^1.x                 | 1.0.0 1.9.9                         | 2.0.0
    ^x                   | 1.2.3                               | 1.2.3-beta.2
    ^1.2.3               | 1.2.3 1.8.1                         | 1.2.2 2.0.0 2.0.0-alpha 1.2.3-pre 1.3.0-pre
    ^1.2.3-alpha         | 1.2.3-pre 1.2.3-alpha 1.2.3 1.9.0   | 1.2.4-alpha 2.0.0-alpha 1.2.3-a
    ^1.2.0-alpha         | 1.2.0-pre 1.2.0                     | 1.2.1-pre 2.0.0
    ^0.0.1-alpha         | 0.0.1-beta 0.0.1                    | 0.0.2-beta 0.0.2
    ^0.1.1-alpha         | 0.1.1-beta 0.1.2                    | 0.1.2-beta 0.2.0
    >=1.0.0-0            | 1.0.0-0 1.0.0-rc.1 1.0.0 2.0.0      | 1.0.1-rc.1 2.0.0-rc.1
    >1.0.0-alpha <2.0.0  | 1.0.0-beta 1.0.0 1.5.0              | 1.0.0-alpha 1.5.0-beta 2.0.0
    >=1.2.3-beta.2       | 1.2.3-beta.2 1.2.3-beta.11 1.2.3    | 1.2.3-beta.1 1.2.4-beta.3
    1.2.3-pre+asdf - 2.4.3-pre+asdf | 1.2.3 1.2.3-pre.2 2.4.3-alpha | 2.4.3 1.2.4-pre
  ]]
end)

describe("ranges as Masterminds' users write them", function()
  range_cases [[
    >=1.0.0, <2.0.0      | 1.0.0 1.9.9                         | 0.9.9 2.0.0
    >=1.0.0,<2.0.0       | 1.5.0                               | 2.0.0
    >= 1.2, < 3.0.0 OR >= 4.2.3 | 1.2.0 2.9.9 4.2.3 5.0.0      | 3.0.0 4.2.2 1.1.9
    !=1.2.3              | 1.2.2 1.2.4                         | 1.2.3
    >=1.0.0 !=1.5.0      | 1.0.0 1.5.1                         | 1.5.0 0.9.0
    >=1.0.0, !=1.0.0-rc.1 | 1.0.0                              | 1.0.0-rc.2
    =>1.2.3              | 1.2.3 2.0.0                         | 1.2.2
    =<1.2.3              | 1.2.3 1.0.0                         | 1.2.4
    ==1.2.3              | 1.2.3                               | 1.2.4
    ~1.2.x               | 1.2.0 1.2.9                         | 1.3.0
    ^1.2.x               | 1.2.0 1.9.0                         | 2.0.0
  ]]
end)

describe("ranges with prerelease = true", function()
  range_cases([[
    *                    | 1.0.0-rc.1 1.2.3 0.0.0-alpha        |
    (empty)              | 1.0.0-rc.1                          |
    ^1.2.3               | 1.2.4-rc.1 1.9.0-beta 1.2.3         | 1.2.3-rc.1 2.0.0-rc.1 2.0.0
    ^1                   | 1.0.0-rc.1 1.5.0-0                  | 2.0.0-rc.1 0.9.9
    ^1.2                 | 1.2.0-0 1.2.0-rc.1                  | 1.1.9 2.0.0-0
    ^0.2.3               | 0.2.3-rc.1 0.2.4-rc.1               | 0.3.0-rc.1
    ^0.0.3               | 0.0.3-rc.1 0.0.3                    | 0.0.4-rc.1 0.0.4
    ~1.2.3               | 1.2.4-rc.1                          | 1.3.0-rc.1 1.2.3-rc.1
    1.x                  | 1.0.0-rc.1 1.9.9-rc.1               | 2.0.0-rc.1
    1.2.x                | 1.2.0-rc.1                          | 1.3.0-rc.1
    >=1.0.0-0            | 1.0.0-0 1.0.0-rc.1 3.0.0-alpha 3.0.0 | 0.9.9
    >=1.0.0              | 1.0.1-rc.1                          | 1.0.0-rc.1
    >1                   | 2.0.0-rc.1                          | 1.9.9
    <=1                  | 1.9.9-rc.1                          | 2.0.0-rc.1
    <1                   | 0.9.9-rc.1                          | 1.0.0-rc.1
    1.2.3 - 2.3.4        | 1.2.3-rc.1 2.3.4-rc.1 2.3.4         | 2.3.5-rc.1
    1.2 - 2              | 1.2.0-rc.1 2.9.0-rc.1               | 3.0.0-rc.1
    >=1.0.0 <2.0.0       | 1.5.0-rc.1 2.0.0-rc.1               | 2.0.0 1.0.0-rc.1
  ]], { prerelease = true })
end)

describe("range.parse", function()
  local bad = {
    "hello", "1.2.3.4", ">=", "^", "~", "<>1", "1.2.3 -", "- 1.2.3", "1.2.3-01", "01.2.3", ">=1..2", "1.2.3 || hello",
    "!=1.2", "^^1", ">>1", "1.2.3-", "git+ssh://x", "1,,2", "1.2.y", "\0", "1.2.3-a b", "=!1", ("1"):rep(2000),
  }
  for _, text in ipairs(bad) do
    it(("refuses %q and says why"):format(text:sub(1, 20)), function()
      local r, reason = range.parse(text)
      assert.is_nil(r)
      assert.is_string(reason)
    end)
  end
end)

describe("semver.parse_tag", function()
  -- tag | prefix | parts | prerelease | variant
  for _, line in ipairs(lines [[
    1.2.3                  |   | 3 |          |
    v1.2.3                 | v | 3 |          |
    1.27                   |   | 2 |          |
    7                      |   | 1 |          |
    1.27-alpine            |   | 2 |          | alpine
    1.27.0-alpine3.19      |   | 3 |          | alpine3.19
    3.12.1-bookworm-slim   |   | 3 |          | bookworm-slim
    3.13.0-rc1             |   | 3 | rc1      |
    3.13.0-rc.1            |   | 3 | rc.1     |
    3.13.0-rc1-alpine3.20  |   | 3 | rc1      | alpine3.20
    1.0.0-beta-2           |   | 3 | beta-2   |
    1.0.0-alpha.1-slim     |   | 3 | alpha.1  | slim
    2.0.0-SNAPSHOT         |   | 3 | SNAPSHOT |
    2.0.0-M1               |   | 3 | M1       |
    2.0.0-main             |   | 3 |          | main
    2.0.0-preview3         |   | 3 | preview3 |
    2.0.0-prefix           |   | 3 |          | prefix
    1.0.0-windowsservercore-1809 | | 3 |      | windowsservercore-1809
    1.2.3_build5           |   | 3 |          |
    1.2.3-rc.1_build5      |   | 3 | rc.1     |
    1.0.0-1                |   | 3 |          | 1
    1.0.0-nightly.20250101 |   | 3 | nightly.20250101 |
  ]]) do
    local tag, prefix, parts, pre, variant = line:match "^(%S+)%s*|%s*(%S*)%s*|%s*(%S*)%s*|%s*(%S*)%s*|%s*(%S*)$"
    it("takes " .. tag .. " apart", function()
      local t = assert(semver.parse_tag(tag))
      assert.same({ prefix, parts, pre, variant },
        { t.prefix, tostring(t.parts), table.concat(t.version.pre, "."), t.variant })
    end)
  end

  for _, tag in ipairs {
    "latest", "stable", "main", "_x", "v", "1.2.3.4", "1.02.3", "20.04", "1..2", "1.2.", "1.2.3rc1", "1.2.3-", "x1.2.3",
    "sha256-5aec090c546c3f864edae53794476ce3471e40c3dc979672d091d1a4d9165450.sig", "deadbeef", "2025-08-05T00",
    "release-1.2.3", "1.2.3-rc.01",
  } do
    it("does not take " .. tag .. " for a version, or for one without its own variant", function()
      local t, reason = semver.parse_tag(tag)
      if t then assert.not_equal("", t.variant) else assert.is_string(reason) end
    end)
  end
end)

-- { what it shows, options, current or false, tags, the tag wanted or false, a pattern that the reason matches }
local choices = {
  { "the highest", {}, false, "1.0.0 1.10.0 1.9.0", "1.10.0", "highest of 3" },
  { "not by position or text", {}, false, "1.9.0 1.10.0 1.2.0", "1.10.0" },
  { "inside the range", { range = "^1" }, false, "1.0.0 2.0.0 1.5.0", "1.5.0" },
  { "none in the range", { range = "^3" }, false, "1.0.0 2.0.0", false, "none of 2 tags" },
  { "an empty list", {}, false, "", false, "none of 0 tags" },
  { "no prereleases", {}, false, "1.0.0 1.1.0-rc.1", "1.0.0" },
  { "prereleases when asked for", { prerelease = true }, false, "1.0.0 1.1.0-rc.1", "1.1.0-rc.1" },
  { "the release above its prereleases", { prerelease = true }, false, "1.1.0-rc.2 1.1.0 1.1.0-rc.10", "1.1.0" },
  { "the design's staging", { range = ">=1.0.0-0", prerelease = true }, false, "1.0.0 1.1.0-rc.1 0.9.0", "1.1.0-rc.1" },
  { "a prerelease that the range names", { range = ">=1.1.0-rc.0" }, false, "1.1.0-rc.1 1.2.0-rc.1", "1.1.0-rc.1" },
  { "no moving tags", {}, false, "1.27 1 1.26.3 latest", "1.26.3" },
  { "moving tags when asked for", { parts = 2 }, false, "1.27 1 1.26.3 1.9", "1.27" },
  { "only whole numbers", { parts = 1 }, false, "7 10 9.1 8.0.0", "10" },
  { "no variants", {}, false, "1.2.0 1.3.0-alpine", "1.2.0" },
  { "only its variant", { variant = "alpine" }, false, "1.2.0 1.3.0-alpine 1.4.0-slim 1.5.0", "1.3.0-alpine" },
  { "variants to the letter", { variant = "alpine" }, false, "1.3.0-alpine3.19", false },
  { "variant and prerelease", { variant = "alpine", prerelease = true }, false, "1.3.0-rc1-alpine 1.2.0-alpine",
    "1.3.0-rc1-alpine" },
  { "tags with v", {}, false, "v1.2.0 v1.10.0 latest", "v1.10.0" },
  { "the writing of the running one", {}, "v1.2.0", "v1.3.0 1.4.0", "v1.3.0" },
  { "not from no v to v", {}, "1.2.0", "1.2.0 v1.3.0", "1.2.0" },
  { "one of two equal ones, always the same", {}, false, "v1.2.3 1.2.3", "1.2.3" },
  { "one of two equal ones, in any order", {}, false, "1.2.3 v1.2.3", "1.2.3" },
  { "the running one of two builds", {}, "1.2.3_b", "1.2.3_a 1.2.3_b", "1.2.3_b" },
  { "no downgrade", {}, "2.0.0", "1.9.0 1.8.0", false, "below the running 2.0.0" },
  { "no downgrade from a release to its prerelease", { prerelease = true }, "2.0.0", "2.0.0-rc.1", false, "below" },
  { "a downgrade when allowed", { allow_downgrade = true }, "2.0.0", "1.9.0 1.8.0", "1.9.0" },
  { "the running one stays", {}, "1.2.3", "1.2.3 1.2.2", "1.2.3" },
  { "a lowered range is no reason to go back", { range = "^1" }, "2.0.0", "1.9.0 2.0.0", false, "below" },
  { "an unknown running tag is no hindrance", {}, "latest", "1.0.0", "1.0.0" },
  { "a changed variant is compared with nothing", { variant = "slim" }, "9.0.0", "1.0.0-slim", "1.0.0-slim" },
  { "no old date-like tags with leading zeros", {}, "4.6.2", "4.6.2 20.04.1", "4.6.2" },
  { "no jump to years", {}, "10.11.4", "10.11.4 2021.12.16", "10.11.4" },
  { "no jump by two digits", {}, "4.6.2", "4.6.2 100.0.1", "4.6.2" },
  { "a step by one digit", {}, "9.9.9", "9.9.9 10.0.0", "10.0.0" },
  { "years among years", {}, "2021.12.16", "2022.1.2 2021.12.16", "2022.1.2" },
  { "a far lower list", {}, "2.0.0", "", false, "none" },
  { "large numbers", {}, false, "1.0.99999999999999999999 1.0.100000000000000000000", "1.0.100000000000000000000" },
  { "artifacts are no versions", {}, false, "1.0.0 sha256-5aec090c546c3f864edae53794476ce3.sig", "1.0.0" },
  { "commits are no versions", {}, false, "1.0.0 deadbeef 1234567", "1.0.0" },
  { "commits of digits only are one number, not three", {}, false, "1234567", false },
}

describe("tags.semver", function()
  local defaults = { range = "*", prerelease = false, variant = "", parts = 3, allow_downgrade = false }
  for _, case in ipairs(choices) do
    local what, given, current, listed, wanted, pattern = table.unpack(case, 1, 6)
    it("chooses: " .. what, function()
      local options = setmetatable(given, { __index = defaults })
      local choose = assert(semver.new(options))
      local tags = {}
      for tag in listed:gmatch "%S+" do tags[#tags + 1] = tag end
      local before = table.concat(tags, " ")
      local tag, reason, refused = choose(tags, { current = current or nil })
      assert.equal(wanted or nil, tag, reason)
      assert.is_string(reason)
      if pattern then assert.matches(pattern, reason) end
      assert.equal(before, table.concat(tags, " "), "the list was changed")
      for _, entry in ipairs(refused) do
        assert.is_string(entry.tag)
        assert.is_true(#entry.reason > 5)
      end
    end)
  end

  it("gives the same answer for every order of the list", function()
    local choose = assert(semver.new(setmetatable({ prerelease = true }, { __index = defaults })))
    local tags = { "1.0.0", "v1.0.0", "1.0.0_a", "1.0.0-rc.1", "0.9.0", "1.0.0_b", "V1.0.0" }
    local first = choose(tags, {})
    for _ = 1, 50 do
      for i = #tags, 2, -1 do
        local j = math.random(i)
        tags[i], tags[j] = tags[j], tags[i]
      end
      assert.equal(first, (choose(tags, {})))
    end
  end)

  it("says which option is wrong", function()
    local choose, reason, option = semver.new(setmetatable({ range = "^^1" }, { __index = defaults }))
    assert.is_nil(choose)
    assert.equal("range", option)
    assert.is_string(reason)
  end)
end)
