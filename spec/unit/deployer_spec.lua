-- docker_watcher.deployer: what is left when steps fail, replies are lost and callers die, at every call. The Engine is
-- spec/support/fakeengine.lua; the good ways on a real one are in spec/engine/deployer_spec.lua.

local deployer = require "docker_watcher.deployer"
local docker = require "docker_watcher.docker"
local errors = require "docker_watcher.error"
local blue_green = require "docker_watcher.policies.blue_green"
local fakeengine = require "spec.support.fakeengine"
local secret = require "docker_watcher.secret"
local virtual = require "spec.support.virtual"

local A, B, C = "sha256:" .. ("a"):rep(64), "sha256:" .. ("b"):rep(64), "sha256:" .. ("c"):rep(64)

local function stage(more)
  local s = {
    project = "p", stage = "s", image = "r.example.com/web", network = "dw-p",
    policy = {
      name = "blue_green", plan = blue_green.plan, options = { healthy_within = 60, healthy_for = 2, keep = 0 },
    },
    container = { env = { KEY = secret.new "hidden", LOG = "info" }, restart = "unless-stopped", stop_timeout = 10 },
  }
  for key, value in pairs(more or {}) do s[key] = value end
  return s
end

local function candidate(tag, digest)
  return {
    project = "p", stage = "s", image = "r.example.com/web", tag = tag, digest = digest, seen_at = 0, reason = "",
  }
end

local quiet = setmetatable({}, { __index = function() return function() end end })

--- A deployer on a fake engine.
local function new(more)
  local loop = virtual.new()
  local w = { loop = loop, engine = fakeengine.new(loop), journal = {}, ids = 0 }
  function w.make(extra) -- as after a restart: the same engine, nothing remembered
    local world = {
      client = w.engine.client, docker = docker, loop = loop, log = quiet, wall = function() return 0 end,
      new_id = function()
        w.ids = w.ids + 1
        return ("id%d"):format(w.ids)
      end,
      journal = function(record)
        w.journal[#w.journal + 1] = record
        return true
      end,
    }
    for key, value in pairs(more or {}) do world[key] = value end
    for key, value in pairs(extra or {}) do world[key] = value end
    w.deployer = deployer.new(world)
    return w.deployer
  end
  w.make()
  function w.deploy(tag, digest, s)
    return loop.run(function() return w.deployer:deploy(s or stage(), candidate(tag, digest)) end)
  end
  function w.reconcile(s)
    return loop.run(function() return w.deployer:reconcile(s or stage()) end)
  end
  return w
end

--- What must hold whatever has happened: one version serves, under its own name, and nothing is left over.
local function assert_one(engine, digests)
  local running = {}
  for _, container in pairs(engine.containers) do
    if container.labels["docker-watcher.project"] then running[#running + 1] = container end
  end
  assert.equal(1, #running, table.concat(engine.shows(), ", "))
  local one = running[1]
  assert.equal("running", one.state)
  assert.equal(docker.container_name("p", "s", one.labels["docker-watcher.tag"]), one.name)
  assert.same({ "p-s" }, one.networks["dw-p"])
  assert.is_truthy(digests[one.labels["docker-watcher.digest"]], "an unexpected digest serves")
  return one.labels["docker-watcher.digest"]
end

describe("deployer", function()
  it("brings the first instance into service, by digest, with opened secrets and all labels", function()
    local w = new { credentials = function(domain) return { username = domain, password = "x" } end }
    local outcome = w.deploy("1", A)
    assert.equal("deployed", outcome.status)
    assert.equal("dw-p-s-1", outcome.name)
    assert_one(w.engine, { [A] = true })
    local _, container = next(w.engine.containers)
    assert.equal("r.example.com/web@" .. A, container.image)
    assert.same({ KEY = "hidden", LOG = "info" }, container.env)
    local pull = w.engine.calls[2]
    assert.same({ "pull_image", "r.example.com" }, { pull.op, pull[1][3].auth.username })
    assert.equal("1", w.deployer:current("p", "s"))
  end)

  it("replaces the old one, and has both only while the new one is proven", function()
    local w = new()
    w.deploy("1", A)
    local seen = {}
    w.engine.at = function(_, op, phase) if phase == "before" then seen[op] = w.engine.shows() end end
    assert.equal("deployed", w.deploy("2", B).status)
    assert.same({ "dw-p-s-1 running", "dw-p-s-2 running" }, seen.wait_healthy)
    assert.same({ "dw-p-s-1 running", "dw-p-s-2 running" }, seen.connect_network)
    assert.same({ "dw-p-s-2 running" }, w.engine.shows())
    assert_one(w.engine, { [B] = true })
  end)

  it("does nothing for what runs already: not one write", function()
    local w = new()
    w.deploy("1", A)
    local before = w.engine.writes
    assert.equal("unchanged", w.deploy("1", A).status)
    assert.equal("unchanged", w.deploy("1.0", A).status) -- the same digest under another name
    w.make()
    w.reconcile()
    assert.equal("unchanged", w.deploy("1", A).status)
    assert.equal(before, w.engine.writes)
  end)

  it("gives a moved tag a name of its own until the old one is gone", function()
    local w = new()
    w.deploy("1", A)
    local seen
    w.engine.at = function(_, op) if op == "wait_healthy" then seen = w.engine.shows() end end
    assert.equal("deployed", w.deploy("1", B).status)
    assert.same({ "dw-p-s-1 running", "dw-p-s-1.next-id2 running" }, seen)
    assert.same({ "dw-p-s-1 running" }, w.engine.shows())
    assert_one(w.engine, { [B] = true })
  end)

  it("keeps as many old ones, stopped, as the policy says", function()
    local w, s = new(), stage()
    s.policy.options.keep = 1
    w.deploy("1", A, s)
    w.deploy("2", B, s)
    assert.same({ "dw-p-s-1 exited", "dw-p-s-2 running" }, w.engine.shows())
    w.make()
    w.reconcile(s)
    assert.same({ "dw-p-s-1 exited", "dw-p-s-2 running" }, w.engine.shows())
    w.deploy("3", C, s)
    assert.same({ "dw-p-s-2 exited", "dw-p-s-3 running" }, w.engine.shows())
  end)

  for fate, said in pairs {
    unhealthy = "unhealthy", exits = "ended with status 3", restarts = "started again 3 times",
    oom = "ended with status 137",
  } do
    it("removes a candidate that " .. fate .. ", leaves the old one, and condemns the digest", function()
      local w = new()
      w.deploy("1", A)
      local old = next(w.engine.containers)
      w.engine.health[B] = fate
      local outcome = w.deploy("2", B)
      assert.same({ "failed", "health", true, true },
        { outcome.status, outcome.cause, outcome.verdict, outcome.undone })
      assert.is_truthy(tostring(outcome.error):find(said, 1, true), tostring(outcome.error))
      assert_one(w.engine, { [A] = true })
      assert.equal(old, (next(w.engine.containers)))
      local calls = #w.engine.calls
      local again = w.deploy("2", B)
      assert.equal("condemned", again.status)
      assert.is_truthy(again.reason:find(said, 1, true))
      assert.equal(calls, #w.engine.calls, "a condemned digest was tried again")
      assert.equal("deployed", w.deploy("2", C).status) -- the digest changed
      assert.equal("condemned", w.deploy("2", B).status)
      w.deployer:absolve("p", "s")
      assert.equal("failed", w.deploy("2", B).status)
    end)
  end

  it("gives no verdict for a candidate that somebody killed, as an Engine does that shuts down", function()
    local w = new()
    w.deploy("1", A)
    w.engine.health[B] = "killed"
    local outcome = w.deploy("2", B)
    assert.same({ "failed", "engine", false }, { outcome.status, outcome.cause, outcome.verdict })
    assert_one(w.engine, { [A] = true })
    w.engine.health = {}
    assert.equal("deployed", w.deploy("2", B).status)
  end)

  it("condemns an image whose command is not there, but not one whose port is taken", function()
    local w = new()
    w.deploy("1", A)
    w.engine.fails.start_container = errors.new("invalid", "executable file not found")
    local outcome = w.deploy("2", B)
    assert.same({ "failed", "start", true }, { outcome.status, outcome.cause, outcome.verdict })
    w.engine.fails.start_container = errors.new("engine", "port is already allocated")
    outcome = w.deploy("3", C)
    assert.same({ "failed", "start", false }, { outcome.status, outcome.cause, outcome.verdict })
    assert_one(w.engine, { [A] = true })
  end)

  -- operation | kind | cause
  for _, case in ipairs {
    { "pull_image", "unauthorized", "pull" }, { "pull_image", "stream", "pull" },
    { "pull_image", "unreachable", "engine" }, { "pull_image", "not_found", "pull" },
    { "ensure_network", "engine", "create" },
    { "create_container", "invalid", "create" }, { "create_container", "unreachable", "engine" },
    { "create_container", "interrupted", "engine" }, { "start_container", "unreachable", "engine" },
    { "disconnect_network", "engine", "route" }, { "connect_network", "engine", "route" },
    { "connect_network", "unreachable", "engine" }, { "list_containers", "unreachable", "engine" },
    { "stop_container", "engine", "engine" }, { "wait_container", "interrupted", "engine" },
  } do
    it(("gives no verdict for %s: %s, and leaves all as it was"):format(case[1], case[2]), function()
      local w = new()
      w.deploy("1", A)
      w.engine.fails[case[1]] = errors.new(case[2], "it failed")
      if case[1] == "wait_container" then w.engine.fails.inspect_container = function(id)
        local container = w.engine.containers[id] -- the engine is away: it does not answer for the new one either
        return container and container.labels["docker-watcher.digest"] == B and errors.new("unreachable", "away") or nil
      end end
      local outcome = w.deploy("2", B)
      assert.equal("failed", outcome.status)
      assert.equal(case[3], outcome.cause)
      assert.is_falsy(outcome.verdict)
      assert.is_truthy(outcome.undone)
      w.engine.fails = {}
      assert_one(w.engine, { [A] = true })
      assert.equal("deployed", w.deploy("2", B).status)
      assert_one(w.engine, { [B] = true })
    end)
  end

  it("does not undo behind the point of no return: a later deploy or start finishes", function()
    local w, s = new(), stage()
    s.policy.options.keep = 1
    w.deploy("0", C, s)
    w.deploy("1", A, s)
    s.policy.plan = function(state) -- retires both, the older one last
      return blue_green.plan(state, { healthy_within = 60, healthy_for = 2, keep = 0 })
    end
    local n = 0
    w.engine.fails.remove_container = function()
      n = n + 1
      return n == 2 and errors.new("unreachable", "away") or nil
    end
    local outcome = w.deploy("2", B, s)
    assert.equal("deployed", outcome.status)
    assert.equal("unreachable", outcome.error.kind)
    assert.same({ "dw-p-s-0 exited", "dw-p-s-2 running" }, w.engine.shows())
    w.engine.fails, s.policy.options.keep = {}, 0
    w.make()
    w.reconcile(s)
    assert_one(w.engine, { [B] = true })
  end)

  it("never touches what lacks our labels, also where it holds the name that is needed", function()
    local w = new()
    w.deploy("1", A)
    local stranger = w.engine.put { name = "dw-p-s-2" }
    local half = w.engine.put { name = "half", labels = {
      ["docker-watcher.project"] = "p", ["docker-watcher.stage"] = "s", ["docker-watcher.instance-id"] = "x",
    } }
    local outcome = w.deploy("2", B)
    assert.same({ "failed", "create", false }, { outcome.status, outcome.cause, outcome.verdict })
    assert.matches("dw%-p%-s%-2 is taken", tostring(outcome.error))
    assert.is_truthy(w.engine.containers[stranger])
    assert.is_truthy(w.engine.containers[half])
    for _, call in ipairs(w.engine.calls) do
      assert.is_false(call.op ~= "inspect_container" and (call.subject == stranger or call.subject == half))
    end
    assert.same({ "dw-p-s-1 running", "dw-p-s-2 running", "half running" }, w.engine.shows())
  end)

  it("leaves another stage's containers alone", function()
    local w = new()
    w.deploy("1", A)
    w.loop.run(function()
      local other = stage { stage = "t" }
      return w.deployer:deploy(other, candidate("9", C))
    end)
    w.deploy("2", B)
    assert.same({ "dw-p-s-2 running", "dw-p-t-9 running" }, w.engine.shows())
  end)

  it("leaves a stage alone whose instance somebody stopped, and says so", function()
    local w = new()
    w.deploy("1", A)
    local _, container = next(w.engine.containers)
    container.state = "exited"
    local outcome = w.deploy("1", A)
    assert.equal("unchanged", outcome.status)
    assert.matches("is exited: start it, or remove it", outcome.reason)
    assert.equal("deployed", w.deploy("2", B).status)
    assert_one(w.engine, { [B] = true })
  end)

  it("deploys again what somebody removed", function()
    local w = new()
    w.deploy("1", A)
    w.engine.containers = {}
    assert.equal("deployed", w.deploy("1", A).status)
    assert_one(w.engine, { [A] = true })
  end)

  describe("journal", function()
    it("has each step before and after it is done", function()
      local w = new()
      w.deploy("1", A)
      local words = {}
      for i, record in ipairs(w.journal) do
        words[i] = record.phase .. (record.step and " " .. record.step or "")
        assert.same({ "p", "s", "1", A, "id1" },
          { record.project, record.stage, record.tag, record.digest, record.instance_id })
      end
      assert.same({
        "begin", "before pull", "after pull", "before create", "after create", "before start", "after start",
        "before wait_healthy", "after wait_healthy", "before switch", "after switch", "deployed",
      }, words)
    end)

    it("that cannot be written stops the deploy, without a verdict", function()
      for fail_at = 1, 8 do
        local w = new()
        w.deploy("1", A)
        local n = 0
        w.make { journal = function()
          n = n + 1
          if n >= fail_at then return nil, errors.new("engine", "disk full") end
          return true
        end }
        local outcome = w.deploy("2", B)
        assert.same({ "failed", "store" }, { outcome.status, outcome.cause })
        assert.is_falsy(outcome.verdict)
        assert_one(w.engine, { [A] = true })
      end
    end)
  end)

  describe("a policy", function()
    local function bad(plan)
      local w = new()
      w.deploy("1", A)
      local before = w.engine.writes
      local outcome = w.deploy("2", B, stage { policy = { name = "mine", plan = plan, options = {} } })
      assert.same({ "failed", "policy" }, { outcome.status, outcome.cause })
      assert.is_falsy(outcome.verdict)
      assert.equal(before, w.engine.writes)
      return tostring(outcome.error)
    end
    it("that fails denies the deploy, with a traceback", function()
      assert.matches("policy mine of p/s: .*oops.*traceback", bad(function() error "oops" end))
    end)
    it("that answers nonsense denies the deploy, and says why", function()
      assert.matches("a list of steps expected", bad(function() end))
      assert.matches("no step 'explode'", bad(function() return { { step = "explode" } } end))
      assert.matches("no instance of this stage", bad(function() return { { step = "remove", instance = "x" } } end))
    end)
    it("gets copies", function()
      local w = new()
      w.deploy("1", A)
      local outcome = w.deploy("2", B, stage { policy = { name = "mine", options = {}, plan = function(state)
        local plan = blue_green.plan(state, { healthy_within = 1, healthy_for = 0, keep = 0 })
        state.instances[1].id, state.candidate.digest, state.candidate.tag = "x", "y", "z"
        return plan
      end } })
      assert.equal("deployed", outcome.status)
      assert_one(w.engine, { [B] = true })
    end)
  end)

  describe("that is stopped", function()
    it("undoes before the switch, and finishes behind it", function()
      for _, case in ipairs { { "pull_image", A }, { "create_container", A }, { "start_container", A },
        { "wait_healthy", A }, { "wait_container", A }, { "disconnect_network", B }, { "connect_network", B },
        { "stop_container", B }, { "remove_container", B } } do
        local ctx = docker.context {}
        local w = new { ctx = ctx }
        w.deploy("1", A)
        w.engine.at = function(_, op) if op == case[1] then ctx:cancel "stop" end end
        local outcome = w.deploy("2", B)
        assert.equal(case[2] == B and "deployed" or "failed", outcome.status, case[1])
        if case[2] == A then
          assert.equal("cancelled", outcome.error.kind)
          assert.is_falsy(outcome.verdict)
        end
        assert_one(w.engine, { [case[2]] = true })
      end
    end)
  end)
end)

describe("a deployer that dies", function()
  -- Records a run, and dies once at each of its engine calls: before the request, and after it was applied but before
  -- the reply. A new deployer then starts on what is left.
  local DEAD = {}
  local scenarios = {
    ["at the first deploy"] = { before = {}, deploy = { "1", A }, may = { [A] = true } },
    ["at an update"] = { before = { { "1", A } }, deploy = { "2", B }, may = { [A] = true, [B] = true } },
    ["at an update of a moved tag"] = {
      before = { { "1", A } }, deploy = { "1", B }, may = { [A] = true, [B] = true },
    },
    ["at an update of an unhealthy image"] = {
      before = { { "1", A } }, deploy = { "2", B }, bad = B, may = { [A] = true },
    },
  }
  for what, scenario in pairs(scenarios) do
    local function prepare()
      local w = new()
      for _, one in ipairs(scenario.before) do w.deploy(one[1], one[2]) end
      if scenario.bad then w.engine.health[scenario.bad] = "unhealthy" end
      return w
    end

    it(what .. " leaves what the next one puts in order", function()
      local recorded = prepare()
      local first = #recorded.engine.calls
      recorded.deploy(table.unpack(scenario.deploy))
      local count, points = #recorded.engine.calls - first, 0
      assert.is_true(count > 8)
      for number = first + 1, first + count do
        for _, phase in ipairs { "before", "after" } do
          local w = prepare()
          w.engine.at = function(n, _, p) if n == number and p == phase then error(DEAD, 0) end end
          local done = coroutine.wrap(function() return pcall(w.loop.run, function()
            return w.deployer:deploy(stage(), candidate(table.unpack(scenario.deploy)))
          end) end)()
          if not done then points = points + 1 end
          w.engine.at = nil
          w.loop = virtual.new()
          w.make { loop = w.loop }
          w.reconcile()
          if next(scenario.before) then assert_one(w.engine, scenario.may) end
          local outcome = w.deploy(table.unpack(scenario.deploy))
          if scenario.bad then
            assert.equal("failed", outcome.status)
            assert_one(w.engine, { [A] = true })
          else
            assert.is_truthy(outcome.status == "deployed" or outcome.status == "unchanged", outcome.status)
            assert_one(w.engine, { [scenario.deploy[2]] = true })
          end
          local writes = w.engine.writes
          w.make()
          w.reconcile()
          assert.equal(writes, w.engine.writes, "a restart with nothing to do wrote something")
        end
      end
      assert.is_true(points >= 2 * count - 4, ("only %d of %d points were reached"):format(points, 2 * count))
    end)
  end

  it("does not make the next one judge: nothing is condemned", function()
    local w = new()
    w.deploy("1", A)
    w.engine.at = function(_, op) if op == "wait_healthy" then error(DEAD, 0) end end
    pcall(w.loop.run, function() return w.deployer:deploy(stage(), candidate("2", B)) end)
    w.engine.at, w.loop = nil, virtual.new()
    w.make { loop = w.loop }
    w.reconcile()
    assert.equal("deployed", w.deploy("2", B).status)
  end)
end)
