-- What the README shows is so: its examples run, its table names operations that there are.
local env = require "spec.support.env"

local readme = env.read_file("README.md")

-- The README's code blocks in that language, in order.
local function blocks(language)
  local list = {}
  for code in readme:gmatch("```" .. language .. "\n(.-)```") do list[#list + 1] = code end
  return list
end

describe("the README", function()
  after_each(env.cleanup)

  it("shows a configuration that docker-watcher check takes", function()
    local config
    for _, code in ipairs(blocks("lua")) do
      if code:find("^%-%- shop.lua") then config = code end
    end
    local file = env.tmpdir() .. "/shop.lua"
    env.write_file(file, config)
    local out = env.run("DOCKER_WATCHER_SECRET_REGISTRY=x " .. env.lua .. " lua/docker_watcher/main.lua check "
      .. env.quote(file))
    assert.matches("2 stages", out)
    assert.matches("shop%s+production", out)
  end)

  it("shows a build and copies that do as it says", function()
    local code
    for _, block in ipairs(blocks("lua")) do
      if block:find("client:build_image", 1, true) then code = block end
    end
    env.dispose_builds()
    local tag, dir = env.dispose("image", env.name("readme")), env.tmpdir()
    env.run("mkdir " .. dir .. "/app")
    env.write_file(dir .. "/app/Dockerfile", "FROM scratch\nARG VERSION\nCMD [\"/none\"]\nCOPY . /etc\n")
    code = code:gsub("acme/app:1.4", tag) .. "assert(client:remove_container(container.id))\n"
    env.write_file(dir .. "/build.lua",
      'local client <close> = assert(require("docker_watcher.docker").connect {})\n' .. code)
    local here = env.run "pwd"
    local lua = env.lua:gsub("([';])(%./)", "%1" .. here .. "/"):gsub("([';])lua/", "%1" .. here .. "/lua/")
      :gsub("'" .. env.build, "'" .. here .. "/" .. env.build)
    env.run(("cd %s && %s build.lua"):format(dir, lua))
    assert.equal("debug = true\n", env.read_file(dir .. "/app.toml"))
  end)

  it("shows tasks that do as it says", function()
    local tasks
    for _, code in ipairs(blocks("lua")) do
      if code:find("loop.spawn", 1, true) then tasks = code end
    end
    local name = env.dispose("container", env.name("readme"))
    assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, { Image = env.image })))
    local file = env.tmpdir() .. "/tasks.lua"
    env.write_file(file, 'local client <close> = assert(require("docker_watcher.docker").connect {})\n' .. tasks)
    assert.matches(name:gsub("%-", "%%-") .. "\tcreated", env.run(env.lua .. " " .. env.quote(file)))
  end)

  it("shows an exec and events that do as it says", function()
    local code
    for _, block in ipairs(blocks("lua")) do
      if block:find("client:events", 1, true) then code = block end
    end
    local name = env.dispose("container", env.name("readme"))
    local command = { "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done" }
    assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, { Image = env.image, Cmd = command })))
    assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start")))
    local file = env.tmpdir() .. "/exec.lua"
    env.write_file(file, ([[
      local client <close> = assert(require("docker_watcher.docker").connect {})
      local loop = require "docker_watcher.loop"
      local ran
      local function print(...) ran = true io.write(table.concat({ ... }, "\t"), "\n") end
      local function readme() %s end
      loop.run(function()
        local seen
        loop.spawn(function() -- once the exec has ended, until the stream of events has seen one
          repeat loop.sleep(0.01) until ran
          repeat client:restart_container("%s", { stop_timeout = 0 }) until seen
        end)
        readme()
        seen = true
      end)]]):format((code:gsub('"web"', '"' .. name .. '"')), name))
    local out = env.run(env.lua .. " " .. env.quote(file))
    assert.matches("^0\t5\n\t\n", out)
    assert.truthy(out:find("die\t" .. name, 1, true), out)
  end)

  it("shows how examples/luv.lua and a cqueues program host us", function()
    local luv, cqueues
    for _, code in ipairs(blocks("lua")) do
      if code:find("uv.new_poll", 1, true) then luv = code end
      if code:find("cqueues.poll", 1, true) then cqueues = code end
    end
    assert.truthy(env.read_file("examples/luv.lua"):find(luv, 1, true))
    local file = env.tmpdir() .. "/hosted.lua"
    env.write_file(file, [[
      local cqueues, loop = require "cqueues", require "docker_watcher.loop"
      local queue = cqueues.new()
      loop.spawn(function() print(loop.sleep(0.01)) end)
    ]] .. cqueues .. " assert(queue:loop())")
    assert.equal("true", env.run(env.lua .. " " .. env.quote(file)))
  end)

  it("shows examples/client.lua as it is", function()
    assert.truthy(readme:find((env.read_file("examples/client.lua"):gsub("^.-\n\n", "")), 1, true))
  end)

  it("names methods that the client, or a process in a container, has", function()
    local client <close> = assert(require("docker_watcher.docker").connect { host = "unix:///nowhere.sock" })
    local process = require("docker_watcher.docker.exec").methods
    local named = 0
    for method in readme:gmatch("`([a-z]+_[a-z]+)`") do
      if not method:find("^docker_") then
        assert.equal("function", type(client[method] or process[method]), method)
        named = named + 1
      end
    end
    assert.is_true(named > 10)
  end)
end)

describe("examples/shop.lua #once", function()
  it("is good", function()
    env.run("DOCKER_WATCHER_SECRET_REGISTRY=x " .. env.lua .. " lua/docker_watcher/main.lua check examples/shop.lua")
  end)
end)

describe("examples/demo", function()
  after_each(env.cleanup)

  it("does what it says, and leaves nothing behind", function()
    local out = env.run("examples/demo")
    assert.matches("In service: dw%-demo%d+%-production%-1.0.0, on host port %d+. It answers: 1.0.0\n", out)
    assert.matches("In service: dw%-demo%d+%-production%-1.1.0, on host port %d+. It answers: 1.1.0\n", out)
    assert.matches("1.2.0 was tried, found unhealthy, and removed", out)
    local project = out:match("dw%-(demo%d+)%-production")
    local status, containers = env.engine("GET", '/containers/json?all=1&filters={"label":["docker-watcher.project='
      .. project .. '"]}')
    assert.same({ 200, 0 }, { status, #containers })
    local _, networks = env.engine("GET", '/networks?filters={"label":["docker-watcher.project=' .. project .. '"]}')
    assert.equal(0, #networks)
    assert.equal("", env.sh("pgrep -f 'main[.]lua run .*shop[.]lua'").out)
  end)
end)
