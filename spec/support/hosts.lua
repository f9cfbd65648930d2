--- Event loops that are not ours, as programs in processes of their own: luv, cqueues, and a poll(2) that the program
--- does itself. Each is a prelude for child.lua that gives the program the same three functions:
---
---   every(seconds, fn)   fn from a timer of the host's, until it answers false
---   main(fn)             runs fn as a task of ours in the host's loop, until no task and no timer of theirs is left
---   failed               what step() has raised, in order; the host goes on
---
---   assert.equal("…", child.check(hosts.luv .. [[ main(function() … end) ]]))

local hosts = {}

hosts.luv = [[
  local uv = require "luv"
  local failed = {}
  local watch, timer = uv.new_poll(loop.fd()), uv.new_timer()
  uv.unref(timer)
  local function step()
    local ok, living = pcall(loop.step)
    if not ok then failed[#failed + 1] = living end
    local seconds = loop.next_timeout()
    if seconds then timer:start(math.ceil(seconds * 1000), 0, step) else timer:stop() end
    if living == 0 then watch:unref() else watch:ref() end
  end
  watch:start("r", step)
  local function every(seconds, fn)
    local mine = uv.new_timer()
    mine:start(math.ceil(seconds * 1000), math.ceil(seconds * 1000), function()
      if fn() == false then mine:close() end
    end)
  end
  local function main(fn)
    loop.spawn(fn)
    step()
    uv.run()
  end
]]

hosts.cqueues = [[
  local cqueues = require "cqueues"
  local failed = {}
  local theirs, living, timers = cqueues.new(), 0, 0
  local ended = require("cqueues.condition").new()
  local ours = { pollfd = loop.fd(), events = "r", timeout = loop.next_timeout }
  local function every(seconds, fn)
    timers = timers + 1
    theirs:wrap(function()
      repeat cqueues.sleep(seconds) until fn() == false
      timers = timers - 1
      ended:signal()
    end)
  end
  local function main(fn)
    loop.spawn(fn)
    theirs:wrap(function()
      repeat
        local ok, value = pcall(loop.step)
        if ok then living = value else failed[#failed + 1] = value end
        if living > 0 or timers > 0 then cqueues.poll(ours, ended) end
      until ok and living == 0 and timers == 0
    end)
    assert(theirs:loop())
  end
]]

hosts["poll(2)"] = [[
  local poll = require "spec.support.pollprobe"
  local failed, timers = {}, {}
  local fd = loop.fd()
  local function every(seconds, fn)
    timers[#timers + 1] = { seconds = seconds, fn = fn, due = loop.now() + seconds }
  end
  local function main(fn)
    loop.spawn(fn)
    while true do
      local ok, living = pcall(loop.step)
      if not ok then failed[#failed + 1] = living end
      for i = #timers, 1, -1 do
        local t = timers[i]
        if t.due <= loop.now() then
          t.due = loop.now() + t.seconds
          if t.fn() == false then table.remove(timers, i) end
        end
      end
      if living == 0 and #timers == 0 then break end
      local wait = loop.next_timeout()
      for _, t in ipairs(timers) do
        local left = math.max(0, t.due - loop.now())
        if not wait or left < wait then wait = left end
      end
      poll(fd, wait)
    end
  end
]]

for name, text in pairs(hosts) do hosts[name] = text:gsub("\n%s*", " ") end -- a program's own lines are counted

return hosts
