-- What calls leave behind: nothing. Resident memory, Lua's heap and descriptors over thousands of calls, streams that
-- nobody reads to the end, and every allocation failing once. Robust C for Lua: sections 1, 4, 10; faults 38.

local child = require "spec.support.child"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"
local scripted = require "spec.support.scripted"

local sanitized = os.getenv("DW_PRELOAD") ~= nil -- freed memory is kept for a while then, and allocated by others

after_each(env.cleanup)

-- Programs print the growth of resident memory and Lua's heap in KiB, and of descriptors.
local measure = [[
  local host, rounds = ..., tonumber((select(2, ...)))
  local function figures()
    collectgarbage()
    collectgarbage()
    local idle = client and client:connections() or 0 -- kept alive, so many or so many
    return stat.resident() / 1024, collectgarbage("count"), stat.descriptors() - idle
  end
  local function report(warm, work)
    for _ = 1, warm do work() end
    local r1, l1, d1 = figures()
    for _ = 1, rounds do work() end
    local r2, l2, d2 = figures()
    print(math.floor(r2 - r1), math.floor(l2 - l1), d2 - d1)
  end
]]

local function grows(source, rounds, kib, ...)
  local out = child.check(measure .. source, env.docker_host, tostring(rounds), ...)
  local resident, heap, descriptors = out:match("^(%-?%d+)\t(%-?%d+)\t(%-?%d+)\n$")
  assert.is_truthy(resident, out)
  if not sanitized then assert.is_true(tonumber(resident) < kib, resident .. " KiB more resident memory") end
  assert.is_true(tonumber(heap) < 64, heap .. " KiB more of Lua's heap")
  assert.equal("0", descriptors)
end

describe("nothing grows over", function()
  it("10,000 calls, successes and failures #heavy", function()
    grows([[
      client = docker.connect { host = host }
      local n = 0
      report(1000, function()
        n = n + 1
        local kind = n % 5
        if kind == 0 then assert(client:ping())
        elseif kind == 1 then assert(client:call("ContainerList", { all = true }))
        elseif kind == 2 then assert(select(2, client:call("ContainerInspect", { id = "nobody" })).kind == "not_found")
        elseif kind == 3 then assert(select(2, client:call("ContainerCreate", { body = {} })).kind == "invalid")
        else pcall(client.call, client, "ContainerInspect", { id = "a/b" }) end
      end)
    ]], 10000, 512)
  end)

  it("5,000 calls in tasks, of which some are cancelled or too late #heavy", function()
    grows([[
      client = docker.connect { host = host }
      report(20, function()
        loop.run(function()
          local ctx, tasks = docker.context(), {}
          for i = 1, 20 do
            tasks[i] = loop.spawn(function()
              local options = { ctx = i % 3 == 0 and ctx or nil, timeout = i % 4 == 0 and 0.0005 or 30 }
              return client:call("ContainerList", {}, options)
            end)
          end
          loop.sleep(0)
          ctx:cancel("enough")
          tasks[1]:cancel()
          for i = 1, 20 do tasks[i]:join() end
        end)
      end)
    ]], 250, 1024)
  end)

  it("1,000 clients, closed or not #heavy", function()
    grows([[
      local n = 0
      report(100, function()
        n = n + 1
        client = docker.connect { host = host }
        assert(client:ping())
        if n % 2 == 0 then client:close() end
        if n % 10 == 0 then collectgarbage() end
      end)
    ]], 1000, 1024)
  end)

  it("2,000 requests that nobody answers, contexts, and tasks #heavy", function()
    grows([[
      local parent = docker.context()
      report(200, function()
        assert(select(2, http.request { url = "http://127.0.0.1:1/", ctx = docker.context { parent = parent } }).kind
          == "unreachable")
        loop.run(function()
          local task = loop.spawn(function() return loop.sleep(60) end)
          loop.sleep(0)
          task:cancel()
          task:join()
        end)
        assert(not pcall(loop.run, function() error({}) end))
      end)
    ]], 2000, 512)
  end)

  it("200 streams that are dropped unread, half read, or closed #heavy", function()
    local name = env.dispose("container", env.name("memory"))
    local lines = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; exec sleep 3600"
    local status, created = env.engine("POST", "/containers/create?name=" .. name,
      { Image = env.image, Cmd = { "/bin/sh", "-c", lines } })
    assert.equal(201, status, created.message)
    assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start")))
    grows([[
      client = docker.connect { host = host }
      local name, n = select(3, ...), 0
      report(50, function()
        n = n + 1
        local stream = assert(client:logs(name, { follow = n % 2 == 0 }))
        if n % 3 ~= 0 then assert(stream:read()) end
        if n % 14 == 7 then stream:read() end -- a followed log may have no more to say
        if n % 5 == 0 then stream:close() end
        stream = nil
        if n % 4 == 0 then collectgarbage() end
      end)
    ]], 200, 1024, name)
  end)
end)

describe("a stream that is dropped", function()
  it("closes its connection when it is collected, in a task and outside, read or not", function()
    local name = env.dispose("container", env.name("dropped"))
    assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, { Image = env.image })))
    assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start")))
    local client <close> = assert(docker.connect { host = env.docker_host })
    assert(client:ping())
    local function open() assert(client:logs(name, { follow = true })) end
    open()
    assert.is_true(client:connections() >= 1)
    collectgarbage()
    collectgarbage()
    local idle = client:connections()
    assert.is_true(idle <= 1)
    loop.run(function()
      for _ = 1, 5 do open() end
      assert.is_true(client:connections() >= 5)
      collectgarbage()
      collectgarbage()
      assert.is_true(client:connections() <= 1)
      local stream <close> = assert(client:logs(name, { follow = true }))
      local reader = loop.spawn(function() return stream:read() end)
      loop.sleep(0.01)
      reader:cancel()
      local chunk, err = reader:join()
      assert.is_nil(chunk)
      assert.equal("cancelled", err.kind)
    end)
    assert.is_true(client:connections() <= 1)
    assert(client:ping())
  end)

  it("keeps the context that it was opened with, and ends by it", function()
    local name = env.dispose("container", env.name("context"))
    assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, { Image = env.image })))
    assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start")))
    local client <close> = assert(docker.connect { host = env.docker_host })
    local parent = docker.context()
    local stream = assert(client:logs(name, { follow = true, ctx = docker.context { parent = parent } }))
    collectgarbage()
    collectgarbage()
    loop.run(function()
      local reader = loop.spawn(function() return stream:read() end)
      loop.sleep(0.01)
      parent:cancel("the program ends")
      local chunk, err = reader:join()
      assert.is_nil(chunk)
      assert.equal("cancelled", err.kind)
      assert.matches("cancelled: the program ends", err.message)
    end)
  end)
end)

describe("memory that runs out at any point", function()
  local programs = {
    ["connect, ping and a call"] = [[
      local client
      return function()
        client = assert(docker.connect { host = host })
        assert(client:ping())
        return assert(client:call("ContainerList"))
      end, function()
        client = client or docker.connect { host = host }
        assert(#client:call("ContainerList") == 3)
      end
    ]],
    ["calls in tasks, contexts, errors"] = [[
      local client = docker.connect { host = host }
      local function work()
        local tasks = {}
        for i = 1, 3 do
          tasks[i] = loop.spawn(function()
            local _ <close> = setmetatable({}, { __close = function() loop.sleep(0) end })
            assert(loop.sleep(0.001))
            return #assert(client:call("ContainerList", { all = true, filters = { label = { "x" } } }))
          end)
        end
        local bad = loop.spawn(function() assert(loop.sleep(0)); error("bad") end)
        assert(not pcall(bad.join, bad))
        local ctx = docker.context { parent = docker.context {}, timeout = 60 }
        local never = loop.spawn(function() return client:call("SystemInfo", {}, { ctx = ctx }) end)
        local total = 0
        for i = 1, 3 do total = total + tasks[i]:join() end
        ctx:cancel("x")
        assert(never:join() == nil)
        return total == 9
      end
      return function() return loop.run(work) end, function()
        assert(loop.run(work))
        assert(#client:call("ContainerList") == 3)
      end
    ]],
    ["processes, and an Engine by ssh"] = [[
      local run, path = require "docker_watcher.core".process.run, { PATH = os.getenv("PATH"), A = "b" }
      local client = docker.connect { host = "ssh://somewhere" }
      local function cat()
        local r = assert(run { argv = { "cat" }, stdin = "x", env = path, cwd = "/" })
        return r.stdout == "x" and r.status == 0
      end
      return function()
        assert(run { argv = { "/nowhere/at/all" } } == nil)
        return client:ping() and cat()
      end, function()
        assert(cat())
        assert(client:ping())
      end
    ]],
    ["archives"] = [[
      local tar = require "docker_watcher.tar"
      table.concat { ("x"):rep(5000) } -- Lua 5.4 does not survive that its first large buffer can't be made
      local ignore = require "docker_watcher.docker.ignore"
      local dir = debug.getinfo(1, "S").source:match("^@(.*)/")
      local function work(name)
        local there, list = dir .. "/" .. name, assert(ignore.parse("*\n!program.lua\n!*/a"))
        local reader <close> = tar.pack({
          { path = dir, name = "d", filter = ignore.filter(list) },
          { name = ("n/"):rep(90) .. "x", data = ("x"):rep(100000) },
          { name = "h", type = "hardlink", link = "d/program.lua" }, { name = "l", type = "symlink", link = "\xE4" },
        }, { uid = 0 })
        local pieces = {}
        while true do
          local piece, err = reader:read()
          if err then return nil, err end
          if not piece then break end
          pieces[#pieces + 1] = piece
        end
        local bytes, names = table.concat(pieces), 0
        local function source()
          local at = 1
          return function()
            local piece = bytes:sub(at, at + 49999)
            at = at + #piece
            return piece ~= "" and piece or nil
          end
        end
        local archive <close> = tar.unpack(source())
        while true do
          local entry, err = archive:next()
          if err then return nil, err end
          if not entry then break end
          names = names + 1
          local _, problem = entry:read()
          if problem then return nil, problem end
        end
        local done, err = tar.extract(source(), there)
        if not done then return nil, err end
        return names == 5 and done.files == 2 and done.links == 2 and tar.stat(there) ~= nil
      end
      return function() return work("one") end, function() assert(work("two")) end
    ]],
    ["requests, signals, steps"] = [[
      local url = "http://127.0.0.1:1/"
      return function()
        local client <close> = http.client {}
        local value = client:request { url = url, method = "POST", headers = { A = "b", C = "d" }, body = "x" } == nil
        http.request { url = url, ctx = docker.context { timeout = 30 } }
        loop.signal("SIGUSR1", print):close()
        loop.step()
        loop.next_timeout()
        pcall(loop.run, function() error("x") end)
        return value
      end, function()
        loop.run(function() end)
        assert(select(2, http.request { url = url }).kind == "unreachable")
      end
    ]],
  }
  local header = [[
    local docker, loop = require "docker_watcher.docker", require "docker_watcher.loop"
    local http = require "docker_watcher.http"
    local host = ...
  ]]

  -- Lua's own allocations, then those of C (which sanitizers want for themselves).
  for _, heap in ipairs(sanitized and { "Lua" } or { "Lua", "C" }) do
    for name, source in pairs(programs) do
      -- libarchive answers some failures with abort().
      local run_it = not (heap == "C" and name == "archives") and it or function() end
      run_it(("is an error or none, and the next call works: %s, %s #heavy"):format(heap, name), function()
        local dir = env.tmpdir()
        local program = dir .. "/allocfail"
        env.run(("${CC:-cc} -O1 -g -std=gnu11 -rdynamic %s spec/support/allocfail.c -o %s " ..
          "$(pkg-config --cflags --libs lua5.4)"):format(heap == "C" and "-DC_HEAP" or "", program))
        env.write_file(dir .. "/program.lua", header .. source)
        env.program("ssh", [[
          while read -r line; do
            [ "$line" = "$(printf '\r')" ] || continue
            printf 'HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n'
          done]])
        local server <close> = scripted.start { routes = { { path = "/v1.41/containers/json", reply = { json = {
          { Id = "a", Names = { "/a" }, Labels = { x = "y" } }, { Id = "b" },
          { Id = "c", Ports = { { PrivatePort = 80 } } },
        } } } } }
        local host = env.lua:gsub("lua5.4$", "")
        for _, mode in ipairs { "persistent", "once" } do
          local out = env.run(("ulimit -c 0; env %s timeout 120 %s %s %s %s"):format(host, program, mode,
            dir .. "/program.lua", server.host))
          local points, errors = out:match("(%d+) points, (%d+) errors")
          assert.is_true(tonumber(points) > 20)
          if mode == "persistent" then assert.is_true(tonumber(errors) > 20) end
        end
      end)
    end
  end
end)
