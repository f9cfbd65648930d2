-- client:call on a real Engine, for the operations whose replies are streams, whose bodies are, and that are two-way.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"

describe("client:call", function()
  local client

  before_each(function() client = assert(docker.connect { host = env.docker_host }) end)
  after_each(function()
    client:close()
    env.cleanup()
  end)

  local function start(cmd, options)
    options = options or {}
    options.image, options.cmd, options.name = env.image, cmd, env.name("call")
    local c = assert(client:create_container(options))
    env.dispose("container", c.id)
    assert(client:start_container(c.id))
    return c.id
  end

  local function text(stream, err)
    assert(stream, tostring(err))
    local all = { stdout = {}, stderr = {} }
    while true do
      local chunk, which = stream:read()
      if not chunk then
        assert.is_nil(which)
        stream:close()
        return table.concat(all.stdout), table.concat(all.stderr)
      end
      table.insert(all[which] or all.stdout, chunk)
    end
  end

  local function both(fn)
    fn()
    loop.run(fn)
  end

  local function exec(id, config, options)
    config.AttachStdout, config.AttachStderr = true, true
    local made = assert(client:call("ContainerExec", { id = id, body = config }))
    local stream, err = client:call("ExecStart", { id = made.Id, body = { Tty = config.Tty or false } }, options)
    return stream, err, function() return assert(client:call("ExecInspect", { id = made.Id })) end
  end

  it("ExecStart: output, stdin with half-close, exit code, TTY", function()
    local id = start { "sleep", "999" }
    both(function()
      local stream, err, inspect = exec(id, { Cmd = { "sh", "-c", "echo out; echo err >&2; exit 3" } })
      assert.same({ "out\n", "err\n" }, { text(stream, err) })
      env.wait(5, "the end of the exec", function() return not inspect().Running end)
      assert.equal(3, inspect().ExitCode)

      stream, err = exec(id, { Cmd = { "wc", "-c" }, AttachStdin = true }, { stdin = ("x"):rep(1000000) })
      assert.equal("1000000\n", (text(stream, err)))

      stream, err = exec(id, { Cmd = { "cat" }, AttachStdin = true })
      assert(stream, err)
      assert.is_true(stream:write("one\n"))
      assert.equal("one\n", (stream:read()))
      assert.is_true(stream:write("two\n"))
      assert.equal("two\n", (stream:read()))
      assert.is_true(stream:close_write())
      assert.same({ nil, nil }, { stream:read() })

      stream, err = exec(id, { Cmd = { "sh", "-c", "tty; echo err >&2" }, Tty = true })
      local out, errors = text(stream, err)
      assert.matches("^/dev/pts/%d+\r\nerr\r\n$", out)
      assert.equal("", errors)
    end)
    local stream, err = exec(id, { Cmd = { "no-such-program" } })
    if stream then assert.matches("no%-such%-program", table.concat { text(stream, err) }) end
  end)

  it("ContainerAttach: before the start nothing is missed", function()
    local c = assert(client:create_container { image = env.image, name = env.name("attach"),
      cmd = { "sh", "-c", "read x; echo got $x; echo e >&2" }, raw = { OpenStdin = true, StdinOnce = true } })
    env.dispose("container", c.id)
    local stream = assert(client:call("ContainerAttach", { id = c.id, stream = true, stdin = true, stdout = true,
      stderr = true }))
    assert(client:start_container(c.id))
    assert.is_true(stream:write("it\n"))
    assert.same({ "got it\n", "e\n" }, { text(stream) })
  end)

  it("ContainerArchive, PutContainerArchive, ContainerArchiveInfo, ContainerExport: what goes in comes out", function()
    local a, b = start { "sleep", "999" }, start { "sleep", "999" }
    assert(text((exec(a, { Cmd = { "sh", "-c", "mkdir /tmp/d; yes 0123456789 | head -c 3000000 > /tmp/d/f" } }))))
    both(function()
      local source = assert(client:call("ContainerArchive", { id = a, path = "/tmp/d" }))
      assert.is_string(source:header("X-Docker-Container-Path-Stat"))
      assert.is_true(client:call("PutContainerArchive", { id = b, path = "/tmp", body = source }))
      assert.equal("3000000 /tmp/d/f\n", (text((exec(b, { Cmd = { "wc", "-c", "/tmp/d/f" } })))))
    end)
    local info = assert(client:call("ContainerArchiveInfo", { id = b, path = "/tmp/d" }))
    assert.is_string(info["x-docker-container-path-stat"])
    local size = 0
    for bytes in assert(client:call("ContainerExport", { id = b })) do size = size + #bytes end
    assert.is_true(size > 3000000)
    local _, err = client:call("ContainerArchive", { id = a, path = "/nowhere" })
    assert.equal("not_found", err.kind)
    err = select(2, client:call("PutContainerArchive", { id = a, path = "/nowhere", body = function() end }))
    assert.equal("not_found", err.kind)
  end)

  it("ImageGet into ImageLoad: a stream is the body of another one", function()
    both(function()
      local image = assert(client:call("ImageGet", { name = env.image }))
      local told = {}
      for item in assert(client:call("ImageLoad", { quiet = false, body = image })) do told[#told + 1] = item.stream end
      assert.matches("Loaded image", table.concat(told))
    end)
    local stream, err = client:call("ImageLoad", { body = "this is no archive" })
    while stream and not err do
      local item
      item, err = stream:read()
      if not item then break end
    end
    assert.is_table(err)
    assert.is_table(select(2, client:call("ImageGet", { name = "nobody/has-this:1" })))
  end)

  it("ImageBuild: the archive goes up in pieces while progress comes down; a failure is in the 200", function()
    local dir = env.tmpdir()
    local function context(dockerfile)
      env.write_file(dir .. "/Dockerfile", dockerfile)
      return assert(io.popen("tar -C " .. dir .. " -cf - Dockerfile", "r"))
    end
    local tag = env.name("built") .. ":1"
    env.dispose("image", tag)
    local told = {}
    local good = context("FROM " .. env.image .. "\nLABEL a=b\n")
    for item in assert(client:call("ImageBuild", { t = tag, body = good })) do
      told[#told + 1] = item.stream
    end
    assert.matches("Successfully built", table.concat(told))
    assert.equal("b", assert(client:inspect_image(tag)).labels.a)
    local bad = context("FROM " .. env.image .. "\nRUN exit 7\n")
    local stream = assert(client:call("ImageBuild", { body = bad, rm = true, forcerm = true }))
    local item, err
    repeat item, err = stream:read() until not item
    assert.equal("engine", err.kind)
    assert.matches("returned a non%-zero code: 7", err.message)
    local _, refused = client:call("ImageBuild", { body = context("NONSENSE\n") })
    assert.is_table(refused)
  end)

  it("SystemEvents and ContainerStats: tables; a stream without end is closed", function()
    local id = start { "sleep", "999" }
    local filters = { container = { id }, event = { "start" } }
    local events <close> = assert(client:call("SystemEvents", { since = 0, filters = filters }))
    local seen = assert(events:read())
    assert.same({ "start", id }, { seen.Action, seen.Actor.ID })
    assert.equal("integer", math.type(seen.timeNano))
    local stream <close> = assert(client:call("ContainerStats", { id = id, stream = true }))
    assert.is_table(assert(stream:read()).cpu_stats)
    local once = 0
    for stats in assert(client:call("ContainerStats", { id = id, stream = false })) do
      once = once + 1
      assert.is_table(stats.memory_stats)
    end
    assert.equal(1, once)
    local _, err = client:call("ContainerStats", { id = "nobody" })
    assert.equal("not_found", err.kind)
  end)
end)
