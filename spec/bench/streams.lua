--[[ streams.lua: what is streamed to the Engine and from it, through docker-watcher; made by measure.lua.

  streams.lua HOST lines N ID        a log read to its end, one Lua string a line
  streams.lua HOST save N IMAGE      an image read to its end and thrown away
  streams.lua HOST exec N ID         N times `true` in a running container, all at once in one loop
  streams.lua HOST peak_logs 1 ID LINES        peak memory of a process that does this once: the last LINES of a log,
  streams.lua HOST peak_save 1 IMAGE           …
  streams.lua HOST peak_load 1 FILE
  streams.lua HOST peak_copy_in 1 FILE ID        FILE becomes /copied
  streams.lua HOST peak_copy_out 1 PATH ID
  streams.lua HOST peak_build 1 FOLDER

Prints words: microseconds of CPU (user and system) per call, the process's peak memory in KiB, how many items there
were (lines, bytes, programs that ended well), and the microseconds of wall time per call. ]]

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"

local host, work, count, first, second = table.unpack(arg)
local calls = assert(math.tointeger(tonumber(count)), "usage: streams.lua HOST WORK N [ARGUMENT…]")

local function peak()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmHWM:%s*(%d+)")
    if kib then return math.tointeger(tonumber(kib)) end
  end
  error("no VmHWM in /proc/self/status")
end

--- Does something that answers how many items it had.
local function measure(run)
  local cpu, wall = os.clock(), loop.now()
  local items = run()
  cpu, wall = os.clock() - cpu, loop.now() - wall
  print(string.format("%.3f %d %d %.3f", cpu / calls * 1e6, peak(), items, wall / calls * 1e6))
end

--- Reads a stream to its end and keeps nothing: how many bytes.
local function drain(stream)
  local bytes = 0
  for chunk in stream do bytes = bytes + #chunk end
  return bytes
end

local works = {}

--- A chunk holds the payloads of many frames, and may end inside a line: what is left over waits for the next one of
--- the same stream.
function works.lines(client)
  local function once()
    local lines, bytes, rest = 0, 0, { stdout = "", stderr = "" }
    for chunk, name in assert(client:logs(first)) do
      if rest[name] ~= "" then chunk = rest[name] .. chunk end
      local at, behind = 1, chunk:find("\n", 1, true)
      while behind do
        local line = chunk:sub(at, behind - 1)
        lines, bytes, at = lines + 1, bytes + #line, behind + 1
        behind = chunk:find("\n", at, true)
      end
      rest[name] = chunk:sub(at)
    end
    assert(bytes > lines, "the lines are empty")
    return lines
  end
  measure(function()
    local lines
    for _ = 1, calls do lines = once() end
    return lines
  end)
end

function works.save(client)
  measure(function()
    local bytes
    for _ = 1, calls do bytes = drain(assert(client:save_image(first))) end
    return bytes
  end)
end

function works.exec(client)
  loop.run(function()
    assert(client:exec(first, { "true" })) -- not counted
    measure(function()
      local tasks, good = {}, 0
      for i = 1, calls do
        tasks[i] = loop.spawn(function()
          local result = assert(client:exec(first, { "true" }))
          if result.exit_code == 0 then good = good + 1 end
        end)
      end
      for _, task in ipairs(tasks) do
        local _, err = task:join()
        if err then error(err, 0) end
      end
      return good
    end)
  end)
end

function works.peak_logs(client)
  measure(function() return drain(assert(client:logs(first, { tail = math.tointeger(tonumber(second)) }))) end)
end

works.peak_save = works.save

function works.peak_load(client)
  measure(function()
    assert(client:load_image { path = first })
    return 1
  end)
end

function works.peak_copy_in(client)
  measure(function()
    assert(client:copy_in(second, "/copied", first))
    return 1
  end)
end

function works.peak_copy_out(client)
  measure(function()
    local bytes, archive <close> = 0, assert(client:copy_out(second, first))
    for chunk in archive do bytes = bytes + #chunk end
    return bytes
  end)
end

function works.peak_build(client)
  measure(function()
    local image = assert(client:build_image { context = first, buildkit = false })
    assert(client:remove_image(image.id))
    return 1
  end)
end

local run = works[work] or error("no such work: " .. tostring(work))
local client = assert(docker.connect { host = host, timeout = 300 })
assert(client:ping()) -- connects
run(client)
client:close()
