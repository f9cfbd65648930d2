-- What the methods written in Lua leave behind when a later step of theirs fails: no stream, no file, no half result.
-- Answers are a scripted server's; the collector is stopped, so that nothing is tidied up by it.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local given = require "spec.support.given"
local loop = require "docker_watcher.loop"

local failure, frame = given.failure, given.frame

local UPGRADED = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
  .. "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

local function serve(routes, options)
  options = options or {}
  table.insert(routes, { path = "/v1.41/info", reply = { json = { ID = "x" } } })
  local server = given.server { routes = routes }
  options.host, options.timeout = server.host, options.timeout or 20
  return given.client(options), server
end

-- How many descriptors this process has open.
local function descriptors()
  return tonumber(env.run(("ls /proc/%s/fd | wc -l"):format(env.read_file("/proc/self/stat"):match "^%d+")))
end

describe("a method of several steps", function()
  before_each(function() collectgarbage "stop" end)
  after_each(function()
    collectgarbage "restart"
    env.cleanup()
  end)

  describe("save_image to a file", function()
    local function saving(after)
      return serve { { path = "/v1.41/images/web/get", reply = { framing = "chunked", body = { "bytes", after } } } }
    end

    it("that cannot be written closes its connection", function()
      local client, server = saving { wait = true }
      local err = failure("invalid", client:save_image("web", { path = env.tmpdir() .. "/no/folder/x" }))
      assert.matches("no/folder", err.message)
      server:wait_closed(1)
    end)

    it("that has no room for the last bytes fails, and leaves the old one", function()
      local client = saving()
      local folder = env.tmpdir()
      env.write_file(folder .. "/x", "old")
      env.run(("ln -s /dev/full %s/x.part"):format(folder))
      local err = failure("invalid", client:save_image("web", { path = folder .. "/x" }))
      assert.matches("No space left", err.message)
      assert.equal("old", env.read_file(folder .. "/x"))
      assert.equal("x", env.run("ls " .. folder))
    end)

    it("leaves no part of one, whatever ends it", function()
      for _, after in ipairs { { close = true }, { wait = true } } do
        local client = saving(after)
        local folder = env.tmpdir()
        local saved = client:save_image("web", { path = folder .. "/x", timeout = 0.2 })
        assert.is_nil(saved)
        assert.equal("", env.run("ls " .. folder))
      end
    end)
  end)

  describe("events", function()
    local EVENT = '{"Type":"volume","Action":"create","Actor":{"ID":"v"},"time":1,"timeNano":1000000000}\n'

    it("closed by another task while they reconnect end as cancelled, and keep no connection", function()
      local client, server = serve { { path = "/v1.41/events", replies = {
        { framing = "chunked", body = { EVENT, { close = true } } },
        { raw = { { wait_for = "go" }, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", { wait = true } } },
      } } }
      loop.run(function()
        local stream = assert(client:events {})
        assert(stream:read())
        local task = loop.spawn(function() return stream:read() end)
        for _ = 1, 500 do -- the second one is asked for
          if #server:requests() >= 3 then break end
          loop.sleep(0.01)
        end
        stream:close()
        server:signal "go"
        local err = failure("cancelled", task:join())
        assert.matches("the stream was closed", err.message)
      end)
      server:wait_closed(1) -- the first one is the server's own doing
    end)

    it("of an Engine that ends each connection at once are not asked for without a pause", function()
      local client, server = serve { { path = "/v1.41/events", reply = { framing = "chunked", body = "" } } }
      local stream <close> = assert(client:events { timeout = 0.6 })
      local item, err
      repeat item, err = stream:read() until not item
      failure("timeout", item, err)
      assert.is_true(#server:requests() < 10, #server:requests() .. " requests")
    end)

    it("whose context ends with the connection are cancelled, not interrupted", function()
      local ctx = docker.context {}
      local client = serve({ { path = "/v1.41/events", reply = { framing = "chunked", body = "" } } }, {
        trace = function(event)
          if event.path:find("/events", 1, true) then ctx:cancel "enough" end
        end,
      })
      local stream <close> = assert(client:events { ctx = ctx })
      local err = failure("cancelled", stream:read())
      assert.matches("enough", err.message)
    end)

    it("without a time are no Engine's", function()
      for _, text in ipairs { "{}", '{"timeNano":"x"}', '{"time":1.5,"timeNano":"1"}', '{"time":{}}' } do
        local client = serve { { path = "/v1.41/events", reply = { body = text } } }
        local stream <close> = assert(client:events { reconnect = false })
        failure("protocol", stream:read())
      end
    end)
  end)

  describe("exec", function()
    -- An Engine whose process writes "out", and then is as `states` say, one after the other.
    local function running(states, output)
      local replies = {}
      for i, state in ipairs(states) do replies[i] = state end
      return {
        { path = "/v1.41/containers/web/exec", reply = { status = 201, json = { Id = "e" } } },
        { path = "/v1.41/exec/e/start", reply = { raw = output or { UPGRADED, frame(1, "out") } } },
        { path = "/v1.41/exec/e/json", replies = replies },
      }
    end
    local RUNS, ENDED = { json = { Running = true } }, { json = { Running = false, ExitCode = 3 } }

    it("has one timeout for all its requests", function()
      local client = serve(running { RUNS })
      failure("timeout", client:exec("web", { "true" }, { timeout = 0.3 }))
      client = serve(running({ ENDED }, { UPGRADED, { wait = true } }))
      failure("timeout", client:exec("web", { "true" }, { timeout = 0.3 }))
      local routes = running { ENDED }
      routes[1].reply.delay = 30
      client = serve(routes)
      failure("timeout", client:exec("web", { "true" }, { timeout = 0.3 }))
    end)

    it("that is cancelled while it asks for the exit code is cancelled, not late", function()
      local ctx = docker.context {}
      local client = serve(running { RUNS }, { trace = function(event)
        if event.path:find("/exec/e/json", 1, true) then ctx:cancel "enough" end
      end })
      local err = failure("cancelled", client:exec("web", { "true" }, { ctx = ctx }))
      assert.matches("enough", err.message)
    end)

    it("waits for the exit code of a process that is a little slower than its output", function()
      local client = serve(running { RUNS, RUNS, ENDED })
      assert.same({ exit_code = 3, stdout = "out", stderr = "" }, client:exec("web", { "true" }))
    end)

    it("whose Engine is gone at the end of the output is interrupted", function()
      local routes = running { { raw = "" } }
      local err = failure("interrupted", serve(routes):exec("web", { "true" }))
      assert.equal("interrupted", err.cause.kind)
      routes = running { { status = 404, json = { message = "No such exec instance" } } } -- it was restarted
      err = failure("interrupted", serve(routes):exec("web", { "true" }))
      assert.equal("not_found", err.cause.kind)
      routes = running { { raw = "" } }
      local process <close> = assert(serve(routes):exec_stream("web", { "true" }, { stdin = false }))
      assert.equal("out", (process:read()))
      failure("interrupted", process:read())
      failure("interrupted", process:read()) -- and again
      failure("interrupted", process:wait())
    end)

    it("stream: its for loop raises what read tells", function()
      local ok, err = pcall(function()
        for _ in serve(running { { raw = "" } }):exec_stream("web", { "true" }, { stdin = false }) do end -- luacheck: ignore
      end)
      assert.is_false(ok)
      assert.equal("interrupted", err.kind)
    end)

    it("over max_output closes its connection", function()
      local client, server = serve(running({ ENDED }, { UPGRADED, frame(1, ("x"):rep(1000)), { wait = true } }))
      failure("too_large", client:exec("web", { "true" }, { max_output = 10 }))
      server:wait_closed(1)
    end)
  end)

  describe("what is sent", function()
    -- A folder with a file that is too large to be read at once.
    local function folder()
      local path = env.tmpdir()
      env.write_file(path .. "/Dockerfile", "FROM scratch\n")
      env.run(("truncate -s 64M %s/large"):format(path))
      return path
    end
    local REFUSED = { unread = true, status = 400, json = { message = "no" }, after = "close" }

    it("is closed when the Engine refuses it in the middle: build_image, copy_in", function()
      local client = serve {
        { path = "/v1.41/build", reply = REFUSED },
        { method = "HEAD", path = "/v1.41/containers/web/archive", reply = {
          headers = { ["X-Docker-Container-Path-Stat"] = "eyJuYW1lIjoiYSIsIm1vZGUiOjIxNDc0ODQxNDF9" } } },
        { method = "PUT", path = "/v1.41/containers/web/archive", reply = REFUSED },
      }
      local source = folder()
      assert(client:info())
      local before = descriptors()
      assert.is_nil((client:build_image { context = source }))
      assert.is_nil((client:copy_in("web", "/tmp", source)))
      assert.is_true(descriptors() <= before)
    end)

    it("is closed when on_progress raises, and so is the connection", function()
      local reply = { raw = { 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"stream":"Step 1"}\n',
        { wait = true } }, unread = true }
      local client, server = serve {
        { path = "/v1.41/build", reply = reply }, { path = "/v1.41/images/load", reply = reply },
      }
      local source = folder()
      assert(client:info())
      local before = descriptors()
      local function stop() error("enough", 0) end
      assert.same({ false, "enough" }, { pcall(client.build_image, client, { context = source, on_progress = stop }) })
      assert.same({ false, "enough" }, { pcall(client.load_image, client, { path = source .. "/large" },
        { on_progress = stop }) })
      assert.is_true(descriptors() <= before)
      server:wait_closed(2)
      assert(client:info())
    end)
  end)

  it("push_image: its timeout is for the credential helper, too", function()
    local config = env.tmpdir()
    env.write_file(config .. "/config.json", '{"credsStore":"slow"}')
    env.program("docker-credential-slow", "sleep 0.4\necho '{\"Username\":\"a\",\"Secret\":\"b\"}'")
    local client = serve({ { prefix = "/v1.41/images/", reply = { delay = 0.3, body = "" } } }, { config_dir = config })
    failure("timeout", client:push_image("reg.example/web", "1", { timeout = 0.5 }))
  end)
end)
