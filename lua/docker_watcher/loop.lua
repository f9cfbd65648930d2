--- docker_watcher.loop: tasks that wait for Docker, registries and timers at the same time, in one thread.
--- The functions are the C core's (src/task.c, signal.c, host.c); _meta/loop.lua tells what they do.
---@type docker_watcher.loop
local loop = require("docker_watcher.core").loop

return loop
