--- Waiting for each other: tasks of the loop that wait for a word (latch) or for a turn (slots).
--
-- Both are built on what the loop offers: a waiting task joins a sleeping one, and whoever has the word cancels the
-- sleeper. So a wait ends at once, needs no polling, and is cancelled like any other.

local gate = {}

local LONG = 86400 -- seconds; a sleeper that nobody ends is replaced by another after a day

-- ── latch ──────────────────────────────────────────────────────────────────────────────────────────────────────────

local latch_methods = {}
local latch_meta = { __index = latch_methods, __name = "docker_watcher.latch" }

--- A latch is set by anyone and waited for by one task; the wait takes the word away.
---@param loop { spawn: function, sleep: function }
function gate.latch(loop)
  return setmetatable({
    loop = loop,
    is_set = false,
    sleeper = nil, -- the task that the waiting one joins
  }, latch_meta)
end

function latch_methods:set()
  self.is_set = true
  if self.sleeper then self.sleeper:cancel() end
end

--- Waits: true when it was set (before or meanwhile), false when the time is over; nil, err when we are cancelled.
---@param seconds number?  nil: however long it takes
---@return boolean? was_set, docker_watcher.error? err
function latch_methods:wait(seconds)
  local left = seconds or LONG
  while not self.is_set do
    local sleeper = self.loop.spawn(function()
      self.loop.sleep(left)
      return true
    end)
    self.sleeper = sleeper
    local ended, err = sleeper:join()
    self.sleeper = nil
    if not ended then -- it is us who are cancelled
      sleeper:cancel()
      return nil, err
    end
    if seconds then break end
  end
  local was_set = self.is_set
  self.is_set = false
  return was_set
end

-- ── slots ──────────────────────────────────────────────────────────────────────────────────────────────────────────

local slots_methods = {}
local slots_meta = { __index = slots_methods, __name = "docker_watcher.slots" }

--- So many tasks may go on at once; the others wait for their turn, in the order in which they came.
---@param loop table
---@param count integer
function gate.slots(loop, count)
  return setmetatable({
    loop = loop,
    free = count,
    queue = {}, -- latches of those who wait
  }, slots_meta)
end

local function release(self)
  local first = table.remove(self.queue, 1)
  if first then
    first.granted = true -- the slot goes from hand to hand
    first.latch:set()
  else
    self.free = self.free + 1
  end
end

--- Waits for a turn; answers it as a value to close: local turn <close> = slots:acquire(). nil, err when cancelled.
function slots_methods:acquire()
  if self.free > 0 then
    self.free = self.free - 1
  else
    local place = { latch = gate.latch(self.loop), granted = false }
    self.queue[#self.queue + 1] = place
    local _, err = place.latch:wait()
    if not place.granted then
      for i, other in ipairs(self.queue) do
        if other == place then table.remove(self.queue, i) break end
      end
      return nil, err
    elseif err then -- granted and cancelled at once: hand it on
      release(self)
      return nil, err
    end
  end
  local held = true
  return setmetatable({}, {
    __name = "docker_watcher.turn",
    __close = function()
      if held then
        held = false
        release(self)
      end
    end,
  })
end

return gate
