-- docker_watcher.poller: what it asks, when, and what it hands out. Time is virtual (spec/support/virtual.lua), and the
-- registry is a table.

local docker = require "docker_watcher.docker"
local errors = require "docker_watcher.error"
local poller = require "docker_watcher.poller"
local virtual = require "spec.support.virtual"

local function digest(n) return "sha256:" .. ("%02x"):format(n):rep(32) end

local function newest(tags) -- the last one, whatever it is
  if #tags == 0 then return nil, "there is none" end
  return tags[#tags], "the last one"
end

--- A poller in a world of fakes. `answer(what, image, tag)` may give tags (list) or a digest, or nil, err.
local function new(stages, answer, more)
  local loop = virtual.new()
  local w = { loop = loop, asked = {}, candidates = {}, logged = {}, in_flight = {}, most = {} }
  for _, stage in ipairs(stages) do
    stage.tags = stage.tags or { name = "newest", choose = newest }
  end
  local function ask(what, image, tag)
    w.asked[#w.asked + 1] = { what = what, image = image, tag = tag, at = loop.now() - 1000 }
    local host = docker.parse_reference(image).domain
    w.in_flight[host] = (w.in_flight[host] or 0) + 1
    w.most[host] = math.max(w.most[host] or 0, w.in_flight[host])
    local slept, cancelled = loop.sleep(w.slow or 0.01)
    w.in_flight[host] = w.in_flight[host] - 1
    if not slept then return nil, cancelled end
    return answer(what, image, tag, loop.now() - 1000)
  end
  local world = {
    registry = {
      tags = function(_, image) return ask("tags", image) end,
      head = function(_, image, tag)
        local found, err = ask("head", image, tag)
        return found and { digest = found }, err
      end,
    },
    loop = loop, parse_reference = docker.parse_reference, stages = stages, poll = { every = 60, jitter = 0.1 },
    log = setmetatable({}, { __index = function(_, level)
      return function(_, message, fields)
        w.logged[#w.logged + 1] = { level = level, message = message, fields = fields }
      end
    end }),
    emit = function(candidate) w.candidates[#w.candidates + 1] = candidate end,
    current = function() return nil end, random = function() return 0.5 end, wall = function() return 77 end,
  }
  for key, value in pairs(more or {}) do world[key] = value end
  w.poller = poller.new(world)
  --- Lets so many seconds pass.
  function w.run(seconds, fn)
    loop.limit = seconds
    loop.run(function()
      w.poller:start()
      if fn then fn() end
    end)
    return w
  end
  function w.count(what, image)
    local n = 0
    for _, one in ipairs(w.asked) do
      if one.what == what and (image == nil or one.image == image) then n = n + 1 end
    end
    return n
  end
  return w
end

local function stage(name, image, choose)
  return { project = "p", stage = name, image = image or "r.example.com/web",
    tags = choose and { name = "function", choose = choose } or nil }
end

local function good(what) return what == "tags" and { "1", "2" } or digest(1) end

describe("poller", function()
  it("hands out candidates as plain tables", function()
    local w = new({ stage "s" }, good).run(1)
    assert.same({ {
      project = "p", stage = "s", image = "r.example.com/web", tag = "2", digest = digest(1), seen_at = 77,
      reason = "the last one",
    } }, w.candidates)
  end)

  it("lists a repository once for all stages that watch it, and asks once for each tag", function()
    local w = new({
      stage "a", stage("b", "r.example.com/web"), stage("c", nil, function() return "1", "so" end),
    }, good).run(1)
    assert.equal(1, w.count "tags")
    assert.equal(2, w.count "head")
    assert.equal(3, #w.candidates)
  end)

  it("knows an image by its full name", function()
    local w = new({
      stage("a", "web/x"), stage("b", "docker.io/web/x"), stage("c", "index.docker.io/web/x"),
    }, good).run(1)
    assert.equal(1, w.count "tags")
  end)

  it("looks again after the interval, with the first pause as phase", function()
    local w = new({ stage "s" }, good).run(60 * 10)
    local at = {}
    for _, one in ipairs(w.asked) do if one.what == "tags" then at[#at + 1] = one.at end end
    assert.is_true(at[1] < 1)
    assert.is_true(at[2] > 29 and at[2] < 31, "the phase is random() * every")
    for i = 3, #at do assert.is_true(at[i] - at[i - 1] > 59.9 and at[i] - at[i - 1] < 60.1) end
    assert.is_true(#at == 10 or #at == 11)
  end)

  it("spreads the looks at many repositories over the interval", function()
    local stages = {}
    for i = 1, 200 do stages[i] = stage("s" .. i, "r.example.com/web" .. i) end
    local w = new(stages, good, { random = math.random }).run(60 * 3)
    local busiest, seconds = 0, {}
    for _, one in ipairs(w.asked) do
      if one.what == "tags" and one.at > 62 and one.at < 120 then
        local second = one.at // 1
        seconds[second] = (seconds[second] or 0) + 1
        busiest = math.max(busiest, seconds[second])
      end
    end
    assert.is_true(busiest > 0 and busiest < 25, "at most a few of 200 in any second, not " .. busiest)
  end)

  it("has at most two requests to a registry in flight, and registries do not wait for each other", function()
    local stages = {}
    for i = 1, 20 do
      stages[#stages + 1] = stage("a" .. i, "a.example.com/x" .. i)
      stages[#stages + 1] = stage("b" .. i, "b.example.com/x" .. i)
    end
    local w = new(stages, good)
    w.slow = 1
    w.run(30)
    assert.same({ ["a.example.com"] = 2, ["b.example.com"] = 2 }, w.most)
    assert.equal(40, #w.candidates)
  end)

  it("says nothing of candidates when a look fails, and none for a stage without a tag", function()
    local w = new({ stage "s" }, function(what)
      if what == "head" then return nil, errors.new("unreachable", "gone") end
      return { "1" }
    end).run(10)
    assert.same({}, w.candidates)
    w = new({ stage "s" }, function() return {} end).run(1)
    assert.same({}, w.candidates)
    assert.equal("there is none", w.logged[1].fields.reason)
  end)

  it("gives the other stages their candidates where one tag is not there", function()
    local w = new({ stage("a", nil, function() return "1" end), stage "b" }, function(what, _, tag)
      if what == "tags" then return { "1", "2" } end
      if tag == "1" then return nil, errors.new("not_found", "no tag 1 there") end
      return digest(2)
    end).run(1)
    assert.equal(1, #w.candidates)
    assert.equal("b", w.candidates[1].stage)
    assert.matches("no tag 1", w.logged[1].fields.reason)
  end)

  it("backs off for the whole registry, longer each time, and not for others", function()
    local w = new({ stage("a", "bad.example.com/x"), stage("b", "bad.example.com/y"), stage("c", "ok.example.com/x") },
      function(what, image)
        if image:find "^bad" then return nil, errors.new("unreachable", "503") end
        return good(what)
      end).run(3600)
    local at = {}
    for _, one in ipairs(w.asked) do
      if one.image:find "^bad" then at[#at + 1] = one.at end
    end
    -- 0.75 * 2^(n-1), at most 675, for two repositories: a dozen rounds in an hour, not 120
    assert.is_true(#at > 8 and #at < 40, "asked " .. #at .. " times")
    assert.is_true(at[#at] - at[#at - 4] > 300)
    assert.is_true(w.count("tags", "ok.example.com/x") >= 60)
    assert.equal(2, #w.logged, "the same trouble is logged once for each repository")
  end)

  it("honours Retry-After, up to a quarter of an hour", function()
    for retry_after, wanted in pairs { [120] = 120, [7200] = 900 } do
      local w = new({ stage "s" }, function(what, _, _, now)
        if now < 1 then return nil, errors.new("rate_limited", "slow down", { retry_after = retry_after }) end
        return good(what)
      end).run(2000)
      assert.is_true(w.asked[2].at >= wanted and w.asked[2].at < wanted + 2, tostring(w.asked[2].at))
      assert.is_true(#w.candidates > 0)
      assert.equal("registry: answers again", w.logged[2].message)
    end
  end)

  it("does not hurry for what time does not heal", function()
    local w = new({ stage "s" }, function() return nil, errors.new("unauthorized", "no") end).run(600)
    assert.is_true(w.count "tags" <= 11)
    assert.equal(1, #w.logged)
    assert.equal("no", w.poller:status()[1].problem)
  end)

  it("guards operators' functions", function()
    local before = { "1", "2" }
    local w = new({
      stage("a", nil, function() error "oops" end), stage("b", nil, function() return "3" end),
      stage("c", nil, function(tags) table.remove(tags) return tags[1] end), stage("d", nil, function() return 7 end),
      stage("e", nil, function() error {} end), stage("f", nil, function(tags) return tags[#tags] end),
    }, function(what) return what == "tags" and before or digest(1) end).run(1)
    assert.same({ "1", "2" }, before)
    assert.equal(2, #w.candidates)
    assert.same({ "1", "2" }, { w.candidates[1].tag, w.candidates[2].tag })
    assert.equal(4, #w.logged)
    assert.matches("oops.*traceback", w.logged[1].fields.reason)
    assert.matches("'3', which the registry does not list", w.logged[2].fields.reason)
  end)

  it("tells the tag policy what runs", function()
    local seen
    new({ stage("s", nil, function(_, state) seen = state.current return "1" end) }, good, {
      current = function(project, name) return project .. "/" .. name end,
    }).run(1)
    assert.equal("p/s", seen)
  end)

  it("chooses nothing for a stage of which it is not known what runs, and asks nothing for none", function()
    local ready = {}
    local w = new({ stage "a", stage "b" }, good, { ready = function(_, name) return ready[name] end })
    w.run(60, function()
      w.loop.sleep(10)
      assert.equal(0, #w.asked)
      ready.a = true
      w.poller:look_now "r.example.com/web"
      w.loop.sleep(5)
    end)
    for _, candidate in ipairs(w.candidates) do assert.equal("a", candidate.stage) end
    assert.is_true(#w.candidates > 0)
  end)

  it("looks at once when asked to, and once for many requests", function()
    local w = new({ stage "s" }, good)
    w.run(20, function()
      w.loop.sleep(5)
      for _ = 1, 1000 do assert.is_true(w.poller:look_now "r.example.com/web:ignored") end
      assert.is_false(w.poller:look_now "r.example.com/other")
      w.loop.sleep(5)
      assert.equal(2, w.count "tags")
    end)
  end)

  it("ends when it is stopped, in the middle of a request too", function()
    local w = new({ stage("a", "a.example.com/x"), stage("b", "b.example.com/x") }, good)
    w.slow = 1000
    w.loop.run(function()
      w.poller:start()
      w.loop.sleep(1)
      w.poller:stop()
    end)
    assert.equal(1001, w.loop.now())
    assert.same({}, w.candidates)
    assert.same({}, w.logged)
  end)
end)
