-- core.process.run (src/process.c, src/child.c): a program run to its end, without a shell, and nothing left of it.
-- #heavy: under valgrind a program that cannot be executed is one that ends with status 127.

local child = require "spec.support.child"
local core = require "docker_watcher.core"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"

local ME = assert(io.open("/proc/self/stat")):read("n")

-- Programs of the system: nothing of a sanitizer that we run under is for them.
local function run(options)
  if not options.env then
    options.env = { PATH = os.getenv("PATH"), TMPDIR = os.getenv("TMPDIR") }
  end
  return core.process.run(options)
end

local function sh(script, options)
  options = options or {}
  options.argv = { "sh", "-c", script, table.unpack(options.arguments or {}) }
  options.arguments = nil
  return run(options)
end

local function assert_fails(kind, pattern, result, err)
  assert.is_nil(result)
  assert.equal(kind, err.kind)
  assert.matches(pattern, err.message)
end

local function misuse(pattern, options)
  local ok, err = pcall(function() core.process.run(options) end)
  assert.is_false(ok)
  assert.matches("^spec/unit/process_spec.lua:%d+: process.run: " .. pattern, err)
end

local function lives(pid)
  local file <close> = io.open(("/proc/%s/stat"):format(pid))
  if not file then return false end
  return not file:read("a"):match("%) Z ")
end

-- The ids that a script has written, a line each; waits until there are so many.
local function ids(path, count)
  return env.wait(10, "the program's ids", function()
    local found = {}
    local file <close> = io.open(path)
    for line in (file and file:lines() or function() end) do found[#found + 1] = line end
    return #found >= count and found
  end)
end

local function assert_gone(pids)
  for _, pid in ipairs(pids) do
    env.wait(10, "the end of process " .. pid, function() return not lives(pid) end)
  end
end

local function descriptors()
  local count = 0
  for _ in env.run(("ls /proc/%d/fd"):format(ME)):gmatch("%d+") do count = count + 1 end
  return count
end

local function zombies()
  return env.run(("ps -o stat= --ppid %d | grep -c '^Z' || true"):format(ME))
end

-- Two processes that would stay for a quarter of an hour; their ids go to the file $0.
local LONG = "echo $$ >>\"$0\"; (echo $(exec sh -c 'echo $PPID') >>\"$0\"; exec sleep 900) & sleep 900; wait"

describe("process.run", function()
  after_each(function()
    assert.equal("0", zombies())
    env.cleanup()
  end)

  it("gives the status, and what was printed", function()
    assert.same({ status = 0, stdout = "", stderr = "" }, run { argv = { "true" } })
    assert.same({ status = 1, stdout = "", stderr = "" }, run { argv = { "false" } })
    assert.same({ status = 7, stdout = "out\n", stderr = "err\n" }, sh "echo out; echo err >&2; exit 7")
  end)

  it("tells of a signal by its name", function()
    assert.same({ signal = "SIGKILL", stdout = "a\n", stderr = "" }, sh "echo a; kill -KILL $$")
    assert.equal("SIGTERM", sh("kill -TERM $$").signal)
    assert.equal("SIG40", sh("kill -40 $$").signal)
  end)

  it("hands over words as they are: there is no shell", function()
    local words = { "$HOME", "a b", "*", "'\";", "", "-n" }
    assert.equal("<" .. table.concat(words, "><") .. ">",
      run({ argv = { "printf", "<%s>", table.unpack(words) } }).stdout)
  end)

  it("looks argv[1] up in PATH, or takes it as a path #heavy", function()
    local dir = env.tmpdir()
    env.write_file(dir .. "/tool", "#!/bin/sh\necho here\n")
    env.run("chmod +x " .. dir .. "/tool")
    assert.equal("here\n", run({ argv = { dir .. "/tool" } }).stdout)
    assert.equal("here\n", run({ argv = { "./tool" }, cwd = dir }).stdout)
    assert_fails("not_found", "^process.run tool: .*PATH", run { argv = { "tool" }, cwd = dir })
  end)

  it("writes all of stdin, and reads while it writes", function()
    local bytes = ("\0\1\2\255\r\n"):rep(300000)
    local r = assert(run { argv = { "cat" }, stdin = bytes, max_output = 2 << 20 })
    assert.is_true(r.stdout == bytes)
    assert.equal("", run({ argv = { "cat" }, stdin = "" }).stdout)
    assert.equal("", run({ argv = { "cat" } }).stdout)
  end)

  it("does not mind a program that reads nothing", function()
    for _ = 1, 5 do
      assert.same({ status = 0, stdout = "", stderr = "" }, run { argv = { "true" }, stdin = ("x"):rep(1 << 20) })
    end
    assert.equal("done\n", sh("exec <&-; echo done", { stdin = ("x"):rep(1 << 20) }).stdout)
  end)

  it("gives the environment that was asked for, or ours", function()
    assert.equal("A=b=c\nEMPTY=\n", sh("env | grep -v ^PWD= | sort", { env = { A = "b=c", EMPTY = "" } }).stdout)
    assert.matches("PATH=", core.process.run({ argv = { "env" } }).stdout)
  end)

  it("runs where it is told to #heavy", function()
    local dir = env.tmpdir()
    assert.equal(dir .. "\n", run({ argv = { "pwd", "-P" }, cwd = dir }).stdout)
    assert_fails("not_found", "folder /nowhere/at/all: No such", run { argv = { "true" }, cwd = "/nowhere/at/all" })
    env.write_file(dir .. "/file", "")
    assert_fails("not_found", "Not a directory", run { argv = { "true" }, cwd = dir .. "/file/x" })
  end)

  it("inherits no descriptor but 0, 1 and 2", function()
    local file <close> = assert(io.open("/etc/passwd")) -- not close-on-exec
    local client <close> = docker.connect {}
    client:ping()
    assert.equal("0\n1\n2\n3\n", run({ argv = { "ls", "/proc/self/fd" } }).stdout) -- 3: the folder that ls reads
    assert.equal("0\n1\n2\n3\n", run({ argv = { "ls", "/proc/self/fd" }, stdin = "x" }).stdout)
    assert.is_truthy(file)
  end)

  it("works where the host has closed its own standard descriptors", function()
    local out = env.tmpdir() .. "/out"
    local r = child.run([[
      local core, out = require "docker_watcher.core", assert(io.open(arg[1], "w"))
      io.stdin:close() io.stdout:close() io.stderr:close()
      local argv = { "sh", "-c", "cat; echo b; echo c >&2" }
      local r = core.process.run { argv = argv, stdin = "a", env = { PATH = arg[2] } }
      out:write(r.stdout, r.stderr)
    ]], out, os.getenv("PATH"))
    assert.equal(0, r.status)
    assert.equal("ab\nc\n", env.read_file(out))
  end)

  it("starts programs with default signal dispositions, whatever ours are", function()
    local script = env.tmpdir() .. "/host.lua"
    env.write_file(script, [[
      local r = require "docker_watcher.core".process.run { argv = { "grep", "Sig[BIC]", "/proc/self/status" },
        env = { PATH = arg[1] } }
      print(r.stdout) ]])
    local out = env.run(("trap '' PIPE HUP INT USR1; exec env %s %s %s"):format(env.lua, script,
      env.quote(os.getenv("PATH"))))
    assert.matches("SigBlk:%s+0+\n", out)
    assert.matches("SigIgn:%s+00000001?8?0000000\n", out) -- 32 and 33 are glibc's own
  end)

  it("gives it a session of its own, without a terminal", function()
    local stat = sh("cat /proc/$$/stat").stdout
    local pid, group, session, terminal = stat:match("^(%d+) .*%) %a %d+ (%d+) (%d+) (%-?%d+)")
    assert.equal(pid, group)
    assert.equal(pid, session)
    assert.equal("0", terminal)
  end)

  it("says which program is not there, or no program #heavy", function()
    local dir = env.tmpdir()
    assert_fails("not_found", "^process.run docker%-credential%-nowhere: there is no such program in PATH",
      run { argv = { "docker-credential-nowhere", "get" } })
    assert_fails("not_found", "^process.run /nowhere/x: there is no such program$", run { argv = { "/nowhere/x" } })
    env.write_file(dir .. "/text", "no program\n")
    env.run("chmod +x " .. dir .. "/text")
    assert_fails("invalid", "no program of this machine", run { argv = { dir .. "/text" } })
    env.run("chmod 0 " .. dir .. "/text")
    assert_fails("forbidden", "may not be executed: Permission denied", run { argv = { dir .. "/text" } })
    assert_fails("too_large", "arguments and environment", run { argv = { "true", ("x"):rep(1 << 20) } })
  end)

  it("takes no descriptor with it when it fails #heavy", function()
    run { argv = { "true" }, stdin = "x" }
    local before = descriptors()
    for _ = 1, 20 do
      run { argv = { "nowhere" }, stdin = "x" }
      run { argv = { "true" }, stdin = "x" }
      run { argv = { "sleep", "900" }, timeout = 0 }
      sh("sleep 900", { timeout = 0.001 })
      run { argv = { "yes" }, max_output = 10 }
    end
    assert.equal(before, descriptors())
  end)

  it("bounds what is gathered, and names the limit", function()
    assert_fails("too_large", "^process.run yes: .*standard output than LIMIT_PROCESS_OUTPUT allows %(65536 bytes%)",
      run { argv = { "yes" } })
    assert_fails("too_large", "standard error than max_output allows %(10 bytes%)",
      sh("echo 12345678901 >&2; sleep 900", { max_output = 10 }))
    assert.equal("1234567890", sh("printf 1234567890", { max_output = 10 }).stdout)
    assert_fails("too_large", "max_output", sh("printf x", { max_output = 0 }))
    assert.equal(65536, #run({ argv = { "head", "-c", "65536", "/dev/zero" } }).stdout)
  end)

  it("kills all of its group at its deadline", function()
    local file = env.tmpdir() .. "/ids"
    assert_fails("timeout", "^process.run sh: did not end within the time allowed, and was killed",
      sh(LONG, { arguments = { file }, timeout = 0.5 }))
    assert_gone(ids(file, 2))
  end)

  it("does not even start it when the time is over", function()
    local file = env.tmpdir() .. "/ids"
    assert_fails("timeout", "", sh("echo >$0", { arguments = { file }, timeout = 0 }))
    local ctx = docker.context()
    ctx:cancel("enough")
    assert_fails("cancelled", "^process.run sh: cancelled: enough$",
      sh("echo >$0", { arguments = { file }, ctx = ctx }))
    assert.is_nil(io.open(file))
  end)

  it("kills all of its group when its context or its task is cancelled", function()
    local file = env.tmpdir() .. "/ids"
    local ctx = docker.context()
    loop.run(function()
      local first = loop.spawn(function() return sh(LONG, { arguments = { file }, ctx = ctx }) end)
      local second = loop.spawn(function() return sh(LONG, { arguments = { file } }) end)
      while not (io.open(file) and #env.run("cat " .. file):gsub("%d", "") >= 3) do loop.sleep(0.01) end
      ctx:cancel("enough")
      assert_fails("cancelled", "enough", first:join())
      second:cancel()
      assert_fails("cancelled", "cancelled", second:join())
    end)
    assert_gone(ids(file, 4))
  end)

  it("kills all of its group at Ctrl-C", function()
    local file = env.tmpdir() .. "/ids"
    local p <close> = child.start([[
      local ok, err = pcall(require "docker_watcher.core".process.run,
        { argv = { "sh", "-c", arg[1], arg[2] }, env = { PATH = arg[3] } })
      print(ok, err)
    ]], LONG, file, os.getenv("PATH"))
    local pids = ids(file, 2)
    p:waits()
    p:kill("INT")
    assert.matches("interrupted", p:rest())
    assert_gone(pids)
  end)

  it("does not wait for what a program leaves behind, pipes in hand", function()
    local r = assert(sh("sleep 900 & echo $!"))
    local pid = r.stdout:match("%d+")
    assert.is_true(lives(pid)) -- it ended by itself; what it left is its own affair
    env.run("kill " .. pid)
  end)

  it("ends although a program's child prints for ever", function()
    local file = env.tmpdir() .. "/ids"
    local r, err = sh("yes & echo $! >>$0", { arguments = { file } })
    assert.is_true(r and r.status == 0 or err.kind == "too_large")
    assert_gone(ids(file, 1)) -- by SIGPIPE
  end)

  it("lets other tasks run meanwhile", function()
    local fifo = env.tmpdir() .. "/fifo"
    env.run("mkfifo " .. fifo)
    loop.run(function() -- neither ends without the other
      local reader = loop.spawn(function() return sh("cat <$0", { arguments = { fifo } }) end)
      local writer = loop.spawn(function() return sh("echo hello >$0", { arguments = { fifo } }) end)
      assert.equal(0, writer:join().status)
      assert.equal("hello\n", reader:join().stdout)
    end)
  end)

  it("runs many at once", function()
    loop.run(function()
      local tasks = {}
      for i = 1, 50 do tasks[i] = loop.spawn(function() return run { argv = { "cat" }, stdin = "n" .. i } end) end
      for i, task in ipairs(tasks) do assert.equal("n" .. i, task:join().stdout) end
    end)
  end)

  it("leaves nothing running when the Lua state is closed under it", function()
    local file = env.tmpdir() .. "/ids"
    child.check([[
      local core, file, path = require "docker_watcher.core", arg[2], arg[3]
      for _ = 1, 2 do
        loop.spawn(function() core.process.run { argv = { "sh", "-c", arg[1], file }, env = { PATH = path } } end)
      end
      repeat
        loop.step()
        local f = io.open(file)
        local _, lines = (f and f:read("a") or ""):gsub("\n", "")
      until lines == 4
      os.exit(0, true)
    ]], LONG, file, os.getenv("PATH"))
    assert_gone(ids(file, 4))
  end)

  it("blocks in a coroutine that is no task", function()
    local file = env.tmpdir() .. "/ids"
    local co = coroutine.create(function() return sh(LONG, { arguments = { file }, timeout = 0.3 }) end)
    assert_fails("timeout", "", select(2, coroutine.resume(co)))
    assert_gone(ids(file, 2))
  end)

  it("says so where somebody else takes the status", function()
    local script = env.tmpdir() .. "/host.lua"
    env.write_file(script, [[
      print(select(2, require "docker_watcher.core".process.run { argv = { "true" }, env = { PATH = arg[1] } }))
      print(require "docker_watcher.core".process.run { argv = { "sleep", "900" }, timeout = 0.01 }) ]])
    local out = env.run(("exec env --ignore-signal=CHLD %s %s %s"):format(env.lua, script,
      env.quote(os.getenv("PATH"))))
    assert.matches("^process.run true: its status is lost: something else", out)
  end)

  it("works where the system has no pidfd_open", function()
    local dir = env.tmpdir()
    env.write_file(dir .. "/none.c", [[
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <errno.h>
      #include <sys/syscall.h>
      long syscall(long n, long a, long b, long c, long d, long e, long f) {
        long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
        if (n == SYS_pidfd_open) return errno = ENOSYS, -1;
        return real(n, a, b, c, d, e, f);
      } ]])
    env.run(("${CC:-cc} -shared -fPIC -o %s/none.so %s/none.c -ldl"):format(dir, dir))
    env.write_file(dir .. "/host.lua", [[
      local run, e = require "docker_watcher.core".process.run, { PATH = arg[1] }
      print(run({ argv = { "sh", "-c", "echo a; sleep 0.1; echo b; exit 3" }, env = e }).stdout)
      print(run({ argv = { "false" }, env = e }).status)
      print(select(2, run { argv = { "sleep", "900" }, env = e, timeout = 0.05 })) ]])
    local preload = (os.getenv("DW_PRELOAD") or "") .. ":" .. dir .. "/none.so"
    local out = env.run(("%s %s %s"):format(env.lua:gsub("LD_PRELOAD='.-' ", ""):gsub("^", "LD_PRELOAD=" ..
      env.quote(preload) .. " "), dir .. "/host.lua", env.quote(os.getenv("PATH"))))
    assert.matches("^a\nb\n\n1\nprocess.run sleep: did not end", out)
  end)

  it("tells no secret: neither words, nor input, nor output #heavy", function()
    for _, options in ipairs {
      { argv = { "sh", "-c", "echo SESAME; echo SESAME >&2; sleep 900", "SESAME" }, timeout = 0.2 },
      { argv = { "sh", "-c", "echo SESAME; echo SESAME >&2; sleep 900", "SESAME" }, max_output = 3 },
      { argv = { "nowhere", "SESAME" } },
      { argv = { "true", "SESAME" }, cwd = "/nowhere" },
    } do
      options.stdin, options.env = "SESAME", { PATH = os.getenv("PATH"), TOKEN = "SESAME" }
      local _, err = run(options)
      for _, field in pairs(err) do assert.not_matches("SESAME", tostring(field)) end
      assert.not_matches("SESAME", tostring(err))
    end
  end)

  it("refuses misuse at the caller's line", function()
    misuse("options table expected, got nil")
    misuse("option 'argv' is missing", {})
    misuse("argv: a list with the program's name expected", { argv = {} })
    misuse("argv: the program's name is empty", { argv = { "" } })
    misuse("argv: string expected, got number", { argv = { "true", 1 } })
    misuse("argv: holds a NUL byte", { argv = { "true", "a\0b" } })
    misuse("unknown option 'stdn' %(did you mean 'stdin'%?%)", { argv = { "true" }, stdn = "" })
    misuse("env: a value: string expected, got boolean", { argv = { "true" }, env = { A = true } })
    misuse("env: a name: string expected, got number", { argv = { "true" }, env = { "A=b" } })
    misuse("env: a name that is empty or has a '='", { argv = { "true" }, env = { ["A=b"] = "c" } })
    misuse("option 'max_output': bytes", { argv = { "true" }, max_output = -1 })
    misuse("option 'timeout': seconds", { argv = { "true" }, timeout = -1 })
    misuse("option 'cwd': holds a NUL byte", { argv = { "true" }, cwd = "/\0" })
    local argv = {}
    for i = 1, 1025 do argv[i] = "true" end
    misuse("argv: more words than LIMIT_PROCESS_WORDS", { argv = argv })
  end)
end)
