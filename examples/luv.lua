-- Docker inside a luv program: inspects all containers at a time, while the program's own timer goes on ticking.
--     lua5.4 examples/luv.lua
local uv = require "luv"
local docker, loop = require "docker_watcher.docker", require "docker_watcher.loop"

-- Our loop in luv's: a step whenever its descriptor is readable or its time has come.
local watch, timer = uv.new_poll(loop.fd()), uv.new_timer()
local function step()
  local ok, living = pcall(loop.step)
  if not ok then io.stderr:write("a task failed: ", tostring(living), "\n") end -- the others live on
  local seconds = loop.next_timeout()
  if seconds then timer:start(math.ceil(seconds * 1000), 0, step) else timer:stop() end
  if living == 0 then watch:unref() else watch:ref() end -- uv.run ends when nothing is left to do
end
timer:unref()
watch:start("r", step)

-- The program's own work, in callbacks.
local ticks, ticker = 0, uv.new_timer()
ticker:start(0, 1, function() ticks = ticks + 1 end)
ticker:unref()

-- Ours, in tasks; any callback may spawn one.
loop.spawn(function()
  local client <close> = assert(docker.connect {})
  local tasks = {}
  for i, c in ipairs(assert(client:list_containers { all = true })) do
    tasks[i] = loop.spawn(function() return client:inspect_container(c.id) end)
  end
  for _, task in ipairs(tasks) do
    local container, err = task:join()
    print(container and container.name or err, container and container.state)
  end
end)

step()
uv.run()
print(ticks .. " ticks meanwhile")
