-- docker_watcher.watcher and docker_watcher.worker: poller, deployer and workers together, on an engine and a registry
-- that are tables, in virtual time. The same for real is in spec/cli/cli_spec.lua.

local docker = require "docker_watcher.docker"
local errors = require "docker_watcher.error"
local blue_green = require "docker_watcher.policies.blue_green"
local fakeengine = require "spec.support.fakeengine"
local log = require "docker_watcher.log"
local semver = require "docker_watcher.tags.semver"
local virtual = require "spec.support.virtual"
local watcher = require "docker_watcher.watcher"

local function digest(letter) return "sha256:" .. letter:rep(64) end

local function stage(name, range)
  return {
    project = "p", stage = name, image = "r.example.com/web", network = "dw-p",
    tags = { name = "semver", choose = assert(semver.new {
      range = range or "*", prerelease = false, variant = "", parts = 3, allow_downgrade = false,
    }) },
    policy = {
      name = "blue_green", plan = blue_green.plan, options = { healthy_within = 60, healthy_for = 2, keep = 0 },
    },
    container = { env = {}, restart = "unless-stopped" },
  }
end

--- A watcher on fakes; tags is what the registry has: { ["1.0.0"] = digest }.
local function new(stages)
  local loop = virtual.new()
  local w = { loop = loop, engine = fakeengine.new(loop), tags = {}, lines = {}, outcomes = {} }
  w.registry = {
    tags = function()
      loop.sleep(0.05)
      if w.registry_error then return nil, w.registry_error end
      local list = {}
      for tag in pairs(w.tags) do list[#list + 1] = tag end
      return list
    end,
    head = function(_, _, tag)
      loop.sleep(0.05)
      if w.tags[tag] then return { digest = w.tags[tag] } end
      return nil, errors.new("not_found", "no tag " .. tag)
    end,
    credentials = function() end,
  }
  w.made = watcher.new {
    config = { stages = stages, poll = { every = 60, jitter = 0.1 }, registries = {} }, client = w.engine.client,
    docker = docker, http = {}, loop = loop, registry = w.registry, random = function() return 0.5 end,
    log = log.new {
      write = function(line) w.lines[#w.lines + 1] = line end, format = "json", now = function() return 0 end,
    },
    on_outcome = function(outcome) w.outcomes[#w.outcomes + 1] = outcome end,
  }
  --- Runs the watcher while fn does things, then stops it.
  function w.run(fn)
    return loop.run(function()
      local task = loop.spawn(function() w.made:run() end)
      fn()
      w.made:stop()
      task:join()
    end)
  end
  function w.said(text)
    local count = 0
    for _, line in ipairs(w.lines) do
      if line:find(text, 1, true) then count = count + 1 end
    end
    return count
  end
  return w
end

describe("watcher", function()
  it("deploys what the registry has, then what it gets, stage by stage", function()
    local w = new { stage "a", stage("b", "^1") }
    w.tags = { ["1.0.0"] = digest "a" }
    w.run(function()
      w.loop.sleep(30)
      assert.same({ "dw-p-a-1.0.0 running", "dw-p-b-1.0.0 running" }, w.engine.shows())
      w.tags["2.0.0"], w.tags["1.1.0"] = digest "b", digest "c"
      w.loop.sleep(120)
    end)
    assert.same({ "dw-p-a-2.0.0 running", "dw-p-b-1.1.0 running" }, w.engine.shows())
    assert.equal(4, w.said '"message":"deployed"')
  end)

  it("writes nothing and says nothing while nothing changes", function()
    local w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a" }
    w.run(function()
      w.loop.sleep(60)
      local writes, lines = w.engine.writes, #w.lines
      w.loop.sleep(86400)
      assert.equal(writes, w.engine.writes)
      assert.equal(lines, #w.lines)
    end)
  end)

  it("waits for an engine that is away at the start, and says so once", function()
    local w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a" }
    w.engine.fails.ping = errors.new("unreachable", "no socket there")
    w.run(function()
      w.loop.sleep(600)
      assert.same({}, w.engine.shows())
      assert.is_true(#w.engine.calls < 60)
      w.engine.fails = {}
      w.loop.sleep(60)
    end)
    assert.same({ "dw-p-a-1.0.0 running" }, w.engine.shows())
    assert.equal(1, w.said "the engine does not answer")
    assert.equal(1, w.said "the engine answers")
  end)

  it("tries again what an engine's absence broke, with longer and longer pauses, and never judges", function()
    local w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a" }
    w.run(function()
      w.loop.sleep(30)
      w.tags["1.1.0"] = digest "b"
      for _, op in ipairs { "pull_image", "list_containers", "inspect_container", "create_container" } do
        w.engine.fails[op] = errors.new("unreachable", "away")
      end
      local calls = #w.engine.calls
      w.loop.sleep(3600)
      assert.is_true(#w.engine.calls - calls < 60, "asked " .. #w.engine.calls - calls .. " times in an hour")
      assert.same({ "dw-p-a-1.0.0 running" }, w.engine.shows())
      w.engine.fails = {}
      w.loop.sleep(600)
      assert.same({ "dw-p-a-1.1.0 running" }, w.engine.shows())
    end)
    for _, outcome in ipairs(w.outcomes) do assert.is_falsy(outcome.verdict) end
  end)

  it("gives up a digest that is not healthy, and takes the next one", function()
    local w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a" }
    w.engine.health[digest "b"] = "unhealthy"
    w.run(function()
      w.loop.sleep(30)
      w.tags["1.1.0"] = digest "b"
      w.loop.sleep(3600)
      assert.same({ "dw-p-a-1.0.0 running" }, w.engine.shows())
      local created = 0
      for _, op in ipairs(w.engine.ops()) do created = created + (op == "create_container" and 1 or 0) end
      assert.equal(2, created, "the bad one was tried once")
      assert.equal(1, w.said "this digest is not tried again")
      assert.equal(0, w.said "not tried again: this digest has failed")
      w.tags["1.1.0"] = digest "c"
      w.loop.sleep(120)
    end)
    assert.same({ "dw-p-a-1.1.0 running" }, w.engine.shows())
  end)

  it("goes on with what runs while the registry is away, and never goes backwards", function()
    local w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a", ["1.1.0"] = digest "b" }
    w.run(function()
      w.loop.sleep(60)
      local writes = w.engine.writes
      w.registry_error = errors.new("unreachable", "503")
      w.loop.sleep(3600)
      w.registry_error, w.tags = nil, { ["1.0.0"] = digest "a" } -- a list that has shrunk
      w.loop.sleep(3600)
      assert.equal(writes, w.engine.writes)
      assert.same({ "dw-p-a-1.1.0 running" }, w.engine.shows())
    end)
    assert.equal(1, w.said "the look failed")
    assert.equal(1, w.said "answers again")
    assert.equal(1, w.said "below the running 1.1.0")
  end)

  it("knows after a restart what runs, before it chooses", function()
    local w = new { stage "a" }
    w.tags = { ["1.1.0"] = digest "b" }
    w.run(function() w.loop.sleep(60) end)
    local again = new { stage "a" }
    again.tags = { ["1.0.0"] = digest "a" }
    again.engine.containers = w.engine.containers
    again.run(function() again.loop.sleep(600) end)
    assert.same({ "dw-p-a-1.1.0 running" }, again.engine.shows())
    assert.equal(0, again.engine.writes)
  end)

  it("does not choose while it cannot know what runs", function()
    local w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a" }
    w.engine.fails.list_containers = errors.new("engine", "500")
    w.run(function()
      w.loop.sleep(600)
      assert.equal(0, #w.outcomes)
      assert.equal(1, w.said "the stage cannot be looked at")
      w.engine.fails = {}
      w.loop.sleep(400)
    end)
    assert.same({ "dw-p-a-1.0.0 running" }, w.engine.shows())
  end)

  it("stops at once when idle, and undoes a deploy under way", function()
    local w = new { stage "a" }
    w.run(function() w.loop.sleep(10) end)
    assert.equal(1010, w.loop.now())

    w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a" }
    local stopped
    w.run(function()
      w.engine.at = function(_, op, phase)
        if op == "wait_healthy" and phase == "after" and not stopped then
          stopped = true
          w.made:stop()
          w.made:stop()
        end
      end
      w.loop.sleep(60)
    end)
    assert.same({}, w.engine.shows())
    assert.equal("cancelled", w.outcomes[1].error.kind)
    assert.equal(1, w.said "deploy undone")
  end)

  it("stops while it waits for the engine", function()
    local w = new { stage "a" }
    w.engine.fails.ping = errors.new("unreachable", "no socket there")
    w.run(function() w.loop.sleep(100) end)
    assert.equal(1100, w.loop.now())
  end)

  it("runs so many deploys at once and no more", function()
    local stages, most = {}, 0
    for i = 1, 20 do stages[i] = stage("s" .. i) end
    local w = new(stages)
    w.tags = { ["1.0.0"] = digest "a" }
    local waiting = 0
    w.engine.at = function(_, op, phase)
      if op == "wait_healthy" then
        waiting = waiting + (phase == "before" and 1 or -1)
        most = math.max(most, waiting)
      end
    end
    w.run(function() w.loop.sleep(300) end)
    assert.equal(20, #w.engine.shows())
    assert.equal(4, most)
  end)

  it("answers what it knows", function()
    local w = new { stage "a" }
    w.tags = { ["1.0.0"] = digest "a" }
    w.run(function()
      w.loop.sleep(30)
      local status = w.made:status()
      assert.equal("a", status.stages[1].stage)
      assert.equal("deployed", status.stages[1].outcome.status)
      assert.same({ "r.example.com/web", 1 }, { status.repositories[1].image, status.repositories[1].tags })
    end)
  end)
end)
