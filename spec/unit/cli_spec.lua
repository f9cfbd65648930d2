-- docker_watcher.cli, log, json and error: what is printed, and which status the command ends with. The engine is a
-- table here; spec/cli/cli_spec.lua runs the real command.

local cli = require "docker_watcher.cli"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local errors = require "docker_watcher.error"
local fakeengine = require "spec.support.fakeengine"
local json = require "docker_watcher.json"
local log = require "docker_watcher.log"
local secret = require "docker_watcher.secret"
local virtual = require "spec.support.virtual"

--- Runs the command; answers status, output, complaints.
local function run(argv, more)
  local out, err = {}, {}
  local world = {
    write = function(text) out[#out + 1] = text end, complain = function(text) err[#err + 1] = text end,
    is_terminal = function() return false end, getenv = function() return nil end, http = {},
  }
  for key, value in pairs(more or {}) do world[key] = value end
  local status = cli.main(argv, world)
  return status, table.concat(out), table.concat(err)
end

--- The real docker module, but for connect.
local function with_engine(engine)
  local fake = setmetatable({ connect = function(options)
    if options.host == "nonsense" then error("connect: host: unix:///… or tcp://… expected", 2) end
    engine.host = options.host
    return setmetatable({ close = function() engine.closed = true end }, { __index = engine.client })
  end }, { __index = docker })
  return fake
end

describe("the command", function()
  local folder, good
  before_each(function()
    folder = env.tmpdir()
    good = folder .. "/shop.lua"
    env.write_file(good, [[return {
      engine = "unix:///e.sock",
      projects = { shop = { image = "r.example.com/web", stages = {
        staging = { tags = tags.semver { range = "^1" } }, live = { tags = function(l) return l[1] end } } } } }]])
    env.write_file(folder .. "/bad.lua", "return {\n  projets = {},\n  pol = {} }")
  end)
  after_each(env.cleanup)

  it("helps", function()
    for _, argv in ipairs { { "--help" }, { "-h" }, { "run", "--help" }, { "check", "-h" }, { "status", "--help" },
      { "run", "--help", "x", "--log", "text" } } do
      local status, out, err = run(argv)
      assert.same({ 0, "" }, { status, err })
      assert.matches("Usage: docker%-watcher", out)
      assert.matches("docker%-watcher %a+ shop%.lua", out, "it shows an example")
    end
  end)

  it("tells of wrong usage, and ends with 2", function()
    for text, argv in pairs {
      ["a command is required"] = {}, ["unknown command 'rnu'\nDid you mean 'run'?"] = { "rnu" },
      ["missing argument 'file'"] = { "run" }, ["unknown option '--jsn'"] = { "check", "x", "--jsn" },
      ["too many arguments"] = { "check", "a", "b" },
      ["argument for option '--log' must be one of 'text', 'json'"] = { "run", "x", "--log", "xml" },
    } do
      local status, out, err = run(argv)
      assert.same({ 2, "" }, { status, out })
      assert.is_truthy(err:find("docker-watcher: " .. text, 1, true), err)
      assert.matches("Try  docker%-watcher %-%-help", err)
    end
  end)

  describe("check", function()
    it("shows what would be watched", function()
      local status, out, err = run { "check", good }
      assert.same({ 0, "" }, { status, err })
      assert.matches("shop%.lua is good: 2 stages, looked at every 1m", out)
      assert.matches("\nshop     staging  r%.example%.com/web  semver %^1  blue_green  dw%-shop\n", out)
    end)
    it("lists mistakes, and ends with 78", function()
      local status, out, err = run { "check", folder .. "/bad.lua" }
      assert.same({ 78, "" }, { status, out })
      assert.matches("bad%.lua:2: projets: unknown key 'projets' %(did you mean 'projects'%?%)\n", err)
      assert.matches("bad%.lua:3: pol: unknown key 'pol' %(did you mean 'poll'%?%)\n", err)
      assert.matches("3 mistakes in .*: nothing was started", err)
    end)
    it("prints JSON", function()
      local status, out = run { "check", good, "--json" }
      local answer = json.decode(out)
      assert.equal(0, status)
      assert.same({ true, 2, "staging" }, { answer.good, #answer.stages, answer.stages[2].stage })
      assert.is_truthy(out:find('"mistakes":[]', 1, true))
      status, out = run { "check", folder .. "/bad.lua", "--json" }
      answer = json.decode(out)
      assert.equal(78, status)
      assert.same({ false, 3, 2, "projets" },
        { answer.good, #answer.mistakes, answer.mistakes[2].line, answer.mistakes[2].path })
      status, out = run { "check", folder .. "/gone.lua", "--json" }
      assert.equal(78, status)
      assert.matches("No such file", json.decode(out).mistakes[1].message)
    end)
  end)

  describe("status", function()
    local engine
    before_each(function() engine = fakeengine.new(virtual.new()) end)
    local function labels(stage, tag)
      return {
        ["docker-watcher.project"] = "shop", ["docker-watcher.stage"] = stage, ["docker-watcher.tag"] = tag,
        ["docker-watcher.digest"] = "sha256:" .. ("ab"):rep(32), ["docker-watcher.instance-id"] = "x",
      }
    end
    it("shows the stages of a configuration, and what runs", function()
      engine.put { name = "dw-shop-staging-1.0", labels = labels("staging", "1.0"), health = "healthy",
        networks = { n = { "shop-staging" } } }
      engine.put { name = "dw-shop-old-0.9", labels = labels("old", "0.9"), state = "exited",
        networks = { n = { "shop-old" } } }
      engine.put { name = "stranger" }
      local status, out, err = run({ "status", good }, { docker = with_engine(engine) })
      assert.same({ 0, "" }, { status, err })
      assert.equal("unix:///e.sock", engine.host)
      assert.is_true(engine.closed)
      assert.matches("shop     live     %-    nothing runs", out)
      assert.matches("shop     staging  1%.0  running, healthy +dw%-shop%-staging%-1%.0  abababababab", out)
      assert.matches("shop     old      0%.9  exited, not in the configuration", out)
      assert.is_nil(out:find "stranger")
    end)
    it("prints JSON, with and without a configuration", function()
      local _, out = run({ "status", "--json" }, { docker = with_engine(engine) })
      assert.equal('{"stages":[]}\n', out)
      engine.put { name = "dw-shop-staging-1.0", labels = labels("staging", "1.0") }
      _, out = run({ "status", "--json", "--engine", "tcp://h:1" }, { docker = with_engine(engine) })
      assert.equal("tcp://h:1", engine.host)
      local answer = json.decode(out)
      assert.equal("dw-shop-staging-1.0", answer.stages[1].instances[1].name)
      assert.is_false(answer.stages[1].instances[1].serving)
      assert.is_nil(answer.stages[1].configured)
    end)
    it("says when nothing runs, when the engine is away, and when its address is none", function()
      local status, out = run({ "status" }, { docker = with_engine(engine) })
      local err
      assert.equal(0, status)
      assert.matches("Nothing runs .* docker%-watcher run FILE", out)
      engine.fails.list_containers = errors.new("unreachable", "no Docker Engine at x: start it")
      status, out, err = run({ "status" }, { docker = with_engine(engine) })
      assert.same({ 1, "", "docker-watcher: no Docker Engine at x: start it\n" }, { status, out, err })
      status, out, err = run({ "status", "--engine", "nonsense" }, { docker = with_engine(engine) })
      assert.same({ 1, "" }, { status, out })
      assert.matches("^docker%-watcher: connect: host", err)
      assert.equal(78, (run { "status", folder .. "/bad.lua" }))
    end)
  end)

  describe("run", function()
    it("does not start on a bad configuration", function()
      local status, out, err = run { "run", folder .. "/bad.lua" }
      assert.same({ 78, "" }, { status, out })
      assert.matches("nothing was started", err)
    end)
    it("stops cleanly when told to, and at once when told twice", function()
      for times = 1, 2 do
        local loop = virtual.new()
        local engine, handlers, exited, closed = fakeengine.new(loop), {}, nil, 0
        engine.fails.ping = errors.new("unreachable", "away")
        loop.signal = function(name, fn)
          handlers[name] = fn
          return { close = function() closed = closed + 1 end }
        end
        local ping = engine.client.ping
        engine.client.ping = function(...)
          for _ = 1, times do handlers.SIGTERM() end
          return ping(...)
        end
        local status, out = run({ "run", good }, {
          docker = with_engine(engine), loop = loop, exit = function(code) exited = code end,
        })
        assert.equal(0, status)
        assert.equal(2, closed)
        assert.equal(times == 2 and 1 or nil, exited)
        for line in out:gmatch "[^\n]+" do assert.is_table(json.decode(line)) end
        assert.matches('"message":"stopped"', out)
      end
    end)
  end)
end)

describe("log", function()
  local function line(format, message, fields, level)
    local out
    local l = log.new { write = function(text) out = text end, format = format, now = function() return 0 end }
    l[level or "info"](l, message, fields)
    return out
  end
  it("writes text with fields in a steady order", function()
    assert.matches('^%d%d:%d%d:%d%d info  it is project=p stage=s tag=1 error="a b" z=true\n$',
      line("text", "it is", { z = true, tag = "1", stage = "s", project = "p", error = "a b" }))
  end)
  it("writes JSON lines", function()
    assert.equal('{"a":{"b":[1,2]},"level":"warn","message":"m","time":"1970-01-01T00:00:00Z"}\n',
      line("json", "m", { a = { b = { 1, 2 } } }, "warn"))
  end)
  it("escapes hostile bytes", function()
    for _, format in ipairs { "text", "json" } do
      local out = line(format, "a\nb\27[2J", { tag = "x\r\n\27]0;t\7\0\x7f\xff\xc2\x9b\xe2\x80\xae\xc0\x80", c = "ä→" })
      assert.equal(1, select(2, out:gsub("\n", "")))
      assert.is_nil(out:find("[%z\1-\9\11-\31\127]"))
      assert.is_truthy(out:find("ä→", 1, true))
      if format == "text" then
        assert.is_truthy(utf8.len(out))
        assert.is_nil(out:find("\xc2\x9b", 1, true))
        assert.is_nil(out:find("\xe2\x80\xae", 1, true))
        assert.is_truthy(out:find("\\x1b[2J", 1, true))
      else
        assert.is_table(json.decode(out))
      end
    end
  end)
  it("cuts what is endless", function()
    for _, format in ipairs { "text", "json" } do
      assert.is_true(#line(format, "m", { a = ("x"):rep(1e6) }) < 3000)
    end
  end)
  it("shows no secrets", function()
    for _, format in ipairs { "text", "json" } do
      local out = line(format, "m", { s = secret.new "hunter2", t = { u = secret.new "hunter2" },
        e = errors.new("invalid", "an error") })
      assert.is_nil(out:find("hunter2", 1, true))
      assert.is_truthy(out:find("…", 1, true))
      assert.is_truthy(out:find("an error", 1, true))
    end
  end)
  it("leaves out what is below its level", function()
    local out = {}
    local l = log.new { write = function(text) out[#out + 1] = text end, level = "warn" }
    l:debug "a" l:info "b" l:warn "c" l:error "d"
    assert.equal(2, #out)
    assert.has_error(function() log.new { write = print, level = "loud" } end)
  end)
end)

describe("json", function()
  for text, value in pairs {
    ["1"] = 1, ["[]"] = {}, ["{\"a\":[1,2.5,\"x\"]}"] = { a = { 1, 2.5, "x" } },
    ["9007199254740991"] = 9007199254740991, ["\"é\""] = "é", ["true"] = true,
  } do
    it("reads " .. text, function() assert.same(value, (json.decode(text))) end)
  end
  it("gives integers", function()
    assert.equal("integer", math.type(json.decode("[1]")[1]))
    assert.equal("integer", math.type(json.decode '{"a":{"b":300}}'.a.b))
    assert.equal("float", math.type(json.decode "1.5"))
  end)
  for _, text in ipairs {
    "", "{", "[1,]", "nan", "NaN", "Infinity", "'a'", "{a:1}", ("["):rep(100) .. ("]"):rep(100),
  } do
    it(("refuses %q"):format(text:sub(1, 10)), function()
      local value, reason = json.decode(text)
      assert.is_nil(value)
      assert.is_string(reason)
    end)
  end
  it("writes integers, empty lists, sorted keys, and any bytes", function()
    assert.equal('{"a":9007199254740993,"b":[],"c":{},"d":"ÿ","e/":null}', json.encode {
      b = json.array {}, a = 9007199254740993, c = {}, d = "\xff", ["e/"] = json.null,
    })
    assert.equal("null", json.encode(0 / 0))
    assert.equal("null", json.encode(math.huge))
    assert.equal("0.5", json.encode(0.5))
  end)
end)

describe("error", function()
  it("makes the same values as the core", function()
    local mine = errors.new("not_found", "gone", { op = "tags", status = 404 })
    local _, theirs = docker.parse_reference "Not An Image"
    assert.is_true(errors.is(mine))
    assert.is_true(errors.is(theirs))
    assert.equal(getmetatable(theirs), getmetatable(mine))
    assert.same({ "gone", "not_found", "tags", 404 }, { tostring(mine), mine.kind, mine.op, mine.status })
    assert.is_string(errors.kinds[theirs.kind])
    assert.is_false(errors.is {})
    assert.is_false(errors.is "x")
  end)
  it("knows the kinds of the core, and no others", function()
    local core = require("docker_watcher.core").error_kinds
    local mine, theirs = {}, {}
    for kind in pairs(errors.kinds) do mine[#mine + 1] = kind end
    for kind in pairs(core) do theirs[#theirs + 1] = kind end
    table.sort(mine)
    table.sort(theirs)
    assert.same(theirs, mine)
    assert.has_error(function() errors.new("oops", "x") end, "error.new: there is no kind 'oops'")
    assert.has_error(function() errors.new("invalid", 7) end)
  end)
end)
