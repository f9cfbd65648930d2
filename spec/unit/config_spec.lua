-- docker_watcher.config: the operator's file is judged as a whole; every mistake comes with file and line.

local config = require "docker_watcher.config"
local docker = require "docker_watcher.docker"
local duration = require "docker_watcher.duration"
local errors = require "docker_watcher.error"
local lines = require "docker_watcher.config.lines"
local nearest = require "docker_watcher.nearest"
local policies = require "docker_watcher.policies"
local secret = require "docker_watcher.secret"
local tags = require "docker_watcher.tags"
local env = require "spec.support.env"

local folder

local function load(text, more)
  local path = folder .. "/shop.lua"
  env.write_file(path, text)
  local world = { tags = tags, policies = policies, parse_reference = docker.parse_reference,
    getenv = function() return nil end }
  for key, value in pairs(more or {}) do world[key] = value end
  return config.load(path, world)
end

--- The mistakes as "LINE: message", and asserts that there are some.
local function mistakes(text, more)
  local loaded, err = load(text, more)
  assert.is_nil(loaded)
  assert.is_true(errors.is(err))
  assert.equal("invalid", err.kind)
  local list = {}
  for i, mistake in ipairs(err.mistakes) do
    assert.matches("^/.*%.lua$", mistake.file)
    list[i] = ("%d: %s"):format(mistake.line, mistake.message)
    assert.is_truthy(tostring(err):find(("%s:%d: %s"):format(mistake.file, mistake.line, mistake.message), 1, true))
  end
  return list
end

--- Asserts that exactly these mistakes are found; each is a LINE and plain text that its message holds.
local function assert_mistakes(wanted, text, more)
  local found = mistakes(text, more)
  for i, one in ipairs(wanted) do
    local line, words = one:match "^(%d+): (.*)$"
    assert.is_truthy(found[i], "not found: " .. one)
    assert.equal(line, found[i]:match "^%d+", found[i])
    assert.is_truthy(found[i]:find(words, 1, true), ("'%s' does not hold '%s'"):format(found[i], words))
  end
  assert.equal(#wanted, #found, table.concat(found, "\n"))
end

local function stage(text) -- a configuration with one stage, whose settings begin in line 2
  return "return { projects = { shop = { image = \"r.example.com/web\", stages = { prod = {\n" .. text .. "\n} } } } }"
end

describe("config", function()
  before_each(function() folder = env.tmpdir() end)
  after_each(env.cleanup)

  describe("a good file", function()
    it("gets its defaults, seconds, and what stages take over from their project", function()
      local c = assert(load [[
        return {
          poll = { every = "2 minutes", jitter = 0.5 },
          registries = { ["r.example.com:5000"] = { insecure = true } },
          projects = {
            shop = {
              image = "r.example.com:5000/shop/web", network = "staging-net", env = { A = 1, B = "b" },
              ports = "exposed",
              stages = {
                staging = { tags = tags.semver { range = ">=1.0.0-0", prerelease = true },
                            env = { B = "c", C = true } },
                prod = { tags = tags.semver {}, policy = policies.blue_green { healthy_within = "90s", keep = 1 },
                         image = "r.example.com/other", network = "prod-net" },
              },
            },
            tool = { stages = { only = { image = "tool", tags = function(list) return list[1] end } } },
          },
        }]])
      assert.same({ every = 120, jitter = 0.5 }, c.poll)
      assert.same({ ["r.example.com:5000"] = { insecure = true } }, c.registries)
      assert.equal(3, #c.stages)
      local prod, staging, tool = c.stages[1], c.stages[2], c.stages[3]
      assert.same({ "shop", "prod", "r.example.com/other", "prod-net" },
        { prod.project, prod.stage, prod.image, prod.network })
      assert.same({ healthy_within = 90, healthy_for = 2, keep = 1 }, prod.policy.options)
      assert.same({ A = "1", B = "b" }, prod.container.env)
      assert.equal("unless-stopped", prod.container.restart)
      assert.same({ "shop", "staging", "r.example.com:5000/shop/web", "staging-net" },
        { staging.project, staging.stage, staging.image, staging.network })
      assert.same({ A = "1", B = "c", C = "true" }, staging.container.env)
      assert.equal("exposed", staging.container.ports)
      assert.same({ range = ">=1.0.0-0", prerelease = true, variant = "", parts = 3, allow_downgrade = false },
        staging.tags.options)
      assert.equal("1.1.0-rc.1", (staging.tags.choose({ "1.0.0", "1.1.0-rc.1" }, {})))
      assert.same({ healthy_within = 60, healthy_for = 2, keep = 0 }, staging.policy.options)
      assert.equal("blue_green", staging.policy.name)
      assert.equal("dw-tool", tool.network)
      assert.equal("function", tool.tags.name)
    end)

    it("may be built by code, and require files beside it", function()
      env.run("mkdir " .. env.quote(folder .. "/lib"))
      env.write_file(folder .. "/lib/common.lua", [[
        local t = { stage = function(range) return { tags = tags.semver { range = range } } end }
        return t]])
      env.write_file(folder .. "/my_policy.lua", "return { name = 'mine', plan = function(state) return {} end }")
      local c = assert(load [[
        local common = require "lib.common"
        assert(require "lib.common" == common)
        local stages = {}
        for _, name in ipairs { "a", "b" } do stages[name] = common.stage "^1" end
        stages.b.policy = require "my_policy"
        return { projects = { p = { image = "x", stages = stages } } }]])
      assert.equal("blue_green", c.stages[1].policy.name)
      assert.equal("mine", c.stages[2].policy.name)
    end)

    it("reads the environment by env", function()
      local c = assert(load(stage 'tags = tags.semver {}, env = { A = env "HERE", B = env("GONE", "else") }', {
        getenv = function(name) return name == "HERE" and "yes" or nil end,
      }))
      assert.same({ A = "yes", B = "else" }, c.stages[1].container.env)
    end)

    it("takes ports in all their forms", function()
      local c = assert(load(stage [[tags = tags.semver {}, ports = { ["80/tcp"] = true, [53] = { host_ip = "::1" } }]]))
      assert.same({ ["80/tcp"] = true, ["53/tcp"] = { host_ip = "::1" } }, c.stages[1].container.ports)
    end)
  end)

  describe("mistakes", function()
    it("are all listed, each with the line of its key", function()
      assert_mistakes({
        "2: poll.evry: unknown key 'evry' (did you mean 'every'?)",
        "3: registries['https://r']: 'https://r' is no registry",
        "6: projects.shop.image: a string expected, got a number",
        "8: projects.shop.stages.Prod: 'Prod' is no name of a stage",
        "9: tags.range: '^^' is no operator",
        "10: policy.healthy_within: 'soon' is no period",
        "11: policy.keep: must be at most 100",
        "13: projects.shop.stages.qa.tags: is missing",
        "14: projects.shop.stages.qa.prots: unknown key 'prots' (did you mean 'ports'?)",
        "15: 'A=B' is no name of an environment variable",
        "20: projets: unknown key 'projets' (did you mean 'projects'?)",
      }, [[return {
  poll = { evry = "60s" },
  registries = { ["https://r"] = {} },
  projects = {
    shop = {
      image = 7,
      stages = {
        Prod = { tags = tags.semver { range = "^1" } },
        staging = { image = "x", tags = tags.semver { range = "^^1" },
          policy = policies.blue_green { healthy_within = "soon",
            keep = 1000 },
        },
        qa = { image = "x",
          prots = "exposed", env = {
            ["A=B"] = "1",
          },
        },
      },
    },
  }, projets = {},
}]])
    end)

    for _, case in ipairs {
      { "an unknown tag policy", '\ntags = tags.semvre {}', "3: there is no tags.semvre (did you mean tags.semver?)" },
      { "an unknown deploy policy", 'tags = tags.semver {},\n\npolicy = policies.bluegreen {}',
        "4: there is no policies.bluegreen (did you mean policies.blue_green?)" },
      { "an unknown option of a policy", 'tags = tags.semver {\nrnge = "^1" }',
        "3: tags.rnge: unknown key 'rnge' (did you mean 'range'?)" },
      { "options that are no table", 'tags = tags.semver "^1"', "2: a table expected, got '^1'" },
      { "a policy that was not called", "tags = tags.semver {},\npolicy = policies.blue_green",
        "3: call it with its options" },
      { "tags of a wrong type", 'tags = "^1"', "2: or a function expected" },
      { "a policy of a wrong type", "tags = tags.semver {}, policy = { 1 }", "2: or a table with a function `plan`" },
      { "an image with a tag", 'tags = tags.semver {},\nimage = "web:1"', "3: 'web:1' has a tag: leave it out" },
      { "an image with a digest", 'tags = tags.semver {},\nimage = "web@sha256:' .. ("a"):rep(64) .. '"',
        "3: has a digest: leave it out" },
      { "an image that is none", 'tags = tags.semver {},\nimage = "Web"', "3: 'Web' is no image" },
      { "a fixed port with blue_green", 'tags = tags.semver {},\nports = { ["80/tcp"] = 8080 }',
        "3: port 80/tcp is bound to one port of the host" },
      { "a port that is none", 'tags = tags.semver {},\nports = { ["http"] = true }', "3: 'http' is no port" },
      { "a port out of range", 'tags = tags.semver {}, ports = { [70000] = true }', "2: '70000' is no port" },
      { "an unknown protocol", 'tags = tags.semver {}, ports = { ["1/icmp"] = true }', "2: the protocol is tcp, udp" },
      { "a label of ours", 'tags = tags.semver {},\nlabels = { ["docker-watcher.tag"] = "x" }', "3: are ours" },
      { "a word that is not allowed", 'tags = tags.semver {},\nrestart = "alwys"', "3: (did you mean 'always'?)" },
      { "a number out of range", 'tags = tags.semver {}, cpus = 0', "2: cpus: must be at least" },
      { "too little memory", 'tags = tags.semver {}, memory = 1', "2: memory: the Engine wants 6m at least" },
      { "memory that is none", 'tags = tags.semver {}, memory = "much"', '2: memory: bytes, or text as' },
      { "a NUL", 'tags = tags.semver {}, user = "a\\0b"', "2: user: must not hold a NUL" },
      { "a network that is none", 'tags = tags.semver {}, network = "a b"', "2: 'a b' is no name of a network" },
      { "a number of parts that is none", "tags = tags.semver { parts = 1.5 }", "2: tags.parts: a whole number" },
    } do
      it("tell of " .. case[1], function() assert_mistakes({ case[3] }, stage(case[2])) end)
    end

    for _, case in ipairs {
      { "a syntax error", "return {\n  a = = 1\n}", "2: unexpected symbol" },
      { "a run-time error", "local x\nreturn {\n a = x.y }", "3: attempt to index a nil value" },
      { "a misspelt word of ours", "return {\n projects = { p = polices.x } }", "2: there is no 'polices' here" },
      { "os.execute", "\nos.execute 'true'", "2: attempt to call a nil value" },
      { "io", "\n\nio.open 'x'", "3: there is no 'io' here" },
      { "load", "load 'x'", "1: there is no 'load' here" },
      { "an error with a table", "error {}", "1: table: " },
      { "no result", "local x = 1", "1: the file must return a table, and returned nothing" },
      { "a result that is no table", "return 1", "1: returned a number" },
      { "no projects", "return {}", "1: projects: is missing" },
      { "empty projects", "return {\n projects = {} }", "2: there is no project in it" },
      { "a project without stages", "return { projects = {\n p = { image = 'x', stages = {} } } }",
        "2: a project needs at least one stage" },
      { "stages of a wrong type", "return { projects = {\n p = {\n image = 'x', stages = 1 } } }",
        "3: a table expected, got 1" },
      { "no image at all", "return { projects = { p = { stages = {\n s = { tags = tags.semver {} } } } } }",
        "2: has no image" },
      { "a missing file", "return require 'gone'", "1: require 'gone'" },
      { "a way out of the folder", "return require '../gone'", "1: is no name of a file" },
      { "a user without a password", 'return { registries = {\n ["r"] = { username = "u" } }, projects = { p = { '
        .. 'image = "x", stages = { s = { tags = tags.semver {} } } } } }', "2: username and password belong" },
      { "a variable that is not set", 'local a =\n env "GONE"\nreturn { projects = { p = { image = "x", stages = { s = '
        .. '{ tags = tags.semver {} } } } } }', "2: the environment has no GONE" },
    } do
      it("tell of " .. case[1], function() assert_mistakes({ case[3] }, case[2]) end)
    end

    it("tell of a wrong image once, not also that it is missing", function()
      assert_mistakes({ "1: projects.p.image: 'x:1.2' has a tag" },
        "return { projects = { p = { image = 'x:1.2', stages = {\n s = { tags = tags.semver {} } } } } }")
    end)

    it("tell of bytecode", function()
      assert_mistakes({ "1: attempt to load a binary chunk" }, string.dump(function() return {} end))
    end)

    it("tell of a mistake in a required file, there", function()
      env.write_file(folder .. "/part.lua", "return {\n  x = y.z }")
      local _, err = load 'return { projects = require "part" }'
      assert.equal(folder .. "/part.lua", err.mistakes[1].file)
      assert.equal(2, err.mistakes[1].line)
    end)

    it("tell of a file that is not there", function()
      local loaded, err = config.load(folder .. "/gone.lua", {})
      assert.is_nil(loaded)
      assert.equal("not_found", err.kind)
      assert.matches("gone%.lua: cannot be read: No such file", tostring(err))
    end)

    it("do not change what later files see", function()
      load "string.rep = nil; math.huge = 1; return {}"
      assert.is_function(string.rep)
      assert.equal("inf", tostring(math.huge))
    end)
  end)

  describe("stages that could give containers the same name", function()
    local function two(a, b)
      local text = "return { projects = {\n"
      for _, pair in ipairs { a, b } do
        text = text .. ('["%s"] = { image = "x", stages = {\n["%s"] = { tags = tags.semver {} } } },\n'):format(
          pair[1], pair[2])
      end
      return text .. "} }"
    end
    for _, case in ipairs {
      { { "a-b", "c" }, { "a", "b-c" }, 3 },
      { { "a", "b" }, { "a-b", "c" }, 5 },
      { { "shop", "x" }, { "shop-x-y", "z" }, 5 },
    } do
      it(("are refused: %s + %s, %s + %s"):format(case[1][1], case[1][2], case[2][1], case[2][2]), function()
        local found = mistakes(two(case[1], case[2]))
        assert.equal(1, #found)
        assert.matches("could name containers alike", found[1])
      end)
    end
    for _, case in ipairs {
      { { "a_b", "c" }, { "a", "b-c" } }, { { "a", "b" }, { "a", "bc" } }, { { "ab", "c" }, { "a", "bc" } },
    } do
      it(("are not refused: %s + %s, %s + %s"):format(case[1][1], case[1][2], case[2][1], case[2][2]), function()
        local text = two(case[1], case[2])
        if case[1][1] == case[2][1] then
          text = 'return { projects = { a = { image = "x", stages = { b = { tags = tags.semver {} }, bc = { tags = '
            .. 'tags.semver {} } } } } }'
        end
        assert(load(text))
      end)
    end
    it("are refused within one project", function()
      assert_mistakes({ "2: stage eu-1 of a and stage eu of a could name containers alike" },
        'return { projects = { a = { image = "x", stages = { eu = { tags = tags.semver {} },\n["eu-1"] = { tags = '
        .. 'tags.semver {} } } } } }')
    end)
  end)

  describe("secrets", function()
    local text = [[return {
  secrets_dir = "secrets",
  registries = { ["r"] = { username = "u",
    password = secret "reg-pass" } },
  projects = { p = { image = "r/x", stages = { s = { tags = tags.semver {}, env = { KEY = secret "key" } } } } },
}]]

    local function write(name, value, mode)
      env.run("mkdir -p " .. env.quote(folder .. "/secrets"))
      env.write_file(folder .. "/secrets/" .. name, value)
      env.run(("chmod %s %s"):format(mode, env.quote(folder .. "/secrets/" .. name)))
    end

    it("come from the environment or from files, and print as …", function()
      write("key", "top secret\n", "600")
      local c = assert(load(text, {
        getenv = function(name) return name == "DOCKER_WATCHER_SECRET_REG_PASS" and "hunter2" or nil end,
      }))
      local password, key = c.registries.r.password, c.stages[1].container.env.KEY
      assert.equal("hunter2", secret.open(password))
      assert.equal("top secret", secret.open(key))
      for _, value in ipairs { password, key } do
        assert.equal("…", tostring(value))
        assert.equal("…", ("%s"):format(value))
        assert.is_nil(next(value))
        assert.is_nil(value.value)
        assert.has_error(function() value.x = 1 end)
        assert.has_error(function() return value .. "" end)
        assert.has_error(function() value() end)
        assert.has_error(function() value {} end)
      end
      assert.is_nil(require("docker_watcher.json").encode(c.registries):find("hunter2", 1, true))
    end)

    it("that are missing are mistakes that say what to do", function()
      assert_mistakes({
        "4: no secret 'reg-pass': set DOCKER_WATCHER_SECRET_REG_PASS in the environment, or write it to",
        "5: no secret 'key'",
      }, text)
      local found = mistakes((text:gsub('secrets_dir = "secrets",', "")))
      assert.matches("or name a folder of secrets by secrets_dir", found[1])
    end)

    it("that others may read are mistakes that say what to do", function()
      for _, mode in ipairs { "640", "604", "660", "644", "620" } do
        write("reg-pass", "hunter2", mode)
        write("key", "k", "400")
        local found = mistakes(text)
        assert.equal(1, #found)
        assert.matches("others may read .*/secrets/reg%-pass .*chmod 600", found[1])
        assert.is_nil(found[1]:find("hunter2", 1, true))
      end
    end)

    it("that are empty, or whose name is none, are mistakes", function()
      write("reg-pass", "\n", "600")
      write("key", "k", "600")
      assert.matches("is empty", mistakes(text)[1])
      write("reg-pass", "x", "600")
      assert.matches("a secret's name has small letters", mistakes((text:gsub('"key"', '"../key"')))[1])
    end)
  end)
end)

describe("config.lines", function()
  local source = [==[
#!/usr/bin/lua
-- { a = 1 }
local common = { image = "x",
  env = { A = "1", ["B-C"] = 'q"{' } }
--[[ long
{ } ]] local function f(x) if x then return { tags = 1 } end end
local t = tags.semver {
  range = "^1",
}
common.extra = {
  deep = 1,
}
for i = 1, 3 do local z = { a = 1 } end
local all = {}
all.shop = { image = "r/x" }
all.shop.stages = { one = {
  tags = t } }
all["quo ted"] = {
  a = [[
long {
]], b = 2 }
return {
  poll = { every = "60s" }, [7] = { x = 1 }, [f(1)] = { y = 2 },
  projects = {
    shop = {
      stages = { staging = { tags = tags.semver { range = ">=1", prerelease = true },
          policy = policies.blue_green({
            healthy_within = "60s",
            keep = 1 }) },
        prod = { tags = function(t) local q = { a = 1 } while true do break end return t[1], { b = 2 } end,
          bad = 1 } },
      list = { "a",
        "b" },
    },
    common = common, all = all,
    two = { tags = t, why = x == 1 and { z = 1 } or
      { w = 1 } },
  ["quoted key"] = 5; last = (function() return { x = 1 } end)(),
    fin = 3 },
}
]==]
  local found = lines.read(source)
  for _, case in ipairs {
    "poll 23", "poll.every 23", "7.x 23", "projects 24", "projects.shop.stages.staging 26",
    "projects.shop.stages.staging.tags.range 26", "projects.shop.stages.staging.policy 27",
    "projects.shop.stages.staging.policy.healthy_within 28", "projects.shop.stages.staging.policy.keep 29",
    "projects.shop.stages.prod.tags 30", "projects.shop.stages.prod.bad 31", "projects.shop.list.2 33",
    "projects.common.env.B-C 4", "projects.common.extra.deep 11", "projects.two.tags.range 8",
    "projects.all.shop.image 15", "projects.all.shop.stages.one.tags 17", "projects.all.shop.stages.one.tags.range 8",
    "projects.all.quo ted.b 21", "projects.two.why.z 36", "projects.two.why.w 37", "projects.quoted key 38",
    "projects.fin 39",
  } do
    local text, line = case:match "^(.*) (%d+)$"
    it("finds " .. text, function()
      local path = {}
      for step in text:gmatch "[^.]+" do path[#path + 1] = math.tointeger(tonumber(step)) or step end
      local at, exact = found:find(path)
      assert.equal(tonumber(line), at)
      assert.is_true(exact)
    end)
  end

  it("gives the nearest part that it knows", function()
    assert.same({ 25, false }, { found:find { "projects", "shop", "gone", "x" } })
    assert.same({ 30, false }, { found:find { "projects", "shop", "stages", "prod", "tags", "a" } })
    assert.same({ 22, false }, { found:find { "gone" } })
  end)

  it("ends for any bytes", function()
    for seed = 1, 300 do
      math.randomseed(seed)
      local parts = {}
      for i = 1, 60 do
        parts[i] = ({ "{", "}", "(", ")", "[", "]", "=", ",", "x", "return ", "function ", "end ", "'", '"', "[[", "--",
          "\n", "local ", "1", ".", "if ", "..", "\\", "]]", "--[[", ";", "a=", "\0", "é" })[math.random(29)]
      end
      assert.is_number((lines.read(table.concat(parts)):find { "x" }))
    end
  end)
end)

describe("duration", function()
  for text, wanted in pairs {
    ["60s"] = 60, ["2 hours"] = 7200, ["1m30s"] = 90, ["500ms"] = 0.5, ["1.5h"] = 5400, ["1 h 15 min"] = 4500,
    ["3 days"] = 259200, ["2 weeks"] = 1209600, ["90"] = 90, ["0"] = 0, [" 5 S "] = 5,
  } do
    it("reads " .. text, function() assert.equal(wanted, duration.parse(text)) end)
  end
  it("takes numbers", function() assert.equal(1.5, duration.parse(1.5)) end)
  for _, bad in ipairs {
    "", "soon", "s", "5 parsecs", "1h x", "-5s", "5s,", "1e3", "1..5s", -1, 1 / 0, 0 / 0, true, {},
  } do
    it("refuses " .. tostring(bad), function()
      local seconds, reason = duration.parse(bad)
      assert.is_nil(seconds)
      assert.is_string(reason)
    end)
  end
  it("writes them for people", function()
    assert.same({ "1m30s", "2h", "1d1s", "500ms", "1s" }, {
      duration.format(90), duration.format(7200), duration.format(86401), duration.format(0.5), duration.format(1),
    })
  end)
end)

describe("nearest", function()
  for word, wanted in pairs {
    prots = "ports", evry = "every", semvre = "semver", rnage = "range", EVERY = "every", stagse = "stages",
  } do
    it("finds " .. wanted .. " for " .. word, function()
      assert.equal(wanted, nearest.find(word, { "ports", "every", "semver", "range", "stages" }))
    end)
  end
  it("finds nothing for what is no slip", function()
    assert.is_nil(nearest.find("xyz", { "ports", "every" }))
    assert.is_nil(nearest.find(("x"):rep(100), { "ports" }))
    assert.equal("a", nearest.find("b", { a = 1 }))
  end)
end)
