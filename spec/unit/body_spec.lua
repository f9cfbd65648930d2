-- src/call_upload.c: bodies that come from a function or an object with read(), in chunks, with back-pressure.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local errors = require "docker_watcher.error"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

local function start(scenario)
  scenario.api_version = scenario.api_version or "1.41"
  local server = scripted.start(scenario)
  env.defer(function() server:stop() end)
  local client = assert(docker.connect { host = server.host, timeout = scenario.timeout or 20 })
  env.defer(function() client:close() end)
  return client, server
end

local ARCHIVE = "/v1.41/containers/web/archive"

local function put(client, body, options)
  return client:call("PutContainerArchive", { id = "web", path = "/tmp", body = body }, options)
end

-- A source of so many pieces of so many bytes; counts how often it was asked.
local function source(pieces, size)
  local count = { asked = 0 }
  return function()
    count.asked = count.asked + 1
    if count.asked > pieces then return nil end
    return (("%08d"):format(count.asked)):rep(size // 8)
  end, count
end

local function both(fn)
  fn()
  loop.run(fn)
end

describe("a body from a function", function()
  after_each(env.cleanup)

  it("is sent in chunks, whole and in order, from plain Lua and from a task", function()
    local client, server = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    both(function()
      for _, case in ipairs { { 0, 0 }, { 1, 8 }, { 3, 80000 }, { 40, 65536 } } do
        local fn, count = source(table.unpack(case))
        assert.is_true(put(client, fn))
        assert.equal(case[1] + 1, count.asked)
        local requests = server:requests()
        local last = requests[#requests]
        local parts = {}
        for i = 1, case[1] do parts[i] = (("%08d"):format(i)):rep(case[2] // 8) end
        assert.is_true(table.concat(parts) == last.body)
        assert.equal("application/x-tar", last.headers["content-type"])
        assert.equal("chunked", last.headers["transfer-encoding"])
        assert.is_nil(last.headers.expect)
      end
    end)
  end)

  it("may be any object with read(), as files and streams are", function()
    local client, server = start { routes = {
      { method = "PUT", path = ARCHIVE, reply = {} },
      { path = "/v1.41/containers/web/export", reply = { framing = "chunked", body = { "an ", "archive" } } },
    } }
    local path = env.tmpdir() .. "/f"
    env.write_file(path, ("line\n"):rep(30000))
    both(function()
      local file <close> = assert(io.open(path, "rb"))
      assert.is_true(put(client, file))
      local requests = server:requests()
      assert.is_true(requests[#requests].body == ("line\n"):rep(30000))
      assert.is_true(put(client, assert(client:call("ContainerExport", { id = "web" }))))
      requests = server:requests()
      assert.equal("an archive", requests[#requests].body)
      local reader = { left = 3 }
      function reader:read(size)
        assert.equal("integer", math.type(size))
        self.left = self.left - 1
        return self.left >= 0 and "x" or nil
      end
      assert.is_true(put(client, reader))
      requests = server:requests()
      assert.equal("xxx", requests[#requests].body)
    end)
  end)

  it("may wait for other things meanwhile, while other tasks go on", function()
    local client, server = start { routes = {
      { method = "PUT", path = ARCHIVE, reply = {} }, { path = "/v1.41/info", reply = { json = { ID = "x" } } },
    } }
    local function patient()
      local n = 0
      return function()
        n = n + 1
        if n > 5 then return nil end
        if n == 2 then loop.run(function() end) end
        return assert(client:info()).id
      end
    end
    local ok, err = pcall(put, client, patient())
    assert.is_true(ok, err)
    local ticks = 0
    loop.run(function()
      local ticker = loop.spawn(function()
        repeat ticks = ticks + 1 until not loop.sleep(0.001)
      end)
      local n = 0
      assert.is_true(put(client, function()
        n = n + 1
        if n > 5 then return nil end
        assert(loop.sleep(0.01))
        return assert(client:info()).id
      end))
      ticker:cancel()
    end)
    assert.is_true(ticks > 5)
    local requests = server:requests()
    assert.equal("xxxxx", requests[#requests].body)
  end)

  it("that raises ends the transfer, and its error is raised as it is", function()
    local client, server = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    local thing = setmetatable({}, { __name = "thing" })
    both(function()
      local n = 0
      local ok, err = pcall(put, client, function()
        n = n + 1
        if n == 3 then error(thing) end
        return ("x"):rep(1000)
      end)
      assert.is_false(ok)
      assert.equal(thing, err)
      assert.is_true(put(client, "next"))
    end)
    local bodies = {}
    for _, request in ipairs(server:requests()) do
      if request.method == "PUT" then bodies[#bodies + 1] = request.body end
    end
    assert.same({ "next", "next" }, bodies)
    server:wait_closed(2)
  end)

  it("that gives nil, err ends the transfer, and err is the cause", function()
    local client, server = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    both(function()
      local cause = errors.new("not_found", "no such file: a")
      local ok, err = put(client, function() return nil, cause end)
      assert.is_nil(ok)
      assert.same({ "not_found", "PutContainerArchive", "web" }, { err.kind, err.op, err.subject })
      assert.equal(cause, err.cause)
      assert.matches("reading the body failed: no such file: a", err.message)
      ok, err = put(client, { read = function() return nil, "disk on fire", 5 end })
      assert.is_nil(ok)
      assert.same({ "stream", "disk on fire" }, { err.kind, err.cause })
    end)
    for _, request in ipairs(server:requests()) do assert.are_not.equal("PUT", request.method) end
  end)

  it("that gives something else is misuse", function()
    local client = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    for _, value in ipairs { 12, {}, true } do
      local ok, err = pcall(put, client, function() return value end)
      assert.is_false(ok)
      assert.matches("the body's function gave a " .. type(value), err)
    end
    for _, value in ipairs { 12, {}, { read = 1 }, true, coroutine.create(print) } do
      assert.error_matches(function() put(client, value) end, "body: string, function or an object with read%(%)")
    end
    assert.is_true(put(client, "next"))
  end)

  it("that gives nothing but empty strings is ended by the deadline", function()
    local client = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    both(function()
      local ok, err = put(client, function() return "" end, { timeout = 0.1 })
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
    end)
  end)

  it("is asked for no more than there is room for, and has no total timeout by default", function()
    local client, server = start { timeout = 0.2, routes = {}, connections = {
      { after = "wait", raw = { { read = 200 }, { wait_for = "go" }, { read = 4 << 20 },
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } },
    }, api_version = "1.41" }
    local pinned <close> = assert(docker.connect { host = server.host, api_version = "1.41", timeout = 0.2 })
    client:close()
    local fn, count = source(64, 65536)
    loop.run(function()
      local task = loop.spawn(function() return put(pinned, fn) end)
      assert(loop.sleep(0.4))
      local before = count.asked
      assert.is_true(before >= 2 and before <= 24, before) -- LIMIT_UPLOAD_BUFFER, the socket's buffers, a piece
      assert(loop.sleep(0.1))
      assert.equal(before, count.asked)
      server:signal "go"
      local ok, err = task:join()
      assert.is_true(ok, tostring(err))
    end)
  end)

  it("idle_timeout: an Engine that reads no more", function()
    local silent = { raw = { { read = 200 }, { wait_for = "never" } } } -- wait would read
    local _, server = start { connections = { silent } }
    local client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
    local ok, err = put(client, source(1000, 65536), { idle_timeout = 0.2 })
    assert.is_nil(ok)
    assert.equal("timeout", err.kind)
    assert.matches("idle_timeout", err.message)
  end)

  it("first_byte_timeout: counts from the end of the upload", function()
    local _, server = start { connections = { { raw = { { read = 200 }, { wait = true } } } } }
    local client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
    local n = 0
    local ok, err
    loop.run(function()
      ok, err = put(client, function()
        n = n + 1
        if n > 4 then return nil end
        assert(loop.sleep(0.1))
        return "xxxx"
      end, { first_byte_timeout = 0.2 })
    end)
    assert.is_nil(ok)
    assert.equal(5, n)
    assert.matches("first_byte_timeout", err.message)
  end)

  it("a refusal that comes early ends it, and is told", function()
    local refusal = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n"
      .. '{"message":"No such container: web."}'
    local _, server = start { connections = { { raw = { { read = 300 }, refusal }, after = "close" } } }
    local client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
    local fn, count = source(100000, 65536)
    local ok, err = put(client, fn)
    assert.is_nil(ok)
    assert.equal("not_found", err.kind, tostring(err))
    assert.is_true(count.asked < 1000)
  end)

  it("an Engine that hangs up in the middle is interrupted", function()
    local _, server = start { connections = { { raw = { { read = 70000 } }, after = "close" } } }
    local client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
    local ok, err = put(client, (source(1000, 65536)))
    assert.is_nil(ok)
    assert.equal("interrupted", err.kind)
  end)

  it("ctx: cancel ends it, also between two pieces", function()
    local client = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    both(function()
      local ctx = docker.context {}
      local n = 0
      local ok, err = put(client, function()
        n = n + 1
        if n == 3 then ctx:cancel("stop") end
        return "x"
      end, { ctx = ctx })
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      assert.equal(3, n)
    end)
  end)

  it("may close the client", function()
    local client = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    local ok, err = put(client, function()
      client:close()
      return "x"
    end)
    assert.is_nil(ok)
    assert.equal("cancelled", err.kind)
  end)

  it("the version is asked for before anything is sent, since it can't be sent twice", function()
    local client, server = start { api_version = "1.43", routes = {
      { path = "/v1.43/info", reply = { json = { ID = "x" } } },
      { method = "PUT", path = "/v1.43/containers/web/archive", reply = {} },
    } }
    assert(client:info())
    assert.is_true(put(client, (source(2, 8))))
    local methods = {}
    for _, request in ipairs(server:requests()) do methods[#methods + 1] = request.method end
    assert.same({ "HEAD", "GET", "HEAD", "PUT" }, methods)
  end)

  it("a coroutine of the program's own may be where it runs and yields", function()
    local client, server = start { routes = { { method = "PUT", path = ARCHIVE, reply = {} } } }
    local co = coroutine.wrap(function()
      return "done", put(client, coroutine.wrap(function()
        coroutine.yield "a"
        coroutine.yield "b"
      end))
    end)
    assert.same({ "done", true }, { co() })
    local requests = server:requests()
    assert.equal("ab", requests[#requests].body)
    co = coroutine.wrap(function()
      local n = 0
      return "done", put(client, function()
        n = n + 1
        return coroutine.yield("wanted", n)
      end)
    end)
    assert.same({ "wanted", 1 }, { co() })
    assert.same({ "wanted", 2 }, { co "one," })
    assert.same({ "wanted", 3 }, { co "two" })
    assert.same({ "done", true }, { co(nil) })
    requests = server:requests()
    assert.equal("one,two", requests[#requests].body)
  end)
end)

describe("an upload whose reply is a stream", function()
  after_each(env.cleanup)

  -- An Engine that answers while it reads: after each MiB, one item. It reads nothing of the body before the signal
  -- "go", so that the stream is there before most of it was asked for.
  local function talkative(mebibytes)
    local pieces = { { read = 1000 }, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
      { wait_for = "go" } }
    for i = 1, mebibytes do
      pieces[#pieces + 1] = { read = 1 << 20 }
      pieces[#pieces + 1] = ('{"stream":"%d"}\n'):format(i)
    end
    local _, server = start { connections = { { raw = pieces, after = "half_close" } } }
    local client = assert(docker.connect { host = server.host, api_version = "1.41" })
    env.defer(function() client:close() end)
    return client, server
  end

  it("goes on while it is read", function()
    for round = 1, 2 do
      local client, server = talkative(6)
      local fn, count = source(112, 65536)
      local function go()
        local stream = assert(client:call("ImageLoad", { body = fn }))
        assert.is_true(count.asked < 60, count.asked)
        server:signal "go"
        local seen = {}
        for item in stream do seen[#seen + 1] = item.stream end
        assert.same({ "1", "2", "3", "4", "5", "6" }, seen)
      end
      if round == 1 then go() else loop.run(go) end
    end
  end)

  it("fails at read where its source fails", function()
    for _, case in ipairs { "raises", "fails" } do
      local client, server = talkative(6)
      local n = 0
      local stream = assert(client:call("ImageLoad", { body = function()
        n = n + 1
        if n < 50 then return ("x"):rep(65536) end
        if case == "raises" then error("no more", 0) end
        return nil, "no more"
      end }))
      server:signal "go"
      local ok, item, err
      repeat ok, item, err = pcall(stream.read, stream) until not ok or not item
      assert.equal(case == "raises", not ok)
      if ok then assert.same({ "stream", "no more" }, { err.kind, err.cause }) else assert.equal("no more", item) end
      assert.equal("docker stream (failed)", tostring(stream))
      stream:close()
    end
  end)

  it("cannot be read by its own source", function()
    local client, server = talkative(6)
    local stream, message
    local n = 0
    stream = assert(client:call("ImageBuild", { body = function()
      n = n + 1
      if stream and not message then message = select(2, pcall(stream.read, stream)) end
      return n < 112 and ("x"):rep(65536) or nil
    end }))
    server:signal "go"
    while stream:read() do n = n + 0 end
    assert.matches("source of its own upload", message)
  end)

  it("ends when the stream is closed", function()
    local client, server = talkative(6)
    local fn, count = source(1000, 65536)
    local stream = assert(client:call("ImageCreate", { fromSrc = "-", repo = "a", body = fn }))
    server:signal "go"
    assert(stream:read())
    stream:close()
    local asked = count.asked
    loop.run(function() loop.sleep(0.05) end)
    assert.equal(asked, count.asked)
  end)
end)
