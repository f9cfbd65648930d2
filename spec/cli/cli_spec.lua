-- The command, as a process: on a real Engine and a real registry, with real signals.

local cjson = require "cjson"
local env = require "spec.support.env"

local HEALTHY = "--expose 80 --health 'wget -q -O- 127.0.0.1/' --health-interval 1"
local command = env.lua .. " lua/docker_watcher/main.lua"

local folder, project, image, digests

local function configure(text)
  env.write_file(folder .. "/shop.lua", text or ([[return {
  poll = { every = "1s" },
  projects = { ["%s"] = { image = "%s", ports = "exposed", stop_timeout = 1, stages = {
    staging = { tags = tags.semver {}, policy = policies.blue_green { healthy_within = "30s", healthy_for = "500ms" } },
  } } },
}]]):format(project, image))
  return env.quote(folder .. "/shop.lua")
end

local function push(tag, options)
  local digest = env.tinyimage(image .. ":" .. tag, options or HEALTHY)
  digests[#digests + 1] = digest
  return digest
end

--- Starts `run` in the background; answers its process id. cleanup kills it.
local function start(extra, variables)
  local file = configure()
  local pid = env.run(("exec 3>&1; { %s %s run %s %s >%s/out 2>%s/err </dev/null 3>&- & echo $!; } "):format(
    variables or "", command, file, extra or "", folder, folder))
  env.defer(function() env.sh("kill -9 " .. pid) end)
  return pid
end

local function logged(text)
  if not env.sh("test -e " .. env.quote(folder .. "/out")).ok then return false end -- not yet
  return env.read_file(folder .. "/out"):find(text, 1, true) ~= nil
end

local function wait_for(text)
  local ok, err = pcall(env.wait, 40, text, function() return logged(text) end)
  if not ok then error(err .. "\n" .. env.read_file(folder .. "/out") .. env.read_file(folder .. "/err"), 2) end
end

local function wait_for_end(pid)
  env.wait(20, "the end of the process", function() return not env.sh("kill -0 " .. pid).ok end)
end

local function running()
  local list = cjson.decode(env.run(command .. " status --json " .. configure())).stages
  local names = {}
  for _, stage in ipairs(list) do
    if stage.project == project then
      for _, instance in ipairs(stage.instances) do names[#names + 1] = instance.name .. " " .. instance.state end
    end
  end
  table.sort(names)
  return names
end

describe("docker-watcher", function()
  before_each(function()
    folder, project, digests = env.tmpdir(), env.name "p", {}
    image = env.registry .. "/" .. project .. "/web"
    env.dispose("network", "dw-" .. project)
    env.defer(function()
      local _, list = env.engine("GET", "/containers/json?all=1")
      for _, container in ipairs(list) do
        if container.Labels["docker-watcher.project"] == project then
          env.engine("DELETE", "/containers/" .. container.Id .. "?force=1&v=1")
        end
      end
      for _, digest in ipairs(digests) do env.engine("DELETE", "/images/" .. image .. "@" .. digest .. "?force=1") end
    end)
  end)
  after_each(env.cleanup)

  it("deploys what is pushed, keeps the old one where the new one is bad, and stops on SIGTERM with 0", function()
    push "1.0.0"
    local pid = start "--log text"
    wait_for "deployed"
    assert.same({ "dw-" .. project .. "-staging-1.0.0 running" }, running())
    push "1.1.0"
    wait_for("container=dw-" .. project .. "-staging-1.1.0")
    assert.same({ "dw-" .. project .. "-staging-1.1.0 running" }, running())
    push("1.2.0", "--expose 80 --health 'echo not well; exit 1' --health-interval 1")
    wait_for "this digest is not tried again"
    assert.is_true(logged "not well")
    assert.same({ "dw-" .. project .. "-staging-1.1.0 running" }, running())
    env.run("kill -TERM " .. pid)
    wait_for_end(pid)
    assert.is_true(logged "stopped")
    assert.equal("", env.read_file(folder .. "/err"))
    assert.same({ "dw-" .. project .. "-staging-1.1.0 running" }, running())
  end)

  it("logs in as the docker command would, to the registry and for the pull, also when that comes late", function()
    local own = env.start_registry "--auth htpasswd"
    image = own.host .. "/" .. project .. "/web"
    push("1.0.0", HEALTHY .. " --user " .. own.login)
    local pid = start("--log text", "DOCKER_CONFIG=" .. env.quote(folder))
    wait_for(("there are none for %s in %s/config.json"):format(own.host, folder))
    env.write_file(folder .. "/new.json", cjson.encode {
      auths = { [own.host] = { auth = env.run("base64 -w 0", own.login) } },
    })
    env.run(("mv %s/new.json %s/config.json"):format(folder, folder))
    wait_for "deployed"
    assert.same({ "dw-" .. project .. "-staging-1.0.0 running" }, running())
    env.run("kill -TERM " .. pid)
    wait_for_end(pid)
    assert.is_nil(env.read_file(folder .. "/out"):find("secret", 1, true))
  end)

  it("ends with 0 on SIGINT and SIGTERM, and logs JSON lines where there is no terminal", function()
    for _, signal in ipairs { "INT", "TERM" } do
      -- A shell starts background jobs with SIGINT ignored: the command takes it all the same.
      local script = ([[%s run "$0" >"$1/out" & p=$!
        while kill -0 $p && ! grep -qs watching "$1/out"; do sleep 0.02; done
        kill -%s $p; wait $p]]):format(command, signal)
      local r = env.sh(("exec sh -c %s %s %s"):format(env.quote(script), configure(), env.quote(folder)))
      assert.same({ 0, "" }, { r.status, r.err }, signal)
      for line in io.lines(folder .. "/out") do assert.is_string(cjson.decode(line).message) end
      assert.is_true(logged '"message":"stopped"')
    end
  end)

  it("undoes a deploy under way when told to stop", function()
    push("1.0.0", "--expose 80 --health 'exit 1' --health-interval 60")
    local pid = start()
    wait_for "step wait_healthy"
    env.run("kill -TERM " .. pid)
    wait_for_end(pid)
    assert.is_true(logged "deploy undone")
    assert.same({}, running())
  end)

  it("puts in order what was left when it was killed", function()
    push "1.0.0"
    local pid = start()
    wait_for '"message":"deployed"'
    push("1.1.0", "--expose 80 --health 'exit 1' --health-interval 60")
    wait_for '"tag":"1.1.0"'
    env.wait(20, "the candidate", function() return #running() == 2 end)
    env.run("kill -KILL " .. pid)
    wait_for_end(pid)
    assert.equal(2, #running())
    push "1.1.0"
    pid = start()
    wait_for '"message":"deployed"'
    assert.same({ "dw-" .. project .. "-staging-1.1.0 running" }, running())
    env.run("kill -TERM " .. pid)
    wait_for_end(pid)
  end)

  it("ends with 78 for a bad configuration, and says file and line", function()
    local file = configure [[return {
      projects = { p = { image = 'x:1', stages = { s = { tags = tags.semver {} } } } } }]]
    for _, word in ipairs { "run", "check", "status" } do
      local r = env.sh(("%s %s %s"):format(command, word, file))
      assert.same({ 78, "" }, { r.status, r.out })
      assert.matches("shop%.lua:2: projects%.p%.image: 'x:1' has a tag: leave it out", r.err)
    end
  end)

  it("ends with 2 for wrong usage, 1 where the engine is away, 0 for help", function()
    assert.equal(2, env.sh(command).status)
    assert.equal(2, env.sh(command .. " rnu").status)
    local r = env.sh(command .. " status --engine unix:///nonexistent.sock")
    assert.equal(1, r.status)
    assert.matches("docker%-watcher: .*unix:///nonexistent%.sock", r.err)
    assert.is_nil(r.err:find "traceback")
    r = env.sh(command .. " --help")
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("docker%-watcher run shop%.lua", r.out)
  end)

  it("has a good example", function()
    local r = env.sh(command .. " check examples/shop.lua")
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("is good: 2 stages", r.out)
  end)

  it("runs from the checkout by bin/docker-watcher", function()
    local root = env.run "pwd"
    local r = env.sh(("cd / && DW_BUILD=%s %s/bin/docker-watcher --help"):format(env.quote(env.build), env.quote(root)))
    assert.same({ 0, "" }, { r.status, r.err })
  end)
end)
