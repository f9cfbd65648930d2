-- Between JSON and Lua values: what documents become, what may be sent and how, and records whose `raw` is lazy.

local json = require "spec.support.jsonprobe"

local array, null = json.array, json.null
local function list(t) return setmetatable(t, array) end

describe("decoding", function()
  it("leaves null out of objects and keeps it in arrays", function()
    assert.same({ a = 1 }, json.decode '{"a":1,"b":null}')
    assert.same({ 1, null, 3 }, json.decode "[1,null,3]")
    assert.equal(null, json.decode "null")
    assert.equal(1, #json.decode "[null]")
  end)

  it("uses lua-cjson's null", function() assert.equal(require "cjson".null, null) end)

  it("marks empty arrays, and only those", function()
    assert.equal(array, getmetatable(json.decode "[]"))
    assert.equal(array, getmetatable(json.decode('{"a":{"b":[]}}').a.b))
    assert.is_nil(getmetatable(json.decode "{}"))
    assert.is_nil(getmetatable(json.decode "[1]"))
  end)

  it("builds nested values of each kind", function()
    local text = '{"s":"x","i":3,"f":1.5,"t":true,"n":false,"o":{"":{}},"a":[[],[{}],"é",{"k":[1,2]}]}'
    assert.same({
      s = "x", i = 3, f = 1.5, t = true, n = false, o = { [""] = {} }, a = { {}, { {} }, "é", { k = { 1, 2 } } },
    }, json.decode(text))
  end)

  it("gives the same for a large document, where strings are kept at hand", function()
    local rows, want = {}, {}
    for i = 1, 700 do
      local label = "label" .. i % 300 -- more names than are kept
      rows[i] = ('{"Id":"%064d","State":"running","Labels":{"%s":"%d","":""},"e\\u0041":"\\n"}'):format(i, label, i)
      local labels = { [label] = tostring(i), [""] = "" }
      want[i] = { Id = ("%064d"):format(i), State = "running", Labels = labels, eA = "\n" }
    end
    assert.same(want, json.decode("[" .. table.concat(rows, ",") .. "]"))
  end)

  it("gives a field's string to C, or nil where there is nothing in it", function()
    local text = '{"a":"x","b":"","c":null,"d":1,"e":"\\u00e9"}'
    assert.equal("x", json.pushstring(text, "a"))
    assert.equal("é", json.pushstring(text, "e"))
    for _, name in ipairs { "b", "c", "d", "missing" } do assert.is_nil(json.pushstring(text, name)) end
  end)
end)

describe("encoding", function()
  for _, case in ipairs {
    { "a string", "a\"\\/\b\f\n\r\t\0\x1f\x7fé€𝄞", [["a\"\\/\b\f\n\r\t\u0000\u001f]] .. '\x7fé€𝄞"' },
    { "an empty string", "", '""' }, { "true", true, "true" }, { "false", false, "false" }, { "null", null, "null" },
    { "an integer", 9007199254740993, "9007199254740993" }, { "the largest", math.maxinteger, "9223372036854775807" },
    { "the smallest", math.mininteger, "-9223372036854775808" }, { "a float", 0.1, "0.1" },
    { "an integral float as the Engine's integers want it", 512 * 1024 * 0.5, "262144" },
    { "a large float", 1e300, "1e+300" }, { "a negative zero", -0.0, "-0.0" },
    { "a list", { 1, "x", { true } }, '[1,"x",[true]]' }, { "nulls in a list", { null, 1, null }, "[null,1,null]" },
    { "an empty table", {}, "{}" }, { "a marked empty list", list {}, "[]" }, { "a marked list", list { 1 }, "[1]" },
    { "an object", { a = { b = null } }, '{"a":{"b":null}}' },
    { "a list behind a list", { a = { list {}, {} } }, '{"a":[[],{}]}' },
    { "Cmd", { Cmd = {} }, '{"Cmd":[]}' }, { "Env", { Env = {} }, '{"Env":[]}' },
    { "Binds", { Binds = {} }, '{"Binds":[]}' },
    { "Labels", { Labels = {} }, '{"Labels":{}}' },
    { "ExposedPorts", { ExposedPorts = {} }, '{"ExposedPorts":{}}' },
    { "Cmd inside", { A = { Cmd = {} } }, '{"A":{"Cmd":[]}}' },
    { "a marked Labels", { Labels = list {} }, '{"Labels":[]}' },
  } do
    it("writes " .. case[1], function()
      assert.same({ case[3], n = 1 }, table.pack(json.encode(case[2])))
      assert.same(json.decode(case[3]), json.decode(json.encode(json.decode(case[3]))))
    end)
  end

  local cycle = { a = {} }
  cycle.a.b = { cycle }
  local deep = {}
  for _ = 1, 64 do deep = { a = deep } end

  for _, case in ipairs {
    { "a function", print, "^function cannot be sent as JSON$" },
    { "a function inside", { HostConfig = { Binds = { "x", print } } }, "^HostConfig%.Binds%[2%]: function cannot be" },
    { "a coroutine", { a = coroutine.create(print) }, "^a: thread cannot be" },
    { "userdata", { a = io.stdout }, "^a: userdata cannot be" },
    { "NaN", { a = { 0 / 0 } }, "^a%[1%]: NaN cannot be sent as JSON$" },
    { "infinity", { a = -math.huge }, "^a: an infinite number cannot be sent as JSON$" },
    { "invalid UTF-8", { Env = { "A=1", "B=\xff" } }, "^Env%[2%]: string is not valid UTF%-8$" },
    { "an encoded surrogate", "\xed\xa0\x80", "^string is not valid UTF%-8$" },
    { "a cut sequence", "é\xe2\x82", "^string is not valid UTF%-8$" },
    { "invalid UTF-8 in a name", { Labels = { ["a\xff\n"] = "x" } }, "^Labels%.a%?%?: string is not valid UTF%-8$" },
    { "a name in an array", { Cmd = { "sh", tty = true } }, "^Cmd%.tty: named field in an array$" },
    { "a name in a marked array", { Cmd = list { tty = true } }, "^Cmd%.tty: named field in an array$" },
    { "a float key in an array", { Cmd = { "sh", [1.5] = 1 } }, "^Cmd: key of type number in an array$" },
    { "a hole", { Cmd = { "a", nil, "c" } }, "^Cmd: array with a hole" },
    { "a far item", { Cmd = { "a", [1000000] = "c" } }, "^Cmd: array with a hole" },
    { "a zeroth item", { Cmd = { [0] = "a", "b" } }, "^Cmd: array with a hole" },
    { "a first item that is missing", { Foo = { [1000000] = "c" } }, "^Foo: key of type number in an object$" },
    { "a boolean key", { Labels = { [true] = "x" } }, "^Labels: key of type boolean in an object$" },
    { "a cycle", cycle, "^a%.b%[1%]: table contains itself$" },
    { "65 levels", deep, "a%.a: nested too deeply %(LIMIT_JSON_DEPTH%)$" },
  } do
    it("refuses " .. case[1], function()
      local text, message = json.encode(case[2])
      assert.is_nil(text)
      assert.matches(case[3], message)
    end)
  end

  it("takes 64 levels, and a table twice where it is no cycle", function()
    assert.equal(('{"a":'):rep(63) .. "{}" .. ("}"):rep(63), json.encode(deep.a))
    local twice = { 1 }
    assert.equal("[[1],[1]]", json.encode { twice, twice })
  end)

  it("cuts a long name in its message", function()
    local _, message = json.encode { [("n"):rep(500)] = print }
    assert.equal(("n"):rep(64) .. "...: function cannot be sent as JSON", message)
  end)

  it("stops at the buffer's cap, and says so", function()
    assert.equal('["abcdef"]', json.encode({ "abcdef" }, 10))
    for cap = 0, 9 do
      local text, message = json.encode({ "abcdef" }, cap)
      assert.is_nil(text)
      assert.matches(("the JSON text would be longer than %d bytes$"):format(cap), message)
    end
  end)

  it("does not run metamethods", function()
    local t = setmetatable({ a = 1 }, { __index = error, __pairs = error, __len = error, __tostring = error })
    assert.equal('{"a":1}', json.encode(t))
  end)
end)

describe("a record", function()
  local text = '{"Id":"abc","Names":["/web"],"Mounts":null,"Labels":{}}'
  local whole = { Id = "abc", Names = { "/web" }, Labels = {} }

  it("makes raw when it is asked for, once", function()
    local record = json.record(text)
    assert.equal("one", record.kind)
    assert.is_nil(rawget(record, "raw"))
    assert.is_nil(record.other)
    assert.is_nil(record[1])
    assert.is_nil(record.ra)
    assert.same(whole, record.raw)
    assert.equal(rawget(record, "raw"), record.raw)
  end)

  it("shows raw in pairs", function()
    local seen = {}
    for k, v in pairs(json.record(text)) do seen[k] = v end
    assert.same({ kind = "one", raw = whole }, seen)
  end)

  it("lets raw be replaced", function()
    local record = json.record(text)
    record.raw = false
    local seen = {}
    for k, v in pairs(record) do seen[k] = v end
    assert.same({ kind = "one", raw = false }, seen)
  end)

  it("has a name", function()
    assert.equal("docker_watcher.record", getmetatable(json.record(text)).__name)
    assert.matches("^docker_watcher.record: ", tostring(json.record(text)))
  end)

  it("outlives its text and the other records of its document", function()
    local rows = json.rows('[{"n":1},"two",[3],4.5,null,{"n":6,"e":"\\u00e9"}]')
    local last, fifth, third = rows[6], rows[5], rows[3]
    rows = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.same({ n = 6, e = "é" }, last.raw)
    assert.equal(null, fifth.raw)
    assert.same({ 3 }, third.raw)
    assert.equal(6, last.row)
  end)

  it("knows its place among many", function()
    local items = {}
    for i = 1, 500 do items[i] = ('{"i":%d,"pad":["%s"]}'):format(i, ("x"):rep(i % 7)) end
    for i, row in ipairs(json.rows("[" .. table.concat(items, ",") .. "]")) do
      assert.equal(i, row.row)
      assert.equal(i, row.raw.i)
    end
  end)

  it("gives strangers with its metatable nothing", function()
    local record = json.record(text)
    assert.is_nil(setmetatable({}, getmetatable(record)).raw)
    assert.is_nil(getmetatable(record).__index({}, "raw"))
    assert.has_error(function() return getmetatable(record).__index(1, "raw") end)
    assert.has_error(function() return getmetatable(record).__pairs() end)
  end)

  it("can be used and dropped in any order under a hostile collector", function()
    finally(function() collectgarbage "incremental" collectgarbage("setpause", 200) end)
    for _, mode in ipairs { "incremental", "generational" } do
      collectgarbage(mode)
      if mode == "incremental" then collectgarbage("setpause", 0) end
      for i = 1, 300 do
        local rows = json.rows '[{"a":[1,{}]},{"b":"x"}]'
        rows[i % 2 + 1] = nil
        local left = rows[2 - i % 2] or rows[1]
        assert.is_table(left.raw)
      end
    end
  end)

  it("leaves the collector as it was", function()
    finally(function() collectgarbage "restart" end)
    collectgarbage "stop"
    local large = json.decode("[" .. ('{"a":1},'):rep(3000) .. "0]")
    assert.equal(3001, #large)
    assert.is_false(collectgarbage "isrunning")
    collectgarbage "restart"
    json.decode("[" .. ('{"a":1},'):rep(3000) .. "0]")
    assert.is_true(collectgarbage "isrunning")
  end)
end)
