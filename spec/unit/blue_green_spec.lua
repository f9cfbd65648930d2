-- docker_watcher.policies.blue_green: a pure function; what is planned for which instances.

local blue_green = require "docker_watcher.policies.blue_green"
local schema = require "docker_watcher.config.schema"
local steps = require "docker_watcher.deployer.steps"

local function instance(id, tag, state, created, proven)
  return {
    id = id, name = "dw-p-s-" .. tag, tag = tag, digest = "sha256:" .. id, instance_id = id, state = state or "running",
    created = created or id, proven = proven ~= false,
  }
end

local function plan(instances, options)
  local given = { healthy_within = 60, healthy_for = 2, keep = 0 }
  for key, value in pairs(options or {}) do given[key] = value end
  local list = blue_green.plan({
    project = "p", stage = "s", alias = "p-s", candidate = { tag = "2", digest = "sha256:new" }, instances = instances,
    now = 0,
  }, given)
  local by_id, words = {}, {}
  for _, one in ipairs(instances) do by_id[one.id] = one end
  assert(steps.check(list, by_id))
  for i, step in ipairs(list) do words[i] = step.step .. (step.instance and " " .. step.instance or "") end
  return words, list
end

local BEGIN = { "pull", "create new", "start new", "wait_healthy new", "switch new" }

local function with(...)
  local list = table.move(BEGIN, 1, #BEGIN, 1, {})
  for _, word in ipairs { ... } do list[#list + 1] = word end
  return list
end

describe("policies.blue_green", function()
  it("proves the first instance like any other", function() assert.same(BEGIN, (plan {})) end)

  it("touches the old one only when the new one is in service", function()
    assert.same(with("stop a", "remove a"), (plan { instance("a", "1") }))
  end)

  it("removes what does not run without stopping it", function()
    assert.same(with("remove a"), (plan { instance("a", "1", "exited") }))
    assert.same(with("remove a"), (plan { instance("a", "1", "created") }))
    assert.same(with("stop a", "remove a"), (plan { instance("a", "1", "restarting") }))
    assert.same(with("stop a", "remove a"), (plan { instance("a", "1", "paused") }))
  end)

  it("retires the newest first, and keeps so many", function()
    local three = {
      instance("a", "0.1", "exited", "1"), instance("c", "1", "running", "3"), instance("b", "0.2", "exited", "2"),
    }
    assert.same(with("stop c", "remove c", "remove b", "remove a"), (plan(three)))
    assert.same(with("stop c", "remove b", "remove a"), (plan(three, { keep = 1 })))
    assert.same(with("stop c", "remove a"), (plan(three, { keep = 2 })))
    assert.same(with("stop c"), (plan(three, { keep = 3 })))
  end)

  it("keeps none of the candidate's own tag, whose name is wanted, and none that never served", function()
    assert.same(with("stop a", "remove a"), (plan({ instance("a", "2") }, { keep = 5 })))
    assert.same(with("remove a"), (plan({ instance("a", "1", "exited", "1", false) }, { keep = 5 })))
  end)

  it("hands its options on", function()
    local _, list = plan({}, { healthy_within = 7, healthy_for = 3 })
    assert.same({ step = "wait_healthy", instance = "new", timeout = 7, stay_up = 3 }, list[4])
  end)

  it("changes nothing that it is given", function()
    local instances = { instance("a", "1", "running", "1"), instance("b", "1", "exited", "2") }
    plan(instances)
    assert.same({ "a", "b" }, { instances[1].id, instances[2].id })
  end)

  it("has defaults that its schema takes", function()
    local options = schema.check({}, { type = "table", fields = blue_green.options }, {}, function(_, m) error(m) end)
    assert.same({ healthy_within = 60, healthy_for = 2, keep = 0 }, options)
    assert.is_function(blue_green.new(options))
  end)
end)

describe("steps.check", function()
  local known = { a = {} }
  for text, list in pairs {
    ["a list of steps expected"] = 7, ["no step 'nil'"] = { {} }, ["no step 'check'"] = { { step = "check" } },
    ["no step 'image'"] = { { step = "image" } }, ["no step 'explode'"] = { { step = "explode" } },
    ["before it is created"] = { { step = "start", instance = "new" } },
    ["one instance at most"] = { { step = "create" }, { step = "create" } },
    ["no instance of this stage"] = { { step = "remove", instance = "b" } },
    ["'nil', which is no instance"] = { { step = "stop" } },
    ["timeout: seconds from 0"] = { { step = "create" }, { step = "wait_healthy", instance = "new", timeout = -1 } },
    ["stay_up: seconds from 0"] = { { step = "create" }, { step = "wait_healthy", instance = "new", stay_up = "x" } },
    ["sleep needs seconds"] = { { step = "sleep" } },
    ["seconds: seconds from"] = { { step = "sleep", seconds = 0 / 0 } },
    ["no step 'false'"] = { 7 },
  } do
    it("says: " .. text, function()
      local ok, reason = steps.check(list, known)
      assert.is_nil(ok)
      assert.is_truthy(reason:find(text, 1, true), reason)
    end)
  end
  it("takes an empty plan", function() assert.is_true(steps.check({}, known)) end)
end)
