--[[ ours.lua: the requests of floor.c made through docker-watcher, for the same figures.

  ours.lua HOST ping N | inspect N ID | inspect16 N ID | list N | pull N IMAGE TAG | pullonly N IMAGE TAG | logs N ID |
  resident 1

Prints words: microseconds of CPU (user and system) per call, the process's peak memory in KiB, how many items the last
result had (rows, reports of progress, bytes of a log), and of `logs` the microseconds of wall time per call.
`resident` connects, pings, lists, and prints in place of the first word the memory that is then resident, in KiB. As
in floor.c, one call is made before the clock starts, and the removal of a pulled image isn't counted. ]]

local docker = require "docker_watcher.docker"

local AT_A_TIME <const> = 16

local host, work, count, first, second = table.unpack(arg)
local calls = assert(math.tointeger(tonumber(count)), "usage: ours.lua HOST WORK N [ARGUMENT…]")

local cpu_now <const> = os.clock -- the process's user and system time, in Linux's C library

--- A line of /proc/self/status, in KiB.
local function memory(field)
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^" .. field .. ":%s*(%d+)")
    if kib then return math.tointeger(tonumber(kib)) end
  end
  error("no " .. field .. " in /proc/self/status")
end

local function report(cpu, items)
  print(string.format("%.3f %d %d", cpu / calls * 1e6, memory("VmHWM"), items))
end

--- Calls `once` before the clock starts, and `calls` times after. It answers how many items it got.
local function measure(once)
  local items = once()
  local before = cpu_now()
  for _ = 1, calls do items = once() end
  report(cpu_now() - before, items)
end

local works = {}

function works.ping(client)
  measure(function()
    assert(client:ping())
    return 0
  end)
end

function works.inspect(client)
  measure(function()
    assert(client:inspect_container(first))
    return 1
  end)
end

function works.list(client)
  local options = { all = true }
  measure(function() return #assert(client:list_containers(options)) end)
end

function works.inspect16(client)
  local loop = require "docker_watcher.loop"
  local done
  local function run(total)
    local left = total
    done = 0
    local function worker()
      while left > 0 do
        left = left - 1
        assert(client:inspect_container(first))
        done = done + 1
      end
    end
    local tasks = {}
    for i = 1, AT_A_TIME do tasks[i] = loop.spawn(worker) end
    for _, task in ipairs(tasks) do
      local _, err = task:join()
      if err then error(err, 0) end
    end
    assert(done == total, "a task ended early")
  end
  loop.run(function()
    run(AT_A_TIME)
    local before = cpu_now()
    run(calls)
    report(cpu_now() - before, done)
  end)
end

local function pull(client, remove)
  local reports = 0
  local options = { on_progress = function() reports = reports + 1 end }
  local cpu = 0
  assert(client:ping()) -- connects
  for _ = 1, calls do
    reports = 0
    local before = cpu_now()
    assert(client:pull_image(first, second, options))
    cpu = cpu + (cpu_now() - before)
    if remove then assert(client:remove_image(first .. ":" .. second)) end
  end
  assert(reports > 0, "the pull reported no progress")
  report(cpu, reports)
end

function works.pull(client) pull(client, true) end
function works.pullonly(client) pull(client, false) end

function works.logs(client)
  local loop = require "docker_watcher.loop"
  local bytes = 0
  assert(client:ping()) -- connects
  local cpu, wall = cpu_now(), loop.now()
  for _ = 1, calls do
    bytes = 0
    for chunk in assert(client:logs(first)) do bytes = bytes + #chunk end
  end
  cpu, wall = cpu_now() - cpu, loop.now() - wall
  print(string.format("%.3f %d %d %.3f", cpu / calls * 1e6, memory("VmHWM"), bytes, wall / calls * 1e6))
end

function works.resident(client)
  assert(client:ping())
  local list = assert(client:list_containers { all = true })
  print(memory("VmRSS"), memory("VmHWM"), #list)
end

local run = works[work] or error("no such work: " .. tostring(work))
local client = assert(docker.connect { host = host })
run(client)
client:close()
