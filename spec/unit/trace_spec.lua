-- src/trace.c: docker.connect{ trace = function(event) }: each request, once it has ended; no secrets.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

local function start(scenario, options)
  scenario.api_version = scenario.api_version or "1.41"
  local server = scripted.start(scenario)
  env.defer(function() server:stop() end)
  local events = {}
  options = options or {}
  options.host, options.timeout = server.host, options.timeout or 20
  options.trace = options.trace or function(event) events[#events + 1] = event end
  local client = assert(docker.connect(options))
  env.defer(function() client:close() end)
  return client, events, server
end

-- What is the same each time.
local function brief(events)
  local list = {}
  for i, e in ipairs(events) do
    list[i] = ("%s %s %s %d/%d retry=%d op=%s%s"):format(e.method, e.path, e.status or "-", e.sent, e.bytes, e.retry,
      e.op, e.error and " error=" .. e.error or "")
  end
  return list
end

describe("trace", function()
  after_each(env.cleanup)

  it("sees each request with method, path, status, seconds, bytes", function()
    local client, events = start { routes = {
      { path = "/v1.41/info", reply = { json = { ID = "x" } } },
      { method = "POST", path = "/v1.41/containers/create", reply = { status = 201, json = { Id = "c" } } },
      { method = "PUT", path = "/v1.41/containers/c/archive", reply = { delay = 0.05 } },
    } }
    assert(client:info())
    assert(client:call("ContainerCreate", { name = "web", body = { Image = "x" } }))
    local pieces = { "abc", "defg" }
    assert(client:call("PutContainerArchive", { id = "c", path = "/a b", body = function()
      return table.remove(pieces, 1)
    end }))
    assert.same({
      "HEAD /_ping 200 0/0 retry=0 op=info",
      "GET /v1.41/info 200 0/10 retry=0 op=info",
      "POST /v1.41/containers/create?name=web 201 13/10 retry=0 op=ContainerCreate",
      "HEAD /_ping 200 0/0 retry=0 op=PutContainerArchive",
      "PUT /v1.41/containers/c/archive?path=/a%20b 200 7/0 retry=0 op=PutContainerArchive",
    }, brief(events))
    for _, event in ipairs(events) do
      assert.equal("float", math.type(event.seconds))
      assert.is_true(event.seconds > 0)
      for key in pairs(event) do
        assert.is_truthy(("method path status seconds bytes sent retry op error"):find(key, 1, true), key)
      end
    end
    assert.is_true(events[5].seconds >= 0.05)
  end)

  it("sees what fails, with the error's kind", function()
    local client, events = start({ routes = {
      { path = "/v1.41/info", reply = { body = "no json" } },
      { path = "/v1.41/version", reply = { wait = 1, raw = { { wait = true } } } },
      { path = "/v1.41/containers/json", reply = { cut = 60, json = { {}, {} } } },
    } }, { api_version = "1.41" })
    client:info()
    client:call("ContainerInspect", { id = "nobody" })
    client:version { timeout = 0.1 }
    client:call "ContainerList"
    client:call("PutContainerArchive", { id = "c", path = "/", body = function() return nil, "broken" end })
    pcall(client.call, client, "PutContainerArchive", { id = "c", path = "/", body = function() error "raised" end })
    local list = brief(events)
    assert.same({ "GET /v1.41/info 200 0/7 retry=0 op=info error=protocol",
      "GET /v1.41/containers/nobody/json 404 0/" .. events[2].bytes .. " retry=0 op=ContainerInspect error=not_found",
      "GET /v1.41/version - 0/0 retry=0 op=version error=timeout" }, table.move(list, 1, 3, 1, {}))
    assert.matches("op=ContainerList error=interrupted$", list[4])
    assert.matches("op=PutContainerArchive error=stream$", list[5])
    assert.matches("op=PutContainerArchive error=cancelled$", list[6])
    assert.equal(6, #list)
    local lost, seen = start { connections = {} }
    lost:close()
    assert.same({}, seen)
    local nobody = {}
    local other <close> = assert(docker.connect { host = "unix:///nowhere/s",
      trace = function(e) nobody[#nobody + 1] = e end })
    other:ping()
    assert.same({ "HEAD /_ping - 0/0 retry=0 op=ping error=unreachable" }, brief(nobody))
  end)

  it("sees a stream when it ends, fails, is closed or dropped, once", function()
    local client, events = start({ routes = {
      { path = "/v1.41/events", replies = { { body = '{"a":1}' }, { body = '{"a":' },
        { framing = "chunked", body = { '{"a":1}', { wait = true } } } } },
    } }, { api_version = "1.41" })
    local stream = assert(client:call "SystemEvents")
    assert.same({}, events)
    while stream:read() do assert.same({}, events) end
    assert.same({ "GET /v1.41/events 200 0/7 retry=0 op=SystemEvents" }, brief(events))
    stream:read()
    stream:close()
    assert.equal(1, #events)
    stream = assert(client:call "SystemEvents")
    assert.is_nil((stream:read()))
    stream:close()
    assert.same({ "GET /v1.41/events 200 0/5 retry=0 op=SystemEvents error=interrupted" }, { brief(events)[2], nil })
    stream = assert(client:call "SystemEvents")
    assert(stream:read())
    stream:close()
    assert.same({ 3, "GET /v1.41/events 200 0/7 retry=0 op=SystemEvents" }, { #events, brief(events)[3] })
    stream = assert(client:call "SystemEvents")
    assert.is_userdata(stream)
    stream = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(4, #events)
  end)

  it("sees the requests of one operation each, and what was sent again", function()
    local client, events, server = start { api_version = "1.44", routes = {
      { path = "/v1.44/info", times = 1, reply = { json = {} } },
      { path = "/v1.44/info", reply = { status = 400, headers = { ["Api-Version"] = "1.43" },
        json = { message = "client version 1.44 is too new. Maximum supported API version is 1.43" } } },
      { path = "/v1.43/info", times = 1, reply = { json = {} } },
      { path = "/v1.43/info", times = 1, reply = { raw = "", after = "close" } },
      { path = "/v1.43/info", reply = { json = {} } },
      { path = "/v1.43/containers/a/logs", reply = { body = "" } },
      { path = "/v1.43/containers/a/json", reply = { json = { Config = { Tty = false } } } },
    } }
    assert(client:info())
    assert(client:info())
    assert(client:info())
    for _ in assert(client:logs("a")) do error "nothing was sent" end
    local list = brief(events)
    for i, line in ipairs(list) do list[i] = line:gsub(" %d+/%d+", "") end
    assert.same({
      "HEAD /_ping 200 retry=0 op=info",
      "GET /v1.44/info 200 retry=0 op=info",
      "GET /v1.44/info 400 retry=0 op=info",
      "GET /v1.43/info 200 retry=1 op=info",
      "GET /v1.43/info 200 retry=1 op=info", -- its connection died
      "GET /v1.43/containers/a/logs?stdout=true&stderr=true 200 retry=0 op=logs",
      "GET /v1.43/containers/a/json 200 retry=0 op=logs",
      "GET /v1.43/containers/a/logs?stdout=true&stderr=true 200 retry=0 op=logs",
    }, list)
    assert.is_true(#server:requests() >= #list)
  end)

  it("shows no secrets", function()
    local client, events = start({ routes = {
      { path = "/v1.41/commit", reply = { status = 201, body = "{}" } },
      { prefix = "/v1", reply = { body = "{}" } },
    } }, { api_version = "1.41" })
    local auth = { auth = { username = "ann", password = "hidden-1" } }
    local function run(...)
      local stream = assert(client:call(...))
      if type(stream) == "userdata" then
        while stream:read() do assert.is_true(true) end
      end
    end
    run("ImageBuild", { remote = "https://ann:hidden-2@git.example/a/b.git#main:sub@dir", t = "a:1",
      buildargs = { TOKEN = "hidden-3" }, ["X-Registry-Config"] = { r = { username = "u", password = "hidden-4" } } })
    run("ImageCreate", { fromSrc = "http://hidden-5@host/x.tar", repo = "a", changes = { "ENV A=hidden-6" } })
    run("ImagePush", { name = "reg/a", tag = "1" }, auth)
    run("ImageCommit", { container = "c", changes = "ENV A=hidden-7", comment = "by a@b" })
    run("SwarmUpdate", { version = 3, rotateWorkerToken = true, body = {} })
    run("SystemAuth", { body = { username = "a", password = "hidden-8" } })
    assert.equal(6, #events)
    for _, event in ipairs(events) do
      for _, value in pairs(event) do assert.is_nil(tostring(value):find("hidden", 1, true), tostring(value)) end
    end
    local path = events[1].path
    assert.matches("remote=https://…@git.example/a/b.git", path, 1, true)
    assert.matches("[&?]buildargs=…", path)
    assert.matches("[&?]t=a:1", path)
    assert.matches("fromSrc=http://…@host/x.tar", events[2].path, 1, true)
    assert.matches("comment=by%20a%40b", events[4].path, 1, true)
  end)

  it("runs in tasks and in plain Lua; it cannot yield, and may use the client", function()
    local client, events
    local nested
    client, events = start({ routes = { { path = "/v1.41/info", reply = { json = { ID = "x" } } } } }, {
      api_version = "1.41", trace = function(event)
        events[#events + 1] = event
        if not nested then
          nested = true
          nested = client:info()
        end
      end })
    assert.equal("x", assert(client:info()).id)
    assert.equal("x", nested.id)
    assert.equal(2, #events)
    loop.run(function()
      nested = nil
      assert.equal("x", assert(client:info()).id)
    end)
    assert.equal(4, #events)
  end)

  it("may close the client: the result is there all the same", function()
    local client
    client = start({ routes = { { path = "/v1.41/info", reply = { json = { ID = "x" } } } } }, {
      api_version = "1.41", trace = function() client:close() end })
    assert.equal("x", assert(client:info()).id)
    assert.error_matches(function() client:info() end, "the client is closed")
  end)

  it("that raises loses no result: a warning is given", function()
    local _, _, server = start { routes = { { path = "/v1.41/info", reply = { json = { ID = "x" } } },
      { path = "/v1.41/events", reply = { body = '{"a":1}' } } } }
    local path = env.tmpdir() .. "/p.lua"
    env.write_file(path, ([[
      warn "@on"
      local docker = require "docker_watcher.docker"
      local count = 0
      local function trace() count = count + 1 error "oops" end
      local client = docker.connect { host = %q, api_version = "1.41", trace = trace }
      assert(client:info().id == "x")
      local loop = require "docker_watcher.loop"
      loop.run(function() assert(client:info().id == "x") end)
      for item in client:call "SystemEvents" do assert(item.a == 1) end
      assert(client:call("ContainerInspect", { id = "a" }) == nil)
      print("count", count)
    ]]):format(server.host))
    local result = env.sh(env.lua .. " " .. path)
    assert.equal("count\t4\n", result.out)
    local warnings = select(2, result.err:gsub("Lua warning: docker_watcher: trace: .-p.lua:4: oops\n", ""))
    assert.equal(4, warnings, result.err)
  end)
end)
