-- wait_container and wait_healthy on a real Engine; slow and broken answers come from a scripted one.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local given = require "spec.support.given"
local scripted = require "spec.support.scripted"

local fails, frame = given.failure, given.frame

-- It ignores SIGTERM: process 1 has no default handlers.
local STUBBORN <const> = { "sleep", "3600" }

--- A container's inspection, as far as wait_healthy looks at it.
local function inspection(state, restarts)
  return { json = { Id = "a", RestartCount = restarts or 0, State = state, Config = { Tty = false } } }
end

describe("waiting:", function()
  local client

  before_each(function() client = given.client() end)
  after_each(env.cleanup)

  local function create(options) return given.container(client, options) end
  local function start(options) return given.running(client, options) end

  local function has(text, err)
    assert.truthy(err.message:find(text, 1, true), err.message)
  end

  describe("wait_container", function()
    it("answers the exit code", function()
      assert.same({ exit_code = 3 }, client:wait_container(start { cmd = { "sh", "-c", "exit 3" } }.id))
    end)

    it("next-exit that begins before the start sees even the shortest run (semantics 24)", function()
      local c = create { cmd = { "sh", "-c", "exit 7" } }
      local result
      loop.run(function()
        local waiting = loop.spawn(function() return client:wait_container(c.id, { condition = "next-exit" }) end)
        assert(loop.sleep(0.05)) -- it is under way, or the start would be first and this would wait for ever
        assert(client:start_container(c.id))
        result = assert(waiting:join())
      end)
      assert.same({ exit_code = 7 }, result)
    end)

    it("a plain wait on what was never started returns at once (semantics 24)", function()
      assert.same({ exit_code = 0 }, client:wait_container(create().id))
    end)

    it("removed: returns when it is gone", function()
      local c = start()
      loop.run(function()
        local waiting = loop.spawn(function() return client:wait_container(c.id, { condition = "removed" }) end)
        assert(loop.sleep(0.05))
        assert(client:remove_container(c.id, { force = true }))
        assert(waiting:join())
      end)
      assert.equal(404, (env.engine("GET", "/containers/" .. c.id .. "/json")))
    end)

    it("has no default timeout, but one that is given ends it", function()
      local c = start { cmd = STUBBORN }
      local impatient <close> = docker.connect { host = env.docker_host, timeout = 0.1 }
      local ended
      loop.run(function()
        local waiting = loop.spawn(function()
          local result = impatient:wait_container(c.id)
          ended = true
          return result
        end)
        assert(loop.sleep(0.3))
        assert.is_nil(ended)
        assert(client:stop_container(c.id, { stop_timeout = 0 }))
        assert.equal(137, waiting:join().exit_code)
      end)
      assert.is_true(client:start_container(c.id))
      fails("timeout", client:wait_container(c.id, { timeout = 0.1 }))
      assert.is_true(client:stop_container(c.id, { stop_timeout = 0 })) -- the client is as good as before
    end)

    it("a missing container is not_found", function()
      fails("not_found", client:wait_container("nobody-here"))
      fails("not_found", client:wait_container("nobody-here", { condition = "removed" }))
    end)

    it("a failure comes inside a 200, in Error.Message (semantics 24)", function()
      local server <close> = scripted.start { routes = { { prefix = "/v1.41/", replies = {
        { json = { StatusCode = 1, Error = { Message = "the wait failed" } } },
        { json = { StatusCode = 4, Error = require("cjson").null } },
        { json = { StatusCode = 5, Error = { Message = "" } } },
      } } } }
      local other <close> = docker.connect { host = server.host }
      has("the wait failed", fails("engine", other:wait_container("a")))
      assert.same({ exit_code = 4 }, other:wait_container("a"))
      assert.same({ exit_code = 5 }, other:wait_container("a"))
    end)

    it("what a proxy says in between is no exit code (semantics 24)", function()
      local server <close> = scripted.start { routes = { { prefix = "/v1.41/", replies = {
        { body = "upstream timed out", type = "text/plain" },
        { body = "", type = "application/json" },
        { json = { Status = 0 } },
        { framing = "chunked", body = { '{"StatusCode":', { close = true } } },
      } } } }
      local other <close> = docker.connect { host = server.host }
      has("upstream timed out", fails("protocol", other:wait_container("a")))
      fails("protocol", other:wait_container("a"))
      fails("protocol", other:wait_container("a"))
      fails("interrupted", other:wait_container("a"))
    end)
  end)

  describe("wait_healthy", function()
    it("true when the health check has passed (semantics 27)", function()
      local c = start { image = env.images.healthy, healthcheck = { interval = 0.2 } }
      assert.is_true(client:wait_healthy(c.id, { timeout = 20 }))
      assert.equal("healthy", assert(client:inspect_container(c.id)).health)
    end)

    it("true at once where there is no health check, or NONE, and it runs (semantics 27)", function()
      assert.is_true(client:wait_healthy(start().id, { timeout = 20 }))
      local c = start { image = env.images.unhealthy, healthcheck = false }
      assert.is_true(client:wait_healthy(c.id, { timeout = 20 }))
    end)

    it("unhealthy: the error has the last probe's output and the end of the log, of both streams", function()
      local c = start { image = env.images.unhealthy, healthcheck = { interval = 1, retries = 1 },
        cmd = { "sh", "-c", "for i in $(seq 29); do echo line $i; done; usleep 300000; echo trouble >&2; sleep 999" } }
      local err = fails("engine", client:wait_healthy(c.id, { timeout = 20 }))
      assert.equal("unhealthy", err.health)
      assert.equal("running", err.state)
      assert.is_nil(err.exit_code)
      assert.equal("no good", err.probe)
      assert.truthy(err.log:find("line 29\n", 1, true), err.log)
      assert.truthy(err.log:find("trouble\n", 1, true))
      assert.is_nil(err.log:find("line 5\n", 1, true))
      assert.equal(20, select(2, err.log:gsub("\n", "")))
      assert.equal(c.id, err.subject)
      assert.equal("wait_healthy", err.op)
      has("unhealthy", err)
      has("no good", err)
      assert.truthy(err.message:find("its log ends: ", 1, true), err.message)
    end)

    it("exited: fails with exit code and log", function()
      local c = start { image = env.images.healthy, cmd = { "sh", "-c", "echo boom; exit 3" } }
      local err = fails("engine", client:wait_healthy(c.id, { timeout = 20 }))
      assert.same({ "exited", 3, "boom\n" }, { err.state, err.exit_code, err.log })
      assert.is_nil(err.health)
      has("exited with status 3", err)
      has("boom", err)
    end)

    it("a TTY's log is not framed (semantics 35)", function()
      local c = start { cmd = { "sh", "-c", "echo bare; exit 1" }, tty = true }
      assert(client:wait_container(c.id))
      assert.equal("bare\r\n", fails("engine", client:wait_healthy(c.id)).log)
    end)

    it("a container that could not be started fails at once, with the reason (semantics 23)", function()
      local c = create { cmd = { "/nothing/there" } }
      assert.is_nil((client:start_container(c.id)))
      has("/nothing/there", fails("engine", client:wait_healthy(c.id, { timeout = 20 })))
    end)

    it("a missing container is not_found", function()
      fails("not_found", client:wait_healthy("nobody-here", { timeout = 20 }))
    end)

    it("removed meanwhile: fails", function()
      local c = create() -- never started: waits
      loop.run(function()
        local waiting = loop.spawn(function() return client:wait_healthy(c.id, { timeout = 20 }) end)
        assert(loop.sleep(0.1))
        assert(client:remove_container(c.id))
        local err = fails("engine", waiting:join())
        assert.equal("removed", err.state)
        has("removed", err)
      end)
    end)

    it("a crash loop fails after three restarts; the log says why", function()
      local c = start { image = env.images.healthy, restart = "always", cmd = { "sh", "-c", "echo oops; exit 9" } }
      local err = fails("engine", client:wait_healthy(c.id, { timeout = 60 }))
      has("was restarted 3 times", err)
      assert.equal(9, err.exit_code)
      has("oops", err)
    end)

    it("restarts that are over do not count against it", function()
      local server <close> = scripted.start { routes = {
        { path = "/v1.41/containers/a/json", replies = {
          inspection({ Status = "running", Running = true, Health = { Status = "starting" } }, 5),
          inspection({ Status = "running", Running = true, Health = { Status = "healthy" } }, 5),
        } },
        { path = "/v1.41/containers/b/json", replies = {
          inspection({ Status = "restarting", ExitCode = 1 }, 1), inspection({ Status = "running", Running = true }, 2),
        } },
      } }
      local other <close> = docker.connect { host = server.host }
      assert.is_true(other:wait_healthy("a"))
      assert.is_true(other:wait_healthy("b"))
    end)

    it("paused is neither healthy nor unhealthy: it waits on (semantics 27)", function()
      local c = start { image = env.images.healthy, healthcheck = { interval = 1 } } -- no probe under way meanwhile
      assert.is_true(client:wait_healthy(c.id, { timeout = 20 }))
      assert.equal(204, (env.engine("POST", "/containers/" .. c.id .. "/pause")))
      local err = fails("timeout", client:wait_healthy(c.id, { timeout = 0.3 }))
      assert.equal("paused", err.state)
      assert.equal(204, (env.engine("POST", "/containers/" .. c.id .. "/unpause")))
    end)

    it("the deadline: kind timeout, with the same details", function()
      local c = start { image = env.images.healthy, healthcheck = { test = "exit 1", interval = 600 },
        cmd = { "sh", "-c", "echo slow start; sleep 999" } }
      local err = fails("timeout", client:wait_healthy(c.id, { timeout = 0.5 }))
      assert.same({ "running", "starting", "slow start\n" }, { err.state, err.health, err.log })
      has("not healthy within the time allowed", err)
      has("slow start", err)
    end)

    it("a ctx's deadline is final: what is known without asking again", function()
      local c = start { image = env.images.healthy, healthcheck = { test = "exit 1", interval = 600 } }
      local err = fails("timeout", client:wait_healthy(c.id, { ctx = docker.context { timeout = 0.3 } }))
      assert.equal("starting", err.health)
      assert.is_nil(err.log)
    end)

    local starting = inspection { Status = "running", Running = true, Health = { Status = "starting", Log = {
      { Output = "first" }, { Output = "connection refused\n" } } } }

    it("an Engine that hangs: the deadline ends it; a log that does not come is left out", function()
      local server <close> = scripted.start { routes = {
        { path = "/v1.41/containers/hangs/json", reply = { body = { { wait = true } }, framing = "chunked" } },
        { path = "/v1.41/containers/later/json", times = 1, reply = starting },
        { path = "/v1.41/containers/later/json", reply = { body = { { wait = true } }, framing = "chunked" } },
        { path = "/v1.41/containers/later/logs", reply = { body = { { wait = true } }, framing = "chunked" } },
      } }
      local other <close> = docker.connect { host = server.host }
      assert.is_nil(fails("timeout", other:wait_healthy("hangs", { timeout = 0.2 })).state)
      local err = fails("timeout", other:wait_healthy("later", { timeout = 0.2 }))
      assert.same({ "running", "starting", "connection refused" }, { err.state, err.health, err.probe })
      assert.is_nil(err.log)
      has("connection refused", err)
      fails("not_found", other:wait_healthy("b")) -- the client is as good as before
    end)

    it("a log that cannot be read is left out: a failure stays the failure it is", function()
      local server <close> = scripted.start { routes = {
        { path = "/v1.41/containers/a/json", reply = inspection { Status = "exited", ExitCode = 2 } },
        { path = "/v1.41/containers/a/logs",
          reply = { status = 501, json = { message = "configured logging driver does not support reading" } } },
      } }
      local other <close> = docker.connect { host = server.host }
      local err = fails("engine", other:wait_healthy("a"))
      has("exited with status 2", err)
      assert.is_nil(err.log)
      assert.is_nil(err.status)
    end)

    it("a long log is cut to whole lines of at most 4 KiB", function()
      local body = ""
      for i = 1, 20 do body = body .. frame(1 + i % 2, ("%02d"):format(i) .. ("x"):rep(500) .. "\n") end
      local server <close> = scripted.start { routes = {
        { path = "/v1.41/containers/a/json", reply = inspection { Status = "exited", ExitCode = 2 } },
        { path = "/v1.41/containers/a/logs", query = "tail=20", reply = { body = body } },
      } }
      local other <close> = docker.connect { host = server.host }
      local err = fails("engine", other:wait_healthy("a"))
      assert.equal(8 * 503, #err.log)
      assert.equal("13x", err.log:sub(1, 3))
      assert.truthy(#err.message < 1000)
    end)

    it("cancelled is cancelled, not unhealthy", function()
      local c, ctx = create(), docker.context()
      loop.run(function()
        local waiting = loop.spawn(function() return client:wait_healthy(c.id, { ctx = ctx }) end)
        assert(loop.sleep(0.1))
        ctx:cancel("enough")
        has("enough", fails("cancelled", waiting:join()))
      end)
    end)

    it("a refusal in the middle is returned as it is", function()
      local server <close> = scripted.start { routes = { { path = "/v1.41/containers/a/json", replies = {
        starting, { status = 500, json = { message = "out of order" } },
      } } } }
      local other <close> = docker.connect { host = server.host }
      has("out of order", fails("engine", other:wait_healthy("a")))
    end)

    it("many wait at the same time in one loop", function()
      local done = 0
      local ids = {}
      for i = 1, 4 do ids[i] = start { image = env.images.healthy, healthcheck = { interval = 0.2 } }.id end
      loop.run(function()
        for _, id in ipairs(ids) do
          loop.spawn(function()
            assert(client:wait_healthy(id, { timeout = 30 }))
            done = done + 1
          end)
        end
      end)
      assert.equal(4, done)
    end)
  end)
end)
