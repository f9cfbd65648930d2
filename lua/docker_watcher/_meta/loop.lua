--- docker_watcher.loop: tasks that wait for Docker, registries and timers at the same time, in one thread.
---
--- Inside a task every operation of this library yields instead of blocking, so thousands of them can be under way.
--- Elsewhere the same operations block. There is one loop to a Lua state.
---@meta _

--- What `require "docker_watcher.loop"` gives.
---@class docker_watcher.loop
local loop = {}

--- Runs fn as a task, until it and all other tasks have ended.
---
--- A task's error that nobody joins cancels the other tasks, waits for their end, and is raised here.
---@param fn function
---@param ... any  its arguments
---@return any ...  what fn returned
function loop.run(fn, ...) end

--- Starts a task at the loop's next turn, also outside of run: then run or step begin it.
---@param fn function
---@param ... any  its arguments
---@return docker_watcher.Task
function loop.spawn(fn, ...) end

--- Waits; in plain Lua too. 0 lets the other tasks have their turn.
---@param seconds number
---@return true? done
---@return docker_watcher.error? err  cancelled, interrupted (Ctrl-C)
function loop.sleep(seconds) end

--- Seconds on a clock that never goes back.
---@return number
function loop.now() end

--- Runs fn as a task whenever the signal arrives, until the watch is closed.
---
--- It changes the process's handling of that signal: for programs, not for libraries. It does not keep run from
--- ending.
---@param name "SIGINT"|"SIGTERM"|"SIGHUP"|"SIGUSR1"|"SIGUSR2"|"SIGCHLD"
---@param fn fun()
---@return docker_watcher.SignalWatch
function loop.signal(name, fn) end

--- @section Inside another event loop

--- The descriptor that is readable when step has something to do.
---
--- The host does this, for ever: step(), then it waits until the descriptor is readable or next_timeout() seconds
--- have passed. Whatever its own callbacks do meanwhile (spawn, cancel, a call that blocks), the descriptor tells of
--- it. It is only to be polled, never read, and stays the same.
---@return integer
function loop.fd() end

--- The time until step must be called.
---@return number? seconds  nil: only when the descriptor is readable
function loop.next_timeout() end

--- Does what can be done now; never waits. Raises the error of a task that nobody joins; the others live on.
---@return integer count  of tasks that live
function loop.step() end

--- A task, as loop.spawn gives it.
---@class docker_watcher.Task
local Task = {}

--- Waits for its end. Only inside a task, unless it has ended; raises its error.
---@return any ...  what its function returned; nil and an error of kind cancelled where the task that joins is
---  cancelled meanwhile
function Task:join() end

--- Ends the wait it is in, or its next one, with kind "cancelled", once.
function Task:cancel() end

--- What loop.signal gives.
---@class docker_watcher.SignalWatch
local SignalWatch = {}

--- The signal is as it was before. Harmless when repeated.
function SignalWatch:close() end
