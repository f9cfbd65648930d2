-- Ending a call before its answer: contexts, timeouts, task:cancel, close, Ctrl-C, the collector, the end of the
-- state. Each ends the wait, frees its connection and leaves the client usable. Engine semantics 26; faults 5.

local child = require "spec.support.child"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"
local scripted = require "spec.support.scripted"

local LONG = 30  -- what a wait would take if nothing ended it
local SOON = 10  -- within which it has to end, on a machine that is busy

local function connect(host)
  local client = assert(docker.connect { host = host, timeout = LONG })
  env.defer(function() client:close() end)
  return client
end

-- An engine that answers pings and version, and nothing else, ever: not at all, or not to the end.
local function silent(where, more)
  local replies = {
    ["before the status line"] = { raw = { { wait = true } } },
    ["in the headers"] = { raw = { "HTTP/1.1 200 OK\r\nContent-Ty", { wait = true } } },
    ["in the body"] = { length = 9, body = { "[1,", { wait = true } } },
    ["in a chunk"] = { framing = "chunked", body = { "[1,", { wait = true } } },
  }
  local scenario = { routes = {
    { path = "/v1.41/version", reply = { json = { Version = "1" } } },
    { prefix = "/v1.41/", reply = replies[where] },
  } }
  for k, v in pairs(more or {}) do scenario[k] = v end
  local server = scripted.start(scenario)
  env.defer(function() server:stop() end)
  return server
end

local function soon(fn, ...)
  local start = loop.now()
  local results = table.pack(fn(...))
  assert.is_true(loop.now() - start < SOON)
  return table.unpack(results, 1, results.n)
end

local function reached(server, count)
  while #server:requests() < count do loop.sleep(0.002) end
end

after_each(env.cleanup)

for _, where in ipairs { "before the status line", "in the headers", "in the body", "in a chunk" } do
  describe("a call that waits " .. where, function()
    -- Starts a call in a task, and ends it by stop(task, ctx) when the engine has got it.
    local function ended(stop, unix)
      local server = silent(where, { unix = unix })
      local client = connect(server.host)
      local value, err = soon(loop.run, function()
        local ctx = docker.context()
        local task = loop.spawn(function() return client:call("ContainerList", {}, { ctx = ctx }) end)
        reached(server, 2)
        stop(task, ctx, client)
        return task:join()
      end)
      assert.is_nil(value)
      return err, client, server
    end
    local function usable(client, server)
      server:wait_closed(1)
      assert.equal(0, client:connections())
      assert.equal("1", assert(client:version()).version)
      assert.equal(1, client:connections())
    end

    it("ends by ctx:cancel from another task", function()
      for _, unix in ipairs { true, false } do
        local err, client, server = ended(function(_, ctx) ctx:cancel("enough") end, unix)
        assert.equal("cancelled", err.kind)
        assert.equal("ContainerList: cancelled: enough", err.message)
        usable(client, server)
      end
    end)

    it("ends by task:cancel", function()
      local err, client, server = ended(function(task) task:cancel() end)
      assert.equal("cancelled", err.kind)
      usable(client, server)
    end)

    it("ends by client:close, and the client is closed", function()
      local err, client, server = ended(function(_, _, client) client:close() end)
      assert.equal("cancelled", err.kind)
      assert.matches("the client was closed", err.message)
      server:wait_closed(1)
      assert.equal(0, client:connections())
      assert.equal("docker client (closed)", tostring(client))
    end)

    it("ends by its timeout, by the context's, by the client's", function()
      local server = silent(where)
      local client = connect(server.host)
      for i, options in ipairs {
        function() return { timeout = 0.05 } end,
        function() return { ctx = docker.context { timeout = 0.05 } } end,
      } do
        local value, err = soon(client.call, client, "ContainerList", {}, options())
        assert.is_nil(value)
        assert.equal("timeout", err.kind)
        server:wait_closed(i)
      end
      assert.equal("1", assert(client:version()).version)
      local short <close> = assert(docker.connect { host = server.host, timeout = 0.05 })
      assert.equal("timeout", select(2, soon(short.call, short, "ContainerList")).kind)
    end)

    it("does not end because another one does", function()
      local server = silent(where)
      local client = connect(server.host)
      loop.run(function()
        local ctx = docker.context()
        local a = loop.spawn(function() return client:call("ContainerList", {}, { ctx = ctx }) end)
        local b = loop.spawn(function() return client:call("ContainerList") end)
        reached(server, 3)
        ctx:cancel()
        assert.equal("cancelled", select(2, a:join()).kind)
        assert.equal("task (sleeping)", tostring(b))
        assert.equal("1", assert(client:version()).version)
        assert.equal(2, client:connections()) -- b's, and version's
        b:cancel()
        assert.equal("cancelled", select(2, b:join()).kind)
        assert.equal(1, client:connections())
      end)
    end)
  end)
end

describe("a cancel", function()
  it("that comes during the negotiation ends it, and the next call negotiates", function()
    local server = scripted.start { api_version = false, routes = {
      { path = "/_ping", times = 1, reply = { raw = { { wait = true } } } },
      { path = "/_ping", reply = { headers = { ["Api-Version"] = "1.41" } } },
      { path = "/v1.41/version", reply = { json = { Version = "1" } } },
    } }
    env.defer(function() server:stop() end)
    local client = connect(server.host)
    loop.run(function()
      local task = loop.spawn(function() return client:version() end)
      reached(server, 1)
      task:cancel()
      assert.equal("cancelled", select(2, task:join()).kind)
      assert.equal("1", assert(client:version()).version)
    end)
  end)

  it("that was before the call sends nothing", function()
    local server = silent "in the body"
    local client = connect(server.host)
    local ctx = docker.context()
    ctx:cancel("early")
    local value, err = client:version { ctx = ctx }
    assert.is_nil(value)
    assert.equal("version: cancelled: early", err.message)
    assert.equal("timeout", select(2, client:version { timeout = 0 }).kind)
    assert.equal(0, #server:requests())
    assert.equal(0, client:connections())
  end)

  it("of a task is told once, by the call or by the wait behind it", function()
    local server = silent "in the body"
    local client = connect(server.host)
    assert(client:version())
    loop.run(function()
      for _ = 1, 20 do
        local task = loop.spawn(function()
          local first, first_err = client:version()
          local second, second_err = loop.sleep(first and LONG or 0)
          local third = loop.sleep(0)
          return first and "answer" or first_err.kind, second or second_err.kind, third
        end)
        loop.spawn(function() loop.sleep(0.001); task:cancel() end)
        coroutine.yield()
        local till = loop.now() + 0.003 -- both the answer and the timer are there when the loop looks
        while loop.now() < till do till = till + 0 end
        local first, second, third = task:join()
        assert.is_true(first == "cancelled" and second == true or first == "answer" and second == "cancelled",
          ("%s, then %s"):format(first, second))
        assert.is_true(third)
      end
    end)
  end)

  it("of many calls at once ends them all", function()
    local server = silent "before the status line"
    local client = connect(server.host)
    assert(client:ping()) -- else several of the tasks ask for the version
    loop.run(function()
      local ctx, tasks = docker.context(), {}
      for i = 1, 60 do
        tasks[i] = loop.spawn(function() return client:call("ContainerList", {}, { ctx = ctx }) end)
      end
      reached(server, 61)
      assert.equal(60, client:connections())
      ctx:cancel()
      for i = 1, 60 do assert.equal("cancelled", select(2, tasks[i]:join()).kind) end
      assert.equal(0, client:connections())
    end)
    assert(client:version())
  end)

  it("ends a call to a real engine, whose container goes on (semantics 26)", function()
    local name = env.dispose("container", env.name("cancel"))
    assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, { Image = env.image })))
    assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start")))
    local client = connect(env.docker_host)
    assert(client:ping())
    loop.run(function()
      local task = loop.spawn(function() return client:call("ContainerWait", { id = name }) end)
      for _ = 1, 3 do assert(client:ping()) end
      task:cancel()
      assert.equal("cancelled", select(2, task:join()).kind)
    end)
    local value, err = client:call("ContainerWait", { id = name }, { timeout = 0.05 })
    assert.is_nil(value)
    assert.equal("timeout", err.kind)
    assert.is_true(client:call("ContainerInspect", { id = name }).State.Running)
  end)
end)

describe("close", function()
  it("may come in any order and number, with __close and the collector", function()
    local server = silent "in the body"
    do
      local client <close> = assert(docker.connect { host = server.host })
      assert(client:version())
      client:close()
      assert.equal(0, client:connections())
      local ok, err = pcall(function() client:version() end)
      assert.is_false(ok)
      assert.matches("^spec/engine/cancel_spec.lua:%d+: the client is closed", err)
      client:close()
    end
    local client = assert(docker.connect { host = server.host })
    assert(client:version())
    client = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    server:wait_closed(2)
    docker.connect { host = server.host }:close() -- never used
  end)

  it("inside a task that has calls under way in others ends those, and only those", function()
    local server = silent "before the status line"
    local a, b = connect(server.host), connect(server.host)
    loop.run(function()
      local tasks = {}
      for i = 1, 4 do
        tasks[i] = loop.spawn(function() return (i % 2 == 0 and a or b):call("ContainerList", {}, { timeout = 1 }) end)
      end
      reached(server, 6)
      a:close()
      for i = 1, 4 do
        assert.equal(i % 2 == 0 and "cancelled" or "timeout", select(2, tasks[i]:join()).kind)
      end
    end)
    assert(b:version())
  end)

  it("of a client that only a call holds waits for the call", function()
    local server = silent "in the body"
    local result = loop.run(function()
      local task = loop.spawn(function()
        return assert(docker.connect { host = server.host }):version()
      end)
      for _ = 1, 5 do collectgarbage(); loop.sleep(0.001) end
      return task:join()
    end)
    assert.equal("1", result.version)
  end)
end)

describe("the end of the Lua state", function()
  local sources = {
    ["calls under way"] = [[
      for _ = 1, 5 do loop.spawn(function() client:call("ContainerList") end) end -- some still negotiate
      steps(8) ]],
    ["calls under way, a client closed under them"] = [[
      for _ = 1, 5 do loop.spawn(function() client:call("ContainerList") end) end
      steps(7)
      client:close() ]],
    ["calls under way, and the collector"] = [[
      loop.spawn(function() client:call("ContainerList", {}, { ctx = docker.context { timeout = 60 } }) end)
      steps(2)
      client = nil
      collectgarbage() ]],
    ["os.exit inside a task"] = [[
      loop.run(function()
        loop.spawn(function() client:call("ContainerList") end)
        client:version()
        os.exit(0, true)
      end) ]],
    ["an error out of run"] = [[
      pcall(loop.run, function()
        loop.spawn(function() client:call("ContainerList") end)
        client:version()
        error("x")
      end) ]],
    ["a coroutine that waits and was dropped"] = [[
      loop.spawn(function() coroutine.wrap(function() coroutine.yield(client) end)(); client:call("ContainerList") end)
      steps(2) ]],
    ["finalisers that use what is finalised already"] = [[
      late = setmetatable({}, { __gc = function(self)
        pcall(client.version, client)
        pcall(self.other.version, self.other)
        pcall(client.close, client)
        tostring(client)
        client:connections()
        pcall(docker.context)
      end })
      late.other = docker.connect { host = host }
      late.other:version()
      loop.spawn(function() late.other:call("ContainerList") end)
      steps(3) ]],
  }
  local prelude = [[
    host = ...
    -- Finalised behind the loop:
    late = setmetatable({}, { __gc = function() pcall(function() client:version() end) end })
    client = docker.connect { host = host }
    function steps(requests)
      local log = host:match("unix://(.*)/s$") .. "/log"
      while true do
        loop.step()
        local seen = 0
        for line in io.lines(log) do if line:find('"method"', 1, true) then seen = seen + 1 end end
        if seen >= requests then return end
        loop.sleep(0.001)
      end
    end
  ]]
  for name, source in pairs(sources) do
    it("takes them along: " .. name, function()
      local server = silent "in the body"
      assert.equal("", child.check(prelude .. source, server.host))
    end)
  end

  it("is quick, also where the engine never answers", function()
    local server = silent "before the status line"
    soon(child.check, prelude .. sources["calls under way"], server.host)
  end)
end)

describe("SIGINT in lua5.4", function()
  -- Only one for each process: lua5.4 leaves the second one to the system.
  it("ends a blocking call with \"interrupted!\", and the client works afterwards", function()
    for where, calls in pairs { ["in the body"] = 3, ["before the status line"] = 3 } do
      local server = silent(where)
      local p <close> = child.start([[
        local client = docker.connect { host = ..., timeout = 60 }
        assert(client:version())
        print(pcall(function() print(client:call("ContainerList")) end))
        print(client:connections())
        print(client:version().version)
      ]], server.host)
      env.wait(SOON, "the call", function() return #server:requests() >= calls end)
      p:waits()
      p:kill("INT")
      local out = p:rest()
      assert.matches("^false\t[^\n]*interrupted!\n0\n1\n$", out)
    end
  end)

  it("ends loop.run with all its calls, which may clean up, and the client works afterwards", function()
    local server = silent "in the body"
    local p <close> = child.start([[
      local client = docker.connect { host = ..., timeout = 60 }
      assert(client:version())
      print(pcall(function()
        loop.run(function()
          loop.spawn(function() print(select(2, client:call("ContainerList")).kind) end)
          print(select(2, client:call("ContainerList")).kind)
          print(client:version().version)
        end)
      end))
      print(client:version().version)
    ]], server.host)
    env.wait(SOON, "the calls", function() return #server:requests() >= 4 end)
    p:waits()
    p:kill("INT")
    local out = p:rest()
    assert.matches("^cancelled\ncancelled\n1\nfalse\t[^\n]*interrupted!\n1\n$", out)
  end)

  it("that nobody catches ends the program, without leaks or noise", function()
    local server = silent "in the body"
    local p <close> = child.start([[
      local client <close> = docker.connect { host = ... }
      client:call("ContainerList")
      print "not reached"
    ]], server.host)
    env.wait(SOON, "the call", function() return #server:requests() >= 2 end)
    p:waits()
    p:kill("INT")
    local out = p:rest()
    assert.matches("^lua5.4: [^\n]*interrupted!\nstack traceback:", out)
    assert.is_nil(out:find("not reached", 1, true))
    assert.same({ nil, "exit", 1, n = 3 }, p.ended)
  end)
end)
