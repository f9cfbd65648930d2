-- Engines behind ssh:// (src/ssh.c): a real sshd on the loopback interface, with the docker command and the real Engine
-- behind it; and all that can be wrong with such a way.

local child = require "spec.support.child"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"

local LONG = 30 -- seconds: a wait that has to end long before
local IDLE = 16 -- LIMIT_SSH_IDLE

describe("ssh://", function()
  local PROGRAM = os.getenv("DW_BIN") .. "/ssh"
  local ssh, usual
  local containers = {}

  setup(function()
    ssh = env.start_ssh()
    usual = env.read_file(PROGRAM)
  end)
  teardown(env.cleanup)
  after_each(function()
    env.write_file(PROGRAM, usual)
    while #containers > 0 do env.engine("DELETE", "/containers/" .. table.remove(containers) .. "?force=1") end
    collectgarbage() -- and then nothing is left of any client
    collectgarbage()
    assert.same({}, ssh:processes())
  end)

  local function connect(name, options)
    options = options or {}
    options.host = "ssh://" .. (name or "dw")
    options.timeout = options.timeout or LONG
    return assert(docker.connect(options))
  end

  -- Another ssh than the usual one until the end of the spec.
  local function replace_ssh(script)
    env.write_file(PROGRAM, "#!/bin/sh\nunset LD_PRELOAD\n" .. script .. "\n")
  end

  local function start(client, script)
    local c = assert(client:create_container { image = env.image, cmd = { "sh", "-c", script } })
    containers[#containers + 1] = c.id
    assert(client:start_container(c.id))
    return c.id
  end

  local function fails(kind, pattern, result, err)
    assert.is_nil(result)
    assert.equal(kind, err.kind, tostring(err))
    assert.matches(pattern, err.message)
    return err
  end

  it("is an Engine like any other", function()
    local client <close> = connect()
    local direct <close> = assert(docker.connect { host = env.docker_host })
    assert.same(direct:ping(), client:ping())
    assert.same(direct:version(), client:version())
    assert.equal(direct:info().id, client:info().id)
    assert.equal(direct:inspect_image(env.image).id, client:inspect_image(env.image).id)
    local id = start(client, "echo out; echo err >&2; exit 3")
    assert.same({ exit_code = 3 }, client:wait_container(id))
    assert.equal("exited", client:inspect_container(id).state)
    local log = {}
    for chunk, stream in client:logs(id) do log[stream] = (log[stream] or "") .. chunk end
    assert.same({ stdout = "out\n", stderr = "err\n" }, log)
    fails("not_found", "No such container", client:inspect_container("nobody"))
  end)

  it("takes user, port and the path of the socket", function()
    local port = env.read_file(ssh.config):match("Port (%d+)")
    local path = env.docker_host:match("^unix://(.*)")
    local client <close> = connect(("root@dw:%s%s"):format(port, path))
    assert.equal("1." .. env.engine_api(), assert(client:ping()).api_version)
  end)

  it("serves many requests by one ssh", function()
    local before = ssh:started()
    local client <close> = connect()
    for _ = 1, 50 do assert(client:ping()) end
    assert(client:list_containers { all = true })
    assert.equal(before + 1, ssh:started())
    assert.equal(1, #ssh:processes())
    assert.equal(1, client:connections())
    client:close()
    assert.same({}, ssh:processes())
  end)

  it("opens several for concurrent calls, not more at a time than sshd lets in, and uses them again", function()
    local before = ssh:started()
    local client <close> = connect()
    local function all(count)
      loop.run(function()
        local tasks = {}
        for i = 1, count do tasks[i] = loop.spawn(function() return client:ping() end) end
        for _, task in ipairs(tasks) do assert(task:join()) end
      end)
    end
    all(20) -- sshd drops what is beyond ten that have not logged in
    local first = ssh:started() - before
    assert.is_true(first > 1 and first <= 20, first)
    assert.is_true(#ssh:processes() <= IDLE)
    all(#ssh:processes())
    assert.equal(first, ssh:started() - before)
  end)

  it("reports a pull's progress", function()
    local client <close> = connect()
    local image = env.registry .. "/" .. env.name("ssh")
    env.tinyimage(image .. ":1")
    finally(function() env.engine("DELETE", "/images/" .. image .. ":1?force=1") end)
    local events = 0
    local pulled = assert(client:pull_image(image, "1", { on_progress = function() events = events + 1 end }))
    assert.equal("downloaded", pulled.status)
    assert.is_true(events > 2)
    fails("not_found", "nobody", client:pull_image(env.registry .. "/nobody", "1"))
  end)

  it("follows a log", function()
    local client <close> = connect()
    local id = start(client, "echo one; sleep 900")
    local stream <close> = client:logs(id, { follow = true })
    assert.equal("one\n", (stream:read()))
    loop.run(function()
      local reader = loop.spawn(function() return stream:read() end)
      assert(client:ping()) -- by another ssh
      reader:cancel()
      fails("cancelled", "", reader:join())
    end)
  end)

  it("loads an image that comes by and by", function()
    local client <close> = connect()
    local image = env.name("ssh") .. ":1"
    local archive = env.tmpdir() .. "/image.tar"
    assert(client:tag_image(env.image, image))
    finally(function() env.engine("DELETE", "/images/" .. image) end)
    env.run(("curl -sSf --unix-socket %s http://engine/images/%s/get >%s"):format(env.docker_host:sub(8), image,
      archive))
    local file <close> = assert(io.open(archive, "rb"))
    local text = ""
    for item in assert(client:call("ImageLoad", { body = file })) do text = text .. (item.stream or "") end
    assert.matches("Loaded image: " .. image:gsub("%p", "%%%0"), text)
  end)

  it("brings the end of a two-way connection's one direction to the other side", function()
    local client <close> = connect()
    local id = start(client, "sleep 900")
    local exec = assert(client:call("ContainerExec", { id = id, body = {
      AttachStdin = true, AttachStdout = true, AttachStderr = true, Cmd = { "sh", "-c", "wc -c; echo end" } } }))
    local parts = 0
    local both <close> = assert(client:call("ExecStart", { id = exec.Id, body = { Detach = false, Tty = false } }, {
      stdin = function()
        parts = parts + 1
        return parts <= 40 and ("x"):rep(65536) or nil
      end,
    }))
    local text = ""
    for chunk in both do text = text .. chunk end
    assert.equal(40 * 65536 .. "\nend\n", text) -- wc has seen an end
    assert.equal(0, assert(client:call("ExecInspect", { id = exec.Id })).ExitCode)
  end)

  it("attaches, and is interrupted where ssh dies then", function()
    local client <close> = connect()
    local c = assert(client:create_container { image = env.image, cmd = { "sh", "-c", "read a; echo \"<$a>\"; read a" },
      raw = { OpenStdin = true } })
    containers[#containers + 1] = c.id
    local both <close> = assert(client:call("ContainerAttach",
      { id = c.id, stream = true, stdin = true, stdout = true }))
    assert(client:start_container(c.id))
    assert.is_true(both:write("hello\n"))
    assert.same({ "<hello>\n", "stdout" }, { both:read() })
    env.run("kill -9 " .. table.concat(ssh:processes(), " "))
    fails("interrupted", "ssh was ended by signal 9", both:read())
    assert(client:ping())
  end)

  it("leaves nothing running over there", function()
    local client <close> = connect()
    loop.run(function() for _ = 1, 4 do loop.spawn(function() assert(client:ping()) end) end end)
    client:close()
    env.wait(10, "the end of docker system dial-stdio", function()
      return not env.sh("pgrep -x docker -a | grep 'dial[-]stdio'").ok
    end)
  end)

  it("asks nobody, whatever the environment offers, and hands over each word by itself", function()
    replace_ssh('echo "<$*> $SSH_ASKPASS $SSH_ASKPASS_REQUIRE $(tty) $(cut -d" " -f7 /proc/self/stat)" >&2; exit 255')
    local script = env.tmpdir() .. "/program.lua"
    env.write_file(script, [[
      local docker = require "docker_watcher.docker"
      local client <close> = docker.connect { host = arg[1], connect_timeout = 6.5 }
      print(select(2, client:ping())) ]])
    local function said(host)
      return env.run(("SSH_ASKPASS=/bin/evil SSH_ASKPASS_REQUIRE=force script -qec %s /dev/null"):format(
        env.quote(env.lua .. " " .. script .. " " .. host)))
    end
    local options = "%-o BatchMode=yes %-o LogLevel=ERROR %-o ClearAllForwardings=yes %-T %-o ConnectTimeout=7 "
    assert.matches(options .. "%-%- h docker system dial%-stdio>  never not a tty 0%.", said("ssh://h"))
    assert.matches(options .. "%-l me %-p 2222 %-%- ::1 docker %-%-host=unix:///run/docker.sock system dial%-stdio>",
      said("ssh://me@[::1]:2222/run/docker.sock"))
  end)

  it("refuses hosts that ssh would take for options", function()
    for _, host in ipairs { "-oProxyCommand=evil", "-h", "me@-h", "-l@h", "h/$(evil)", "h/a;evil" } do
      local ok, err = pcall(docker.connect, { host = "ssh://" .. host })
      assert.is_false(ok)
      assert.matches("connect: host", err)
    end
  end)

  describe("says what is wrong, and what to do:", function()
    local cases = {
      { "dw-password", "root@127.0.0.1: Permission denied %(publickey,password%)%. The key has to work without" },
      { "dw-unknown", "Host key verification failed%. Connect once by hand" },
      { "dw-changed", "Host key verification failed%. Make sure that it is the right host" },
      { "dw-nodocker", "docker: command not found%. Install Docker's client there" },
      { "dw-noengine", "connect: no such file or directory%. Start the Engine there" },
      { "dw-port", "Connection refused%. See what `ssh HOST docker version` says" },
      { "no-such-host.invalid", "Could not resolve hostname.*%. Check the host's name" },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        local client <close> = connect(case[1])
        for _ = 1, 2 do -- once more: nothing of the first attempt is in the way
          local err = fails("unreachable", case[2], client:ping())
          assert.matches("^ping: cannot reach the Docker Engine at ssh://" .. case[1]:gsub("%p", "%%%0") .. ": ",
            tostring(err))
        end
        loop.run(function()
          for _ = 1, 3 do loop.spawn(function() fails("unreachable", case[2], client:info()) end) end
        end)
        assert.equal(0, client:connections())
      end)
    end
  end)

  it("gives up on a server that says nothing, within connect_timeout", function()
    local client <close> = connect("dw-mute", { connect_timeout = 1 })
    fails("unreachable", "timed out during banner exchange", client:ping())
  end)

  it("gives up on an Engine that says nothing, within timeout", function()
    local client <close> = connect("dw-silent", { timeout = 1.5 })
    fails("timeout", "", client:ping())
    assert.same({}, ssh:processes())
  end)

  it("gives up on an ssh that hangs, and leaves none", function()
    local file = env.tmpdir() .. "/pid"
    replace_ssh("echo $$ >" .. file .. "; trap '' TERM HUP; sleep 900; sleep 900")
    local client <close> = connect("dw", { timeout = 0.5 })
    fails("timeout", "", client:ping())
    local pid = env.read_file(file):match("%d+")
    assert.is_nil(io.open("/proc/" .. pid))
    env.wait(5, "the end of its group", function() return not env.sh("pgrep -g " .. pid).ok end)
  end)

  it("says what prints where only the Engine should", function()
    local client <close> = connect("dw-chatty")
    fails("protocol", "does not answer as a Docker Engine does: .*start%-up file", client:ping())
  end)

  it("takes a little of much that ssh complains of", function()
    replace_ssh("yes 'complaint ' | head -n 200000 >&2; exit 255")
    local client <close> = connect()
    local err = fails("unreachable", "complaint; complaint", client:ping())
    assert.is_true(#err.message < 600)
    replace_ssh("printf 'a\\033[31m\\377b' >&2; exit 255")
    assert.matches("a %[31m\\xFFb%.", fails("unreachable", "", client:ping()).message)
  end)

  it("does not say unreachable where a request may have arrived", function()
    local client <close> = connect()
    for script, pattern in pairs {
      ["exit 9"] = "ssh ended with status 9 and said nothing",
      ["kill -TERM $$"] = "ssh was ended by signal 15",
      ["echo 'client_loop: send disconnect: Broken pipe' >&2; exit 255"] = "before the reply did: client_loop: send",
      ["printf 'HTTP/1.1 200 OK\\r\\nContent-Le'; echo 'Timeout, server h not responding.' >&2; exit 255"] =
        "not responding",
    } do
      replace_ssh(script)
      fails("interrupted", pattern, client:ping())
    end
  end)

  it("takes a reply that ends with its connection, unless ssh has lost that", function()
    local reply = [[while read -r line && [ ${#line} -gt 1 ]; do :; done
      echo x >&2; printf 'HTTP/1.1 200 OK\r\n%s\r\n{}'; exit %d]]
    local client <close> = connect("h", { api_version = "1.41" })
    replace_ssh(reply:format("", 1))
    assert.same({}, client:call("SystemInfo"))
    replace_ssh(reply:format("Content-Length: 2\\r\\nConnection: close\\r\\n", 255))
    assert.same({}, client:call("SystemInfo"))
    replace_ssh(reply:format("", 255))
    fails("interrupted", "ended before the reply did: x", client:call("SystemInfo"))
  end)

  it("says so where there is no ssh", function()
    local script = env.tmpdir() .. "/program.lua"
    env.write_file(script, [[
      local docker = require "docker_watcher.docker"
      local client <close> = docker.connect { host = "ssh://dw" }
      for _ = 1, 2 do print(select(2, client:ping())) end ]])
    local lua = env.run("command -v lua5.4")
    local out = env.run(env.lua:gsub("lua5.4$", "PATH=/nowhere " .. lua):gsub("^", "env ") .. " " .. script)
    assert.equal(2, select(2, out:gsub("there is no program ssh in PATH%. Install OpenSSH's client", "")), out)
  end)

  it("is interrupted where ssh dies in the middle, and goes on", function()
    local client <close> = connect()
    local id = start(client, "echo one; sleep 900")
    local stream <close> = client:logs(id, { follow = true })
    assert.equal("one\n", (stream:read()))
    env.run("kill -9 " .. table.concat(ssh:processes(), " "))
    fails("interrupted", "ended before the reply did", stream:read())
    loop.run(function()
      local waiter = loop.spawn(function() return client:wait_container(id) end)
      repeat loop.sleep(0.01) until #ssh:processes() > 0 and client:ping()
      env.run("kill -9 " .. table.concat(ssh:processes(), " "))
      fails("interrupted", "", waiter:join())
    end)
    assert(client:ping())
    assert.equal("running", client:inspect_container(id).state)
  end)

  it("does not mind that an idle ssh has died", function()
    local client <close> = connect()
    for _ = 1, 3 do
      assert(client:ping())
      env.run("kill -9 " .. ssh:processes()[1])
      env.wait(5, "its end", function() return #ssh:processes() == 0 end)
      assert(client:call("ContainerPrune", { filters = { label = { "nobody-has-it" } } })) -- not repeatable
    end
  end)

  it("ends the ssh of a call that is cancelled, also while it logs in", function()
    local client <close> = connect()
    local ctx = docker.context { timeout = 0.05 }
    fails("timeout", "", client:ping { ctx = ctx })
    assert.same({}, ssh:processes())
    loop.run(function()
      local tasks = {}
      for i = 1, 12 do tasks[i] = loop.spawn(function() return client:ping() end) end -- some wait for their turn
      repeat loop.sleep(0.001) until #ssh:processes() > 0
      for _, task in ipairs(tasks) do task:cancel() end
      for _, task in ipairs(tasks) do
        local ok, err = task:join()
        assert.is_true(ok ~= nil or err.kind == "cancelled")
      end
    end)
    assert(client:ping())
  end)

  it("ends its ssh processes when it is closed, collected, or the program ends in whatever way", function()
    do
      local client = connect()
      assert(client:ping())
      assert.equal(1, #ssh:processes())
    end
    collectgarbage()
    collectgarbage()
    assert.same({}, ssh:processes())
    for _, ending in ipairs {
      "client:close()", "", "os.exit(0)", "os.exit(0, true)", "error 'x'", "_G.kept = client",
    } do
      child.run([[
        local client = docker.connect { host = "ssh://dw" }
        assert(client:ping())
        loop.run(function() for _ = 1, 3 do loop.spawn(function() assert(client:info()) end) end end)
      ]] .. ending)
      env.wait(5, "the end of each ssh behind " .. ending, function() return #ssh:processes() == 0 end)
    end
    for _, signal in ipairs { "KILL", "INT" } do
      local p <close> = child.start [[
        local client = docker.connect { host = "ssh://dw-silent" }
        client:ping { timeout = 900 }
      ]]
      env.wait(5, "its ssh", function() return #ssh:processes() == 1 end)
      p:waits()
      p:kill(signal)
      if signal == "INT" then assert.matches("interrupted!", p:rest()) end
      env.wait(5, "the end of its ssh", function() return #ssh:processes() == 0 end)
    end
  end)

  it("keeps no descriptor, no process, no file", function()
    local function counts()
      local file <close> = assert(io.open("/proc/self/stat"))
      local me = file:read("n")
      return env.run((
        "ls /proc/%d/fd | wc -l; ps -o pid= --ppid %d | wc -l; ls ${TMPDIR:-/tmp} | grep -c ^docker-watcher || true"
      ):format(me, me))
    end
    connect():close()
    local before
    for i = 1, 4 do
      local client <close> = connect()
      assert(client:ping())
      local broken <close> = connect("dw-port")
      broken:ping()
      client:close()
      broken:close()
      loop.sleep(0.01)
      if i == 1 then before = counts() end
    end
    assert.equal(before, counts())
    assert.matches("0$", before)
  end)
end)
