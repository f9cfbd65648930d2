--- A loop with the functions of docker_watcher.loop whose clock jumps: sleeping takes no time, and every run is the
--- same. For specs of what waits for hours.
---
---   local loop = virtual.new()
---   loop.run(function() loop.sleep(3600) … end)          -- returns at once
---   loop.limit = 86400                                   -- run() cancels all tasks when that time is reached

local errors = require "docker_watcher.error"

local virtual = {}

local task_methods = {}
local task_meta = { __index = task_methods, __name = "virtual.task" }

function virtual.new()
  local loop = { limit = math.huge, tasks = 0 }
  local clock, ready, sleepers, current = 1000.0, {}, {}, nil
  local start = clock

  local function wake(task, ...)
    if task.waiting then
      task.waiting = nil
      sleepers[task] = nil
      ready[#ready + 1] = { task, table.pack(...) }
    end
  end

  local function cancelled() return nil, errors.new("cancelled", "the task was cancelled") end

  -- Yields until woken; a cancelled task is told once.
  local function wait(task)
    if task.cancelled then
      task.cancelled = false
      return cancelled()
    end
    task.waiting = true
    return coroutine.yield()
  end

  function loop.now() return clock end

  function loop.spawn(fn, ...)
    local task = setmetatable({ joiners = {}, wake = wake }, task_meta)
    task.thread = coroutine.create(fn)
    function task.join_wait(self)
      self.joiners[#self.joiners + 1] = assert(current, "join: not in a task")
      return wait(current)
    end
    loop.tasks = loop.tasks + 1
    ready[#ready + 1] = { task, table.pack(...) }
    loop.all = loop.all or {}
    loop.all[task] = true
    return task
  end

  function loop.sleep(seconds)
    assert(seconds >= 0, "sleep: seconds")
    local task = assert(current, "sleep: not in a task")
    sleepers[task] = clock + seconds
    local ok, err = wait(task)
    sleepers[task] = nil
    if err then return nil, err end
    return ok or true
  end

  function loop.signal() return { close = function() end } end

  local function resume(task, arguments)
    current = task
    local results = table.pack(coroutine.resume(task.thread, table.unpack(arguments, 1, arguments.n)))
    current = nil
    if coroutine.status(task.thread) ~= "dead" then return end
    loop.tasks = loop.tasks - 1
    loop.all[task] = nil
    if not results[1] then error(debug.traceback(task.thread, tostring(results[2])), 0) end
    task.results = table.pack(table.unpack(results, 2, results.n))
    for _, joiner in ipairs(task.joiners) do wake(joiner, table.unpack(task.results, 1, task.results.n)) end
  end

  function loop.run(fn, ...)
    local first = loop.spawn(fn, ...)
    while loop.tasks > 0 do
      local entry = table.remove(ready, 1)
      if entry then
        resume(entry[1], entry[2])
      else
        local earliest
        for task, at in pairs(sleepers) do
          if not earliest or at < sleepers[earliest] then earliest = task end
        end
        assert(earliest, "all tasks wait for each other")
        if sleepers[earliest] - start > loop.limit then
          assert(loop.tasks < 1e6)
          for task in pairs(loop.all) do task:cancel() end
          loop.limit = math.huge
        else
          clock = math.max(clock, sleepers[earliest])
          wake(earliest, true)
        end
      end
    end
    return table.unpack(first.results, 1, first.results.n)
  end

  return loop
end

function task_methods:join()
  if self.results then return table.unpack(self.results, 1, self.results.n) end
  return self.join_wait(self)
end

function task_methods:cancel()
  if self.results then return end
  if self.waiting then
    self.wake(self, nil, errors.new("cancelled", "the task was cancelled"))
  else
    self.cancelled = true
  end
end

return virtual
