--- docker_watcher.loop: tasks that wait for Docker, registries and timers at the same time, in one thread.
---
--- Inside a task every operation of this library yields instead of blocking, so thousands of them can be under way.
--- Elsewhere the same operations block. The functions are the C core's (src/task.c).
---
--- @class docker_watcher.Task
--- @field join fun(self): ...  what the task's function returned; raises its error. Only inside a task, unless the task
---   has ended. nil, err (kind "cancelled") when the joining task is cancelled meanwhile.
--- @field cancel fun(self)  ends the wait it is in, or its next one, with kind "cancelled"
---
--- @class docker_watcher.Loop
--- @field run fun(fn: function, ...): ...  runs fn as a task, and returns what it returned when it and all other tasks
---   have ended. A task's error that nobody joins cancels the others and is raised here.
--- @field spawn fun(fn: function, ...): docker_watcher.Task  starts a task at the loop's next turn
--- @field sleep fun(seconds: number): true|nil, docker_watcher.Error?
--- @field now fun(): number  monotonic seconds
--- @field signal fun(name: string, fn: function): table  runs fn as a task whenever the signal ("SIGINT", "SIGTERM",
---   "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD") arrives, until :close(). It changes the process's handling of that
---   signal: for programs, not for libraries.
--- @field fd fun(): integer  to live in another event loop: a descriptor that is readable when step() has work…
--- @field next_timeout fun(): number|nil  …or when so many seconds have passed…
--- @field step fun(): integer  …does what can be done now, and answers how many tasks live
local loop = require("docker_watcher.core").loop

return loop
