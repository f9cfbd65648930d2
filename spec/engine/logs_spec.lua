-- logs on a real Engine; frames that it never sends come from a scripted one.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local given = require "spec.support.given"
local scripted = require "spec.support.scripted"

local frame = given.frame

describe("logs", function()
  local client

  before_each(function() client = given.client() end)
  after_each(env.cleanup)

  --- Starts one that is removed at cleanup.
  local function start(script, options)
    options = options or {}
    options.image, options.cmd = env.image, { "sh", "-c", script }
    return given.running(client, options)
  end

  --- Starts one and waits for its end.
  local function run(script, options)
    local c = start(script, options)
    assert(client:wait_container(c.id))
    return c
  end

  --- All that a stream has, by output stream; and the error that ended it.
  local function collect(stream, err)
    assert(stream, err)
    local all = { stdout = "", stderr = "" }
    while true do
      local chunk, which = stream:read()
      if not chunk then
        stream:close()
        return all, which
      end
      all[which] = all[which] .. chunk
    end
  end

  local function fails(kind, ok, err)
    assert.is_nil(ok)
    assert.equal(kind, err.kind, tostring(err))
    return err
  end

  --- A server whose container has the log that `reply` says, and a client of it.
  local function serve(reply, version, more)
    local base = "/v" .. (version or "1.41") .. "/containers/a/"
    local scenario = { api_version = version, routes = more or {} }
    table.insert(scenario.routes, { path = base .. "logs", reply = reply })
    table.insert(scenario.routes, { path = base .. "json", reply = { json = { Config = { Tty = false } } } })
    local server = scripted.start(scenario)
    env.defer(function() server:stop() end)
    local other = docker.connect { host = server.host }
    env.defer(function() other:close() end)
    return other, server
  end

  it("tells stdout from stderr, and ends", function()
    local c = run "echo out; echo err >&2; echo out again"
    assert.same({ stdout = "out\nout again\n", stderr = "err\n" }, (collect(client:logs(c.id))))
    assert.same({ stdout = "out\nout again\n", stderr = "" }, (collect(client:logs(c.id, { stderr = false }))))
    assert.same({ stdout = "", stderr = "err\n" }, (collect(client:logs(c.id, { stdout = false }))))
  end)

  it("is iterable with for", function()
    local c, all = run("echo a; echo b >&2"), { stdout = "", stderr = "" }
    for chunk, which in client:logs(c.id) do all[which] = all[which] .. chunk end
    assert.same({ stdout = "a\n", stderr = "b\n" }, all)
  end)

  it("tail: the last lines, or all", function()
    local c = run "for i in 1 2 3 4 5; do echo $i; done"
    assert.equal("4\n5\n", collect(client:logs(c.id, { tail = 2 })).stdout)
    assert.equal("", collect(client:logs(c.id, { tail = 0 })).stdout)
    assert.equal("1\n2\n3\n4\n5\n", collect(client:logs(c.id, { tail = "all" })).stdout)
  end)

  it("timestamps, since and until_, fractions of seconds included (semantics 49)", function()
    local c = run "echo early; usleep 300000; echo late"
    local stamps = collect(client:logs(c.id, { timestamps = true })).stdout
    local function at(word)
      local stamp = stamps:match("(%S+) " .. word)
      local y, mo, d, h, mi, s, fraction = stamp:match("(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)(%.%d+)Z")
      local here = os.time { year = y, month = mo, day = d, hour = h, min = mi, sec = s, isdst = false }
      local offset = os.time(os.date("*t", here)) - os.time(os.date("!*t", here))
      return here + offset + tonumber(fraction)
    end
    local middle = (at "early" + at "late") / 2
    assert.equal("late\n", collect(client:logs(c.id, { since = middle })).stdout)
    assert.equal("early\n", collect(client:logs(c.id, { until_ = middle })).stdout)
    assert.equal("early\nlate\n", collect(client:logs(c.id, { since = math.floor(middle) - 60 })).stdout)
  end)

  it("times are sent with their fractions, whatever the locale is", function()
    local other, server = serve { body = "" }
    collect(other:logs("a", { since = 1700000000.25, until_ = 1700000001 }))
    collect(other:logs("a", { since = 0.9999999999 }))
    local requests = server:requests()
    assert.truthy(requests[#requests].path:find("since=1", 1, true), requests[#requests].path)
    local found
    for _, request in ipairs(requests) do
      found = found or request.path:find("since=1700000000.250000000&until=1700000001", 1, true)
    end
    assert.truthy(found)
  end)

  it("follow = true goes on until the container ends", function()
    local c = start "echo one; sleep 999"
    local stream = assert(client:logs(c.id, { follow = true }))
    local chunk, which = stream:read()
    assert.same({ "one\n", "stdout" }, { chunk, which })
    assert(client:stop_container(c.id, { stop_timeout = 0 }))
    assert.is_nil(stream:read())
    assert.is_nil(stream:read())
    stream:close()
  end)

  it("following has no default timeout; one that is given ends it", function()
    local c = start "echo one; sleep 999"
    local impatient <close> = docker.connect { host = env.docker_host, timeout = 0.1 }
    loop.run(function()
      local stream = assert(impatient:logs(c.id, { follow = true }))
      assert.equal("one\n", (stream:read()))
      local ended
      local reader = loop.spawn(function()
        local chunk, err = stream:read()
        ended = true
        return chunk, err
      end)
      assert(loop.sleep(0.3))
      assert.is_nil(ended)
      assert(client:stop_container(c.id, { stop_timeout = 0 }))
      assert.is_nil(reader:join())
      stream:close()
    end)
    assert(client:start_container(c.id))
    local _, err = collect(client:logs(c.id, { follow = true, timeout = 0.3 }))
    assert.equal("timeout", err.kind)
  end)

  it("others go on while one task reads", function()
    local c = start "sleep 999"
    local ticks = 0
    loop.run(function()
      local stream = assert(client:logs(c.id, { follow = true }))
      local reader = loop.spawn(function() return stream:read() end)
      for _ = 1, 5 do
        assert(client:inspect_container(c.id))
        ticks = ticks + 1
      end
      assert(client:stop_container(c.id, { stop_timeout = 0 }))
      assert.is_nil(reader:join())
      stream:close()
    end)
    assert.equal(5, ticks)
  end)

  it("a TTY has no framing: all is stdout (semantics 35)", function()
    local c = run("echo out; echo err >&2", { tty = true })
    assert.same({ stdout = "out\r\nerr\r\n", stderr = "" }, (collect(client:logs(c.id))))
  end)

  it("bytes of a TTY that look like a frame are not taken for one (semantics 35)", function()
    local c = run("stty raw; printf '\\001\\000\\000\\000\\000\\000\\000\\002ab'", { tty = true })
    assert.equal("\1\0\0\0\0\0\0\2ab", collect(client:logs(c.id)).stdout)
  end)

  it("a missing container is not_found", function()
    fails("not_found", client:logs("nobody-here"))
    local other = serve({ status = 404, json = { message = "No such container: a" } }, "1.43")
    fails("not_found", other:logs("a"))
  end)

  describe("by Content-Type, from 1.42 on", function()
    local multiplexed, raw = "application/vnd.docker.multiplexed-stream", "application/vnd.docker.raw-stream"

    it("multiplexed-stream is framed; nothing is inspected (semantics 35)", function()
      local other, server = serve({ type = multiplexed, body = frame(2, "e") .. frame(1, "o") }, "1.42")
      assert.same({ stdout = "o", stderr = "e" }, (collect(other:logs("a"))))
      for _, request in ipairs(server:requests()) do assert.is_nil(request.path:find("/json", 1, true)) end
    end)

    it("raw-stream is not (semantics 35)", function()
      local other = serve({ type = raw, body = frame(2, "e") }, "1.42")
      assert.same({ stdout = frame(2, "e"), stderr = "" }, (collect(other:logs("a"))))
    end)

    it("another type, which a proxy has put there: the container is inspected (semantics 35)", function()
      for _, tty in ipairs { true, false } do
        local other = serve({ type = "application/octet-stream", body = frame(2, "e") }, "1.42",
          { { path = "/v1.42/containers/a/json", reply = { json = { Config = { Tty = tty } } } } })
        local all, err = collect(other:logs("a"))
        assert.is_nil(err)
        assert.same(tty and { stdout = frame(2, "e"), stderr = "" } or { stdout = "", stderr = "e" }, all)
      end
    end)

    it("before 1.42 the type is not believed: it says raw for frames (semantics 35)", function()
      local other = serve { type = raw, body = frame(1, "o") }
      assert.equal("o", collect(other:logs("a")).stdout)
    end)
  end)

  describe("frames (semantics 34)", function()
    it("may be split anywhere, and be empty", function()
      local body = frame(1, "") .. frame(0, "in") .. frame(2, "err") .. frame(1, "") .. frame(1, "out")
      local other = serve { body = body, each = 1 }
      assert.same({ stdout = "inout", stderr = "err" }, (collect(other:logs("a"))))
    end)

    it("of type 3 are the daemon's error, and end the stream", function()
      local other = serve { body = frame(1, "o") .. frame(3, "log file is gone") .. frame(1, "never") }
      local all, err = collect(other:logs("a"))
      assert.equal("o", all.stdout)
      assert.equal("stream", err.kind)
      assert.truthy(err.message:find("log file is gone", 1, true), err.message)
    end)

    it("that are none are kind protocol", function()
      local other = serve { body = "plain text, no frames" }
      local _, err = collect(other:logs("a"))
      assert.equal("protocol", err.kind)
    end)

    it("that are cut are no end: kind interrupted, and what came before is there", function()
      local whole = frame(1, "first\n")
      for _, body in ipairs { whole .. frame(1, "second"):sub(1, 5), whole .. frame(1, "second"):sub(1, 10) } do
        local other = serve { body = body, framing = "close" }
        local all, err = collect(other:logs("a"))
        assert.truthy(all.stdout:find("first\n", 1, true))
        assert.equal("interrupted", err.kind)
      end
      local other = serve { framing = "chunked", body = { whole, { close = true } } }
      local all, err = collect(other:logs("a"))
      assert.equal("first\n", all.stdout)
      assert.equal("interrupted", err.kind)
    end)
  end)

  it("closing a stream closes its connection, and the client goes on", function()
    local other, server = serve { framing = "chunked", body = { frame(1, "one"), { wait = true } } }
    local stream = assert(other:logs("a", { follow = true }))
    assert.equal("one", (stream:read()))
    stream:close()
    stream:close()
    server:wait_closed(1)
    assert.has_error(function() stream:read() end)
    assert.equal("table", type(other:call("ContainerInspect", { id = "a" })))
  end)

  it("an Engine that says no in HTML is quoted, not parsed", function()
    local other = serve { status = 502, type = "text/html", body = "<html>bad gateway</html>" }
    local err = fails("engine", other:logs("a"))
    assert.truthy(err.message:find("bad gateway", 1, true))
  end)
end)
