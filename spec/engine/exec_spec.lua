-- exec, exec_stream and attach on a real Engine.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"

local IDLE <const> = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

describe("exec", function()
  local client, id

  setup(function()
    client = assert(docker.connect { host = env.docker_host })
    id = assert(client:create_container { image = env.image, cmd = { "sh", "-c", IDLE } }).id
    assert(client:start_container(id))
  end)
  teardown(function()
    assert(client:remove_container(id, { force = true }))
    client:close()
  end)

  it("gives the exit code and both outputs apart", function()
    assert.same({ exit_code = 3, stdout = "out\n", stderr = "err\n" },
      assert(client:exec(id, { "sh", "-c", "echo out; echo err >&2; exit 3" })))
  end)

  it("sends stdin: bytes, a function, an object with read(), and then its end", function()
    assert.equal("5\n", assert(client:exec(id, { "wc", "-c" }, { stdin = "hello" })).stdout)
    assert.equal("0\n", assert(client:exec(id, { "wc", "-c" }, { stdin = "" })).stdout)
    local left = 300
    local function piece()
      left = left - 1
      return left >= 0 and ("x"):rep(10000) or nil
    end
    assert.equal("3000000\n", assert(client:exec(id, { "wc", "-c" }, { stdin = piece })).stdout)
    local file <close> = assert(io.tmpfile())
    file:write("from a file")
    file:seek("set")
    local reader = { read = function() return file:read(4) end }
    assert.equal("from a file", assert(client:exec(id, { "cat" }, { stdin = reader })).stdout)
  end)

  it("writes and reads at once, more than any buffer holds", function()
    local bytes = ("0123456789abcdef"):rep(200000)
    local result = assert(client:exec(id, { "cat" }, { stdin = bytes }))
    assert.is_true(result.stdout == bytes)
  end)

  it("leaves stdin that nobody reads", function()
    assert.equal(0, assert(client:exec(id, { "true" }, { stdin = ("x"):rep(4000000) })).exit_code)
  end)

  it("takes env, user, working_dir and tty", function()
    local result = assert(client:exec(id, { "sh", "-c", "echo $A $B; pwd; id -u" },
      { env = { A = "a b", B = "" }, working_dir = "/bin", user = "65534" }))
    assert.same({ exit_code = 0, stdout = "a b\n/bin\n65534\n", stderr = "" }, result)
    result = assert(client:exec(id, { "sh", "-c", "test -t 1 && echo terminal; echo err >&2" }, { tty = true }))
    assert.same({ exit_code = 0, stdout = "terminal\r\nerr\r\n", stderr = "" }, result)
  end)

  it("reports a program that is not there as the runtime does", function()
    local result, err = client:exec(id, { "no-such-program" })
    if result then
      assert.is_true(result.exit_code == 126 or result.exit_code == 127, result.exit_code)
      assert.matches("no%-such%-program", result.stdout)
    else -- newer Engines tell it before the connection becomes two-way
      assert.matches("no%-such%-program", tostring(err))
    end
  end)

  it("names the container in its errors", function()
    local name = env.name("gone")
    local result, err = client:exec(name, { "true" })
    assert.is_nil(result)
    assert.same({ "not_found", "exec", name }, { err.kind, err.op, err.subject })
    local stopped = assert(client:create_container { image = env.image })
    finally(function() client:remove_container(stopped.id, { force = true }) end) -- luacheck: ignore
    result, err = client:exec(stopped.id, { "true" })
    assert.is_nil(result)
    assert.equal("conflict", err.kind)
    assert.matches(stopped.id, err.message)
  end)

  it("ends at its deadline, at a cancel and at max_output, and the client goes on", function()
    local result, err = client:exec(id, { "sleep", "60" }, { timeout = 0.3 })
    assert.is_nil(result)
    assert.equal("timeout", err.kind)
    local ctx = docker.context {}
    loop.run(function()
      local task = loop.spawn(function() return client:exec(id, { "sleep", "60" }, { ctx = ctx }) end)
      loop.sleep(0.2)
      ctx:cancel("enough")
      result, err = task:join()
    end)
    assert.is_nil(result)
    assert.equal("cancelled", err.kind)
    assert.matches("enough", err.message)
    result, err = client:exec(id, { "yes" }, { max_output = 100000 })
    assert.is_nil(result)
    assert.equal("too_large", err.kind)
    assert.matches("max_output", err.message)
    assert.equal("ok\n", assert(client:exec(id, { "echo", "ok" })).stdout)
  end)

  it("raises what its stdin function raises, and gives its nil, err as the cause", function()
    local thrown = {}
    local ok, err = pcall(client.exec, client, id, { "cat" }, { stdin = function() error(thrown) end })
    assert.is_false(ok)
    assert.equal(thrown, err)
    assert.equal("ok\n", assert(client:exec(id, { "echo", "ok" })).stdout)
  end)

  it("runs many at once in one loop", function()
    loop.run(function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = loop.spawn(function()
          return assert(client:exec(id, { "sh", "-c", "cat; exit " .. i }, { stdin = "in " .. i }))
        end)
      end
      for i, task in ipairs(tasks) do
        assert.same({ exit_code = i, stdout = "in " .. i, stderr = "" }, task:join())
      end
    end)
  end)

  describe("as a live stream", function()
    it("is written and read in turns, and has an exit code", function()
      local script = "while read x; do echo got $x; done; exit 7"
      local process <close> = assert(client:exec_stream(id, { "sh", "-c", script }))
      for _, word in ipairs { "one", "two" } do
        assert.is_true(process:write(word .. "\n"))
        assert.equal("got " .. word .. "\n", (process:read()))
      end
      assert.is_true(process:close_write())
      assert.is_nil(process:read())
      assert.same({ exit_code = 7 }, process:wait())
    end)

    it("closes at the end of a for loop, also by break", function()
      local all = {}
      for chunk, output in client:exec_stream(id, { "sh", "-c", "echo a; sleep 0.2; echo b >&2" }, { stdin = false }) do
        all[#all + 1] = output .. " " .. chunk
      end
      assert.same({ "stdout a\n", "stderr b\n" }, all)
      for _ in client:exec_stream(id, { "yes" }) do break end -- luacheck: ignore
      assert.equal("ok\n", assert(client:exec(id, { "echo", "ok" })).stdout)
    end)

    it("resizes its terminal", function()
      local process <close> = assert(client:exec_stream(id, { "sh", "-c", "read x; stty size" }, { tty = true }))
      assert.is_true(process:resize(40, 100))
      assert.is_true(process:write("\n"))
      local text = ""
      for chunk in process do text = text .. chunk end
      assert.matches("40 100", text)
    end)
  end)

  local misuses = {
    { "cmd: array of strings expected, got string; for a command line", function() client:exec(id, "ls -l") end },
    { "cmd: it is empty", function() client:exec(id, {}) end },
    { "cmd%[2%]: string expected, got number", function() client:exec(id, { "ls", 1 }) end },
    { "option 'stdin': string, function or an object", function() client:exec(id, { "ls" }, { stdin = 5 }) end },
    { "option 'env': { NAME", function() client:exec(id, { "ls" }, { env = { A = 1 } }) end },
    { "unknown option 'usr' %(did you mean 'user'%?%)", function() client:exec(id, { "ls" }, { usr = "a" }) end },
  }
  for _, case in ipairs(misuses) do
    it("refuses at the caller's line: " .. case[1], function()
      local ok, err = pcall(case[2])
      assert.is_false(ok)
      assert.matches("exec_spec.lua:%d+: exec: " .. case[1], err)
    end)
  end
end)

describe("attach", function()
  local client

  before_each(function() client = assert(docker.connect { host = env.docker_host }) end)
  after_each(function()
    client:close()
    env.cleanup()
  end)

  local function create(script, options)
    options = options or {}
    options.image, options.cmd = env.image, { "sh", "-c", script }
    return env.dispose("container", assert(client:create_container(options)).id)
  end

  it("before the start misses nothing, and gives the exit code", function()
    local id = create("read x; echo got $x; echo err >&2; exit 4", { open_stdin = true, raw = { StdinOnce = true } })
    local process <close> = assert(client:attach(id, { stdin = true }))
    assert(client:start_container(id))
    assert.is_true(process:write("word\n"))
    local all = { stdout = "", stderr = "" }
    for chunk, output in process do all[output] = all[output] .. chunk end
    assert.same({ stdout = "got word\n", stderr = "err\n" }, all)
    assert.same({ exit_code = 4 }, process:wait())
  end)

  it("knows a terminal from the container's configuration", function()
    local id = create("read x; echo got $x", { tty = true, open_stdin = true })
    local process <close> = assert(client:attach(id, { stdin = true }))
    assert(client:start_container(id))
    assert.is_true(process:write("word\n"))
    local text = ""
    for chunk, output in process do
      assert.equal("stdout", output)
      text = text .. chunk
    end
    assert.matches("got word\r\n", text)
  end)

  it("gives what was written before, with logs", function()
    local id = create("echo before")
    assert(client:start_container(id))
    assert(client:wait_container(id))
    local process <close> = assert(client:attach(id, { logs = true, stream = false }))
    assert.equal("before\n", (process:read()))
    assert.is_nil(process:read())
  end)
end)
