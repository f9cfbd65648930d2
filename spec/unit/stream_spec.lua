-- src/stream.c, stream_decode.c, invoke.c: streams of every kind through client:call, from a scripted server.

local docker = require "docker_watcher.docker"
local core = require "docker_watcher.core"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

local function frame(stream, text)
  return string.pack(">I1xxxs4", stream, text)
end

-- A client of a server that gives every request this reply (or the routes).
local function serve(reply, options)
  options = options or {}
  local version = options.version or "1.41"
  local routes = options.routes or { { prefix = "/v1", reply = reply } }
  local server = scripted.start { api_version = version, routes = routes }
  env.defer(function() server:stop() end)
  local client = assert(docker.connect { host = server.host, timeout = options.timeout or 20 })
  env.defer(function() client:close() end)
  return client, server
end

local function collect(stream, err)
  assert(stream, tostring(err))
  local items = {}
  while true do
    local item, more = stream:read()
    if item == nil then
      stream:close()
      return items, more
    end
    items[#items + 1] = item
  end
end

local function fails(kind, ok, err)
  assert.is_nil(ok)
  assert.equal(kind, err.kind, tostring(err))
  return err
end

local RS = "\30"

local sanitized = os.getenv "DW_PRELOAD" ~= nil -- freed memory is kept for a while then

-- Bytes of this process that are in memory.
local function resident()
  return tonumber(env.read_file("/proc/self/status"):match("VmRSS:%s+(%d+)")) << 10
end

describe("a stream of items", function()
  after_each(env.cleanup)

  local function events(reply, options)
    local client, server = serve(reply, options)
    return client:call("SystemEvents", options and options.params), server, client
  end

  it("takes NDJSON, concatenated values, RFC 7464 and any mixture, split anywhere (semantics 7, 38)", function()
    local euro = '{"Action":"€ \\u20ac","n":9223372036854775807}'
    for _, text in ipairs {
      euro .. "\n" .. euro .. "\n" .. euro .. "\n", euro .. euro .. euro,
      RS .. euro .. "\n" .. RS .. euro .. "\n" .. RS .. euro,
      "\r\n \t" .. euro .. RS .. RS .. euro .. "   " .. euro .. "\n\n\n",
    } do
      for _, each in ipairs { 1, 2, 3, 7, 100000 } do
        for _, framing in ipairs { "chunked", "length", "close" } do
          local items, err = collect((events { body = text, each = each, framing = framing }))
          assert.is_nil(err)
          assert.equal(3, #items)
          for _, item in ipairs(items) do
            assert.same({ Action = "€ €", n = math.maxinteger }, item)
          end
        end
      end
    end
  end)

  it("is iterable with for, and empty where nothing came", function()
    local count = 0
    for item in events { body = '{"a":1}{"a":2}' } do
      count = count + item.a
    end
    assert.equal(3, count)
    assert.same({}, (collect((events { body = "" }))))
    assert.same({}, (collect((events { body = "\n" .. RS .. "\n" }))))
  end)

  it("that is cut inside an item is interrupted, whatever the framing; what came before is there", function()
    for _, framing in ipairs { "chunked", "close", "length" } do
      local items, err = collect((events { framing = framing, body = '{"a":1}\n{"b":"' }))
      assert.same({ { a = 1 } }, items)
      assert.equal("interrupted", err.kind, framing)
    end
  end)

  it("whose transport is cut between two items is interrupted", function()
    local items, err = collect((events { framing = "chunked", body = { '{"a":1}\n', { close = true } } }))
    assert.same({ { a = 1 } }, items)
    assert.equal("interrupted", err.kind)
    items, err = collect((events { framing = "length", length = 100, body = '{"a":1}\n', after = "close" }))
    assert.same({ { a = 1 } }, items)
    assert.equal("interrupted", err.kind)
  end)

  it("that fails has failed: read says so again, and the client goes on", function()
    local stream, _, client = events(nil, { routes = {
      { path = "/v1.41/events", reply = { body = '{"a":1}{"b":}' } },
      { path = "/v1.41/info", reply = { json = { ID = "x" } } },
    } })
    assert.same({ a = 1 }, (stream:read()))
    local err = fails("protocol", stream:read())
    assert.matches("not JSON .*at byte 5.*{\"b\":}", err.message)
    fails("stream", stream:read())
    assert.equal("docker stream (failed)", tostring(stream))
    stream:close()
    assert(client:info())
  end)

  it("gives tables only", function()
    for _, text in ipairs { "1", "null", '"x"', "[1]", "true", "nonsense", '{"a":1} 12' } do
      local _, err = collect((events { body = text }))
      assert.equal("protocol", err.kind, text)
    end
  end)

  it("with an item longer than LIMIT_JSON_ITEM is too_large, and says its name", function()
    local function long(ended)
      return events { framing = "chunked", body = {
        '{"a":"', { text = ("x"):rep(1 << 16), ["repeat"] = 80 }, ended and '"}' or { wait = true } } }
    end
    for _, ended in ipairs { true, false } do
      local stream = long(ended)
      local err = fails("too_large", stream:read())
      assert.matches("LIMIT_JSON_ITEM", err.message)
      stream:close()
    end
    local items = collect((events { framing = "chunked", body = {
      '{"a":"', { text = ("x"):rep(1 << 16), ["repeat"] = 60 }, '"}{"b":2}' } }))
    assert.equal(60 << 16, #items[1].a)
    assert.equal(2, items[2].b)
  end)

  it("keeps the Engine waiting when nobody reads", function()
    local line = '{"pad":"' .. ("x"):rep(990) .. '"}\n'
    local stream, server = events { framing = "close", body = {
      { text = line, ["repeat"] = 30000 }, { wait = true } } }
    assert(stream:read())
    local before = resident()
    loop.run(function() loop.sleep(0.2) end)
    assert.is_true(resident() - before < 8 << 20)
    local count = 1
    while count < 30000 do
      assert(stream:read())
      count = count + 1
    end
    stream:close()
    server:wait_closed(1)
  end)

  it("closed by another task is cancelled for the one that reads", function()
    local client = serve { framing = "chunked", body = { "{}\n", { wait = true } } }
    local item, err
    loop.run(function()
      local stream = assert(client:call("SystemEvents"))
      assert(stream:read())
      local reader = loop.spawn(function() return stream:read() end)
      loop.sleep(0) -- the reader's turn
      stream:close()
      item, err = reader:join()
    end)
    fails("cancelled", item, err)
  end)

  it("has its reply's headers", function()
    local stream = events { headers = { ["X-Thing"] = " some value " }, body = "" }
    assert.equal("some value", stream:header("x-thing"))
    assert.is_nil(stream:header("x-other"))
    stream:close()
    assert.has_error(function() stream:header("x-thing") end, "the stream is closed")
  end)

  it("a bad status is an error of the call, as anywhere", function()
    local client = serve { status = 400, json = { message = "invalid filter 'x'" } }
    local err = fails("invalid", client:call("SystemEvents", { filters = { x = { "y" } } }))
    assert.equal("SystemEvents: invalid filter 'x'", err.message)
  end)
end)

describe("a stream of progress", function()
  after_each(env.cleanup)

  local function push(reply, options)
    local client = serve(reply)
    return client:call("ImagePush", { name = "reg.example/shop/web", tag = "1" }, options)
  end

  it("gives what is told until its end", function()
    local items, err = collect((push {
      body = '{"status":"Pushing"}\r\n{"progressDetail":{"current":5},"id":"a"}\r\n' }))
    assert.is_nil(err)
    assert.same({ { status = "Pushing" }, { progressDetail = { current = 5 }, id = "a" } }, items)
  end)

  it("ends at an error inside the 200, with its kind (semantics 5, 6)", function()
    local cases = {
      { '{"errorDetail":{"message":"denied: requested access to the resource is denied"}}', "unauthorized" },
      { '{"errorDetail":{"message":"manifest unknown"},"error":"x"}', "not_found" },
      { '{"errorDetail":{"code":404,"message":"gone"}}', "not_found" },
      { '{"error":"toomanyrequests: slow down"}', "rate_limited" },
      { '{"errorDetail":{}}', "engine" },
      { '{"errorDetail":{"code":1,"message":"The command returned a non-zero code: 1"}}', "engine" },
    }
    for _, case in ipairs(cases) do
      local items, err = collect((push { body = '{"status":"Preparing"}' .. case[1] .. '{"status":"never"}' }))
      assert.equal(1, #items)
      assert.equal(case[2], err.kind, case[1])
      assert.equal("reg.example/shop/web", err.subject)
      assert.equal("ImagePush", err.op)
    end
  end)

  it("shows no credentials, in the 200 or before it", function()
    local auth = { auth = { username = "ann", password = "s3cret-word" } }
    local _, err = collect((push({ body = '{"error":"unauthorized: s3cret-word is wrong"}' }, auth)))
    assert.equal("unauthorized", err.kind)
    assert.is_nil(err.message:find("s3cret", 1, true))
    assert.is_nil(err.message:find("no credentials", 1, true))
    err = fails("unauthorized", push({ status = 500, json = { message = "unauthorized: s3cret-word is wrong" } }, auth))
    assert.is_nil(err.message:find("s3cret", 1, true))
    assert.equal(500, err.status)
    _, err = collect((push { body = '{"error":"unauthorized: authentication required"}' }))
    assert.matches("no credentials were given", err.message)
  end)

  it("a refusal is told by its words where those tell more, else by its status", function()
    fails("not_found", push { status = 404, json = { message = "An image does not exist locally" } })
    fails("conflict", push { status = 409, json = { message = "busy" } })
    fails("invalid", push { status = 400, json = { message = "invalid tag" } })
    fails("unreachable", push { status = 500, json = { message = "dial tcp 1.2.3.4:443: connect: no" } })
  end)

  it("raises in a for loop", function()
    local ok, err = pcall(function() for _ in push { body = '{"error":"broken"}' } do error "none came" end end)
    assert.is_false(ok)
    assert.equal("engine", err.kind)
  end)
end)

describe("a stream of bytes", function()
  after_each(env.cleanup)

  it("gives what came, whatever it is, in pieces of LIMIT_CHUNK at most", function()
    local client, server = serve { framing = "chunked", headers = { ["X-Docker-Container-Path-Stat"] = "e30=" },
      body = { "\0\255tar", { text = ("0123456789abcdef"):rep(4096), ["repeat"] = 40 } } }
    local stream = assert(client:call("ContainerArchive", { id = "web", path = "/etc" }))
    assert.equal("e30=", stream:header("X-Docker-Container-Path-Stat"))
    local size, first = 0, nil
    for bytes, more in stream do
      assert.is_nil(more)
      assert.is_true(#bytes > 0 and #bytes <= 65536)
      first = first or bytes:sub(1, 5)
      size = size + #bytes
    end
    assert.equal(5 + 40 * 65536, size)
    assert.equal("\0\255tar", first)
    assert.equal("/v1.41/containers/web/archive?path=/etc", server:requests()[2].path)
  end)

  it("is no more in memory than it has to be, however fast it comes #heavy", function()
    local client = serve { framing = "chunked", body = { { text = ("x"):rep(1 << 20), ["repeat"] = 64 } } }
    local stream = assert(client:call("ContainerExport", { id = "web" }))
    local size, before, most = 0, resident(), 0
    loop.run(function() loop.sleep(0.1) end) -- so that a buffer is full when reading begins
    for bytes in stream do
      size = size + #bytes
      if size % (4 << 20) < #bytes then most = math.max(most, resident() - before) end
    end
    assert.equal(64 << 20, size)
    if not sanitized then assert.is_true(most < 4 << 20, most .. " bytes more") end
  end)

  it("that is cut is interrupted", function()
    local client = serve { framing = "chunked", body = { "begin", { close = true } } }
    for _, case in ipairs { { "ContainerExport", { id = "a" } }, { "ImageGet", { name = "a" } },
      { "ImageGetAll", { names = { "a", "b" } } }, { "ContainerArchive", { id = "a", path = "/" } } } do
      local items, err = collect(client:call(table.unpack(case)))
      assert.same({ "begin" }, items)
      assert.equal("interrupted", err.kind)
    end
  end)
end)

describe("a stream of output", function()
  after_each(env.cleanup)
  local body = frame(1, "out") .. frame(2, "err") .. frame(2, "") .. frame(2, "or") .. frame(0, "in")

  local function logs(reply, options, version)
    local client = serve(reply, { version = version })
    local all = {}
    for chunk, which in assert(client:call("ServiceLogs", { id = "s", stdout = true }, options)) do
      all[#all + 1] = which .. ":" .. chunk
    end
    return table.concat(all, " ")
  end

  it("is framed, unless the option or (from 1.42 on) the Content-Type says that it is not", function()
    local raw, framed = "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream"
    assert.equal("stdout:out stderr:error stdout:in", logs { body = body })
    assert.equal("stdout:out stderr:error stdout:in", logs({ body = body }, { tty = false }))
    assert.equal("stdout:out stderr:error stdout:in", logs { body = body, type = raw })
    assert.equal("stdout:" .. body, logs({ body = body }, { tty = true }))
    assert.equal("stdout:" .. body, logs({ body = body, type = raw }, nil, "1.42"))
    assert.equal("stdout:out stderr:error stdout:in", logs({ body = body, type = framed }, { tty = true }, "1.42"))
    assert.equal("stdout:" .. body, logs({ body = body, type = "text/plain" }, { tty = true }, "1.42"))
  end)

  it("comes to the same however it is split", function()
    for _, each in ipairs { 1, 2, 3, 5, 9, 10, 11 } do
      local out, err = "", ""
      local client = serve { body = body:rep(20), each = each }
      for chunk, which in assert(client:call("TaskLogs", { id = "t" })) do
        if which == "stdout" then out = out .. chunk else err = err .. chunk end
      end
      assert.same({ ("outin"):rep(20), ("error"):rep(20) }, { out, err })
    end
  end)
end)

describe("times of a stream", function()
  after_each(env.cleanup)

  it("first_byte_timeout: until the headers; by default the client's where they come at once", function()
    local function ask(operation, params, options, timeout)
      local client = serve(nil, { timeout = timeout, routes = { { prefix = "/v1", reply = { delay = 30 } } } })
      return fails("timeout", client:call(operation, params, options))
    end
    local err = ask("SystemEvents", nil, { first_byte_timeout = 0.1 })
    assert.matches("first_byte_timeout", err.message)
    assert.matches("first_byte_timeout", ask("ContainerStats", { id = "a" }, nil, 0.1).message)
    assert.matches("first_byte_timeout", ask("ContainerArchive", { id = "a", path = "/" }, nil, 0.1).message)
    assert.matches("within the time allowed", ask("ImagePush", { name = "a" }, { timeout = 0.1 }, 0.05).message)
    assert.matches("first_byte_timeout", ask("ImageGet", { name = "a" }, { first_byte_timeout = 0.1 }).message)
  end)

  it("first_byte_timeout ends an Engine that accepts and says nothing at all", function()
    local server = scripted.start { api_version = false, connections = { { raw = { { wait = true } } } } }
    env.defer(function() server:stop() end)
    local client <close> = assert(docker.connect { host = server.host })
    local err = fails("timeout", client:logs("web", { first_byte_timeout = 0.1 }))
    assert.matches("first_byte_timeout", err.message)
  end)

  it("idle_timeout: while read waits for the next byte, not while nobody reads, not in all", function()
    local piece = '{"a":1}\n'
    local client = serve { framing = "chunked", body = {
      piece, { delay = 0.1 }, piece, { delay = 0.1 }, '{"a"', { delay = 0.1 }, ":1}", { delay = 0.1 }, piece,
      { wait = true } } }
    local stream = assert(client:call("SystemEvents", nil, { idle_timeout = 0.3 }))
    assert(stream:read())
    loop.run(function() loop.sleep(0.5) end)
    for _ = 1, 3 do assert.same({ a = 1 }, (assert(stream:read()))) end
    local err = fails("timeout", stream:read())
    assert.matches("idle_timeout", err.message)
  end)

  it("timeout: the whole life", function()
    local client = serve { framing = "chunked", body = { '{"a":1}\n', { wait = true } } }
    local stream = assert(client:call("SystemEvents", nil, { timeout = 0.2, idle_timeout = 5 }))
    assert(stream:read())
    local err = fails("timeout", stream:read())
    assert.is_nil(err.message:find("idle", 1, true))
  end)

  it("ctx: cancel ends a read, in a task and in plain Lua", function()
    local client = serve { framing = "chunked", body = { '{"a":1}\n', { wait = true } } }
    local ctx = docker.context {}
    local stream = assert(client:call("SystemEvents", nil, { ctx = ctx }))
    loop.run(function()
      assert(stream:read())
      local reader = loop.spawn(function() return stream:read() end)
      loop.sleep(0.01)
      assert.has_error(function() stream:read() end)
      ctx:cancel("enough")
      local _, err = reader:join()
      assert.equal("cancelled", err.kind)
      assert.matches("enough", err.message)
    end)
    fails("cancelled", client:call("SystemEvents", nil, { ctx = ctx }))
  end)
end)

describe("core.invoke", function()
  after_each(env.cleanup)

  it("is client:call under another name and subject", function()
    local client, server = serve(nil, { routes = {
      { path = "/v1.41/containers/web/json", reply = { json = { Id = "x" } } },
      { path = "/v1.41/events", reply = { body = '{"a":1}{"b"' } },
    } })
    assert.same({ Id = "x" }, core.invoke(client, "look_at", "the web", "ContainerInspect", { id = "web" }, {}))
    local err = fails("not_found", core.invoke(client, "look_at", "the web", "ContainerInspect", { id = "nobody" }))
    assert.same({ "look_at", "the web" }, { err.op, err.subject })
    assert.matches("^look_at the web: ", err.message)
    err = fails("not_found", core.invoke(client, "look_at", nil, "ContainerInspect", { id = "nobody" }))
    assert.equal("nobody", err.subject)
    local name = "wa" .. "tch" -- not kept by anybody but the call
    local stream = assert(core.invoke(client, name, "all", "SystemEvents"))
    name = nil -- luacheck: ignore
    collectgarbage()
    assert.same({ a = 1 }, (stream:read()))
    err = fails("interrupted", stream:read())
    assert.matches("^watch all: ", err.message)
    assert.equal("/v1.41/containers/web/json", server:requests()[2].path)
  end)
end)

describe("a body of bytes", function()
  after_each(env.cleanup)

  it("may be a string", function()
    local client, server = serve(nil, { routes = {
      { method = "PUT", path = "/v1.41/containers/web/archive", reply = {} },
      { method = "POST", path = "/v1.41/build", reply = { body = '{"stream":"ok"}' } },
    } })
    assert.is_true(client:call("PutContainerArchive", { id = "web", path = "/tmp", body = "tar\0" }))
    local items = collect(client:call("ImageBuild", { body = "tar", ["Content-type"] = "application/x-tar; x=1",
      ["X-Registry-Config"] = { ["reg.example"] = { username = "ann", password = "pass~~~" } }, t = { "a", "b" } }))
    assert.same({ { stream = "ok" } }, items)
    local put, build = server:requests()[2], server:requests()[3]
    assert.same({ "tar\0", "application/x-tar" }, { put.body, put.headers["content-type"] })
    assert.same({ "tar", "application/x-tar; x=1", "/v1.41/build?t=a&t=b" },
      { build.body, build.headers["content-type"], build.path })
    local text = build.headers["x-registry-config"]
    assert.matches("^[%w_-]+=*$", text)
    local plain = env.run("printf %s '" .. text .. "' | tr _- /+ | base64 -d")
    assert.matches('"reg.example":{', plain, 1, true)
    assert.matches('"password":"pass~~~"', plain, 1, true)
  end)

  it("is missed where it is needed, and refused where it is not", function()
    local client = serve {}
    for _, operation in ipairs { "ImageLoad", "ImageBuild", "PluginCreate" } do
      local ok, err = pcall(function() client:call(operation, {}) end)
      assert.is_false(ok)
      assert.matches("stream_spec.lua:%d+: call: " .. operation .. ": parameter 'body' is missing", err)
    end
    assert.error_matches(function() client:call("ContainerList", { body = {} }) end, "takes no body")
    assert.error_matches(function() client:call("ImageLoad", { body = 12 }) end, "body: string.* expected, got number")
    assert.error_matches(function() client:call("ImageBuild", { body = "", ["X-Registry-Config"] = "a\r\nb" }) end,
      "control byte")
  end)
end)

describe("what is not offered", function()
  after_each(env.cleanup)

  it("says what to use instead", function()
    local client = serve {}
    assert.error_matches(function() client:call("Session") end, "docker buildx build")
    assert.error_matches(function() client:call("ContainerAttachWebsocket", { id = "a" }) end, "use ContainerAttach,")
  end)

  it("is an option of another kind of operation", function()
    local client = serve {}
    assert.error_matches(function() client:call("ContainerList", {}, { tty = true }) end, "unknown option 'tty'")
    for _, operation in ipairs { "ContainerList", "SystemEvents", "ImageBuild" } do
      assert.error_matches(function() client:call(operation, { body = operation == "ImageBuild" and "x" or nil },
        { auth = { username = "a", password = "b" } }) end, operation .. ": option 'auth': it takes no")
    end
    assert.error_matches(function() client:call("SystemEvents", {}, { idle_timout = 1 }) end,
      "did you mean 'idle_timeout'")
  end)
end)

describe("a HEAD", function()
  after_each(env.cleanup)

  it("gives its headers", function()
    local client = serve { headers = { ["X-Docker-Container-Path-Stat"] = "e30=" } }
    local headers = assert(client:call("ContainerArchiveInfo", { id = "a", path = "/" }))
    assert.equal("e30=", headers["x-docker-container-path-stat"])
  end)
end)
