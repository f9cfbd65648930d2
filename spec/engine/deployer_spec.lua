-- docker_watcher.deployer on a real Engine, with images from a real registry: what the Engine shows afterwards, asked
-- with curl. What a real Engine will not do on request is in spec/unit/deployer_spec.lua.

local deployer = require "docker_watcher.deployer"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local blue_green = require "docker_watcher.policies.blue_green"
local loop = require "docker_watcher.loop"
local secret = require "docker_watcher.secret"

local quiet = setmetatable({}, { __index = function() return function() end end })
local HEALTHY = "--expose 80 --health 'wget -q -O- 127.0.0.1/' --health-interval 1"

--- A stage of its own project, image and network; everything is removed at cleanup.
local function new()
  local project = env.name "p"
  local w = { project = project, image = env.registry .. "/" .. project .. "/web", client = assert(docker.connect {}) }
  w.stage = {
    project = project, stage = "s", image = w.image, network = "dw-" .. project,
    policy = {
      name = "blue_green", plan = blue_green.plan, options = { healthy_within = 20, healthy_for = 0.5, keep = 0 },
    },
    container = {
      env = { KEY = secret.new "hidden" }, ports = "exposed", restart = "unless-stopped", stop_timeout = 1,
    },
  }
  env.dispose("network", w.stage.network)
  env.defer(function()
    local _, list = env.engine("GET", "/containers/json?all=1&filters="
      .. ('{"label":["docker-watcher.project=%s"]}'):format(project):gsub("[^%w]", function(c)
        return ("%%%02X"):format(c:byte())
      end))
    for _, container in ipairs(list) do env.engine("DELETE", "/containers/" .. container.Id .. "?force=1&v=1") end
    for digest in pairs(w.digests) do env.engine("DELETE", "/images/" .. w.image .. "@" .. digest .. "?force=1") end
    w.client:close()
  end)
  w.digests = {}
  function w.push(tag, options)
    local digest = env.tinyimage(w.image .. ":" .. tag, options or HEALTHY)
    w.digests[digest] = true
    return digest
  end
  function w.make() -- as after a restart: nothing is remembered
    w.deployer = deployer.new { client = w.client, docker = docker, loop = loop, log = quiet, ctx = w.ctx }
    return w.deployer
  end
  w.make()
  function w.deploy(tag, digest, stage)
    return loop.run(function()
      return w.deployer:deploy(stage or w.stage, {
        project = project, stage = "s", image = w.image, tag = tag, digest = digest, seen_at = 0, reason = "",
      })
    end)
  end
  --- All containers of the project by name.
  function w.containers()
    local by_name = {}
    local _, list = env.engine("GET", "/containers/json?all=1")
    for _, container in ipairs(list) do
      local name = container.Names[1]:gsub("^/", "")
      if name:find(project, 1, true) then
        local _, inspected = env.engine("GET", "/containers/" .. container.Id .. "/json")
        by_name[name] = inspected
      end
    end
    return by_name
  end
  function w.name(tag) return docker.container_name(project, "s", tag) end
  return w
end

--- The only container of the project serves: name, alias, labels, digest.
local function assert_serves(w, tag, digest)
  local containers = w.containers()
  local name = next(containers)
  assert.is_nil(next(containers, name), "more than one container is left")
  assert.equal(w.name(tag), name)
  local one = containers[name]
  assert.equal("running", one.State.Status)
  assert.equal(digest, one.Config.Labels["docker-watcher.digest"])
  assert.equal(tag, one.Config.Labels["docker-watcher.tag"])
  local aliases = {}
  for _, alias in ipairs(one.NetworkSettings.Networks[w.stage.network].Aliases) do aliases[alias] = true end
  assert.is_true(aliases[w.project .. "-s"])
  return one
end

local function answers(port)
  return env.sh("curl -sS -m 5 http://127.0.0.1:" .. port .. "/").out
end

describe("deployer on a real Engine", function()
  after_each(env.cleanup)

  it("brings a version into service, replaces it, and leaves one container", function()
    local w = new()
    local first = w.push "1.0.0"
    local outcome = w.deploy("1.0.0", first)
    assert.equal("deployed", outcome.status, tostring(outcome.error))
    local one = assert_serves(w, "1.0.0", first)
    local env_set = {}
    for _, pair in ipairs(one.Config.Env) do env_set[pair] = true end
    assert.is_true(env_set["KEY=hidden"])
    assert.equal(w.image .. "@" .. first, one.Config.Image)
    local port = outcome.ports["80/tcp"][1].host_port
    env.wait(5, "the port to answer", function() return answers(port):find "1%.0%.0" end)

    local second = w.push "1.1.0"
    outcome = w.deploy("1.1.0", second)
    assert.equal("deployed", outcome.status, tostring(outcome.error))
    assert_serves(w, "1.1.0", second)
    env.wait(5, "the port to answer", function()
      return answers(outcome.ports["80/tcp"][1].host_port):find "1%.1%.0"
    end)
    assert.equal("unchanged", w.deploy("1.1.0", second).status)
  end)

  it("takes a moved tag into service under its own name", function()
    local w = new()
    local first, second = w.push("1", HEALTHY .. " --version a"), w.push("1", HEALTHY .. " --version b")
    assert.not_equal(first, second)
    assert.equal("deployed", w.deploy("1", first).status)
    assert.equal("deployed", w.deploy("1", second).status)
    assert_serves(w, "1", second)
  end)

  it("deploys the digest, also when the tag has moved meanwhile", function()
    local w = new()
    local first = w.push("1", HEALTHY .. " --version a")
    w.push("1", HEALTHY .. " --version b")
    assert.equal("deployed", w.deploy("1", first).status)
    assert_serves(w, "1", first)
  end)

  for what, options in pairs {
    ["that is never healthy"] = { "--expose 80 --health 'echo not well; exit 1' --health-interval 1", "not well" },
    ["that ends at once"] = { "--cmd 'exit 3'", "3" },
    ["that ends after a while"] = { "--cmd 'sleep 0.3; exit 4'", "4" },
  } do
    it("removes an image " .. what .. ", and leaves the old one as it was", function()
      local w = new()
      local first, bad = w.push "1", w.push("2", options[1])
      w.stage.policy.options.healthy_for = 2
      assert.equal("deployed", w.deploy("1", first).status)
      local before = assert_serves(w, "1", first)
      local outcome = w.deploy("2", bad)
      assert.same({ "failed", "health", true }, { outcome.status, outcome.cause, outcome.verdict })
      assert.is_truthy(tostring(outcome.error):find(options[2], 1, true), tostring(outcome.error))
      local after = assert_serves(w, "1", first)
      assert.same({ before.Id, before.State.StartedAt }, { after.Id, after.State.StartedAt })
      assert.equal("condemned", w.deploy("2", bad).status)
    end)
  end

  it("gives no verdict where the image cannot be pulled", function()
    local w = new()
    local first = w.push "1"
    assert.equal("deployed", w.deploy("1", first).status)
    local outcome = w.deploy("2", "sha256:" .. ("0"):rep(64))
    assert.same({ "failed", "pull", false }, { outcome.status, outcome.cause, outcome.verdict })
    assert_serves(w, "1", first)
  end)

  it("condemns a command that is not in the image", function()
    local w = new()
    local first, second = w.push "1", w.push "2"
    assert.equal("deployed", w.deploy("1", first).status)
    w.stage.container.entrypoint = { "/no/such/command" }
    local outcome = w.deploy("2", second)
    assert.same({ "failed", "start", true }, { outcome.status, outcome.cause, outcome.verdict })
    assert_serves(w, "1", first)
  end)

  it("leaves a stranger's container that holds the name", function()
    local w = new()
    local first, second = w.push "1", w.push "2"
    assert.equal("deployed", w.deploy("1", first).status)
    local status, stranger = env.engine("POST", "/containers/create?name=" .. w.name "2", { Image = env.image })
    assert.equal(201, status)
    env.dispose("container", stranger.Id)
    local outcome = w.deploy("2", second)
    assert.same({ "failed", "create", false }, { outcome.status, outcome.cause, outcome.verdict })
    local left = w.containers()
    assert.equal(stranger.Id, left[w.name "2"].Id)
    assert.equal("running", left[w.name "1"].State.Status)
  end)

  it("finishes or removes what a killed one left, at each step", function()
    -- A deployer whose journal raises stands for one that is killed there.
    local w = new()
    local first, second = w.push "1", w.push "2"
    for _, case in ipairs {
      { "after", "create", first }, { "after", "start", first }, { "after", "wait_healthy", first },
      { "after", "switch", second }, { "after", "stop", second }, { "after", "remove", second },
    } do
      local status = w.deploy("1", first).status
      assert.is_true(status == "deployed" or status == "unchanged", status)
      local dying = deployer.new {
        client = w.client, docker = docker, loop = loop, log = quiet,
        journal = function(record)
          if record.phase == case[1] and record.step == case[2] then error("killed", 0) end
          return true
        end,
      }
      local survived, why = pcall(loop.run, function()
        dying:deploy(w.stage, {
          project = w.project, stage = "s", image = w.image, tag = "2", digest = second, seen_at = 0, reason = "",
        })
      end)
      assert.is_false(survived)
      assert.matches("killed", tostring(why))
      w.make()
      loop.run(function() assert(w.deployer:reconcile(w.stage)) end)
      assert_serves(w, case[3] == first and "1" or "2", case[3])
    end
  end)

  it("keeps old ones, stopped, as many as the policy says", function()
    local w = new()
    w.stage.policy.options.keep = 1
    for _, tag in ipairs { "1", "2", "3" } do assert.equal("deployed", w.deploy(tag, w.push(tag)).status) end
    local left = w.containers()
    assert.equal("exited", left[w.name "2"].State.Status)
    assert.equal("running", left[w.name "3"].State.Status)
    assert.is_nil(left[w.name "1"])
  end)

  it("undoes a deploy that is stopped while the candidate is proven", function()
    local w = new()
    local first, second = w.push "1", w.push("2", "--expose 80 --health 'exit 1' --health-interval 60")
    assert.equal("deployed", w.deploy("1", first).status)
    w.ctx = docker.context {}
    w.make()
    local outcome = loop.run(function()
      local task = loop.spawn(function()
        return w.deployer:deploy(w.stage, {
          project = w.project, stage = "s", image = w.image, tag = "2", digest = second, seen_at = 0, reason = "",
        })
      end)
      repeat
        local list = assert(w.client:list_containers { project = w.project, managed = true })
      until #list == 2 or not loop.sleep(0.05)
      w.ctx:cancel "stop"
      return task:join()
    end)
    assert.same({ "failed", "cancelled" }, { outcome.status, outcome.error.kind })
    assert.is_falsy(outcome.verdict)
    assert_serves(w, "1", first)
  end)
end)
