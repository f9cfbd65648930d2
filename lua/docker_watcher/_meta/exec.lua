--- Processes in containers: exec and attach.
---@meta _

---@class docker_watcher.Client
local Client = {}

--- @section Processes in containers

--- Runs a command in a running container, waits for its end, and gives what it wrote.
---
---     client:exec("web", { "wc", "-c" }, { stdin = "hello" }) --> { exit_code = 0, stdout = "5\n", stderr = "" }
---
--- A command that is not there is the runtime's to report: exit code 126 or 127, and text on stdout. There is no
--- default timeout; after one the process goes on, since the Engine has no way to end an exec.
---@param id any
---@param cmd string[]  the program and its arguments; for a command line { "sh", "-c", line }
---@param options? docker_watcher.ExecOptions
---@return { exit_code: integer, stdout: string, stderr: string }? ended  with tty it is all stdout
---@return docker_watcher.error? err  not_found, conflict (the container is not running), too_large (more output than
---  max_output)
function Client:exec(id, cmd, options) end

---@class docker_watcher.ExecOptions: docker_watcher.ExecStreamOptions
---@field max_output? integer  bytes of stdout and stderr together: 16 MiB

--- Starts a command in a running container, and gives the live process: what it writes is read, what it reads is
--- written.
---@param id any
---@param cmd string[]
---@param options? docker_watcher.ExecStreamOptions
---@return docker_watcher.Process? process
---@return docker_watcher.error? err  as exec's
function Client:exec_stream(id, cmd, options) end

---@class docker_watcher.ExecStreamOptions: docker_watcher.StreamOptions
--- What it is to read: bytes, a function that gives some until nil, or an object with read(). exec: none without it.
--- exec_stream: without it, you write and close_write yourself; false: none
---@field stdin? string|false|fun(): string?|table
---@field tty? boolean  a terminal: its output is not told apart
---@field env? table<string, string>|string[]  { NAME = value }, or { "NAME=value" }
---@field user? string  "1000:1000"
---@field working_dir? string
---@field privileged? boolean
---@field detach_keys? string  "ctrl-p,ctrl-q"

--- Connects to a container's first process. Attach before you start the container, and nothing of it is missed.
---@param id any
---@param options? docker_watcher.AttachOptions
---@return docker_watcher.Process? process
---@return docker_watcher.error? err  not_found, conflict
function Client:attach(id, options) end

---@class docker_watcher.AttachOptions: docker_watcher.StreamOptions
--- As exec_stream's; true: you write yourself. The container must have been created with open_stdin
---@field stdin? string|boolean|fun(): string?|table
---@field stdout? boolean  true
---@field stderr? boolean  true
---@field logs? boolean  also what it wrote before
---@field stream? boolean  true; false: nothing but what logs gives
---@field detach_keys? string

--- A live process in a container.
---
---     for chunk, output in client:exec_stream("web", { "top", "-b" }) do io.write(chunk) end
---
--- A for loop closes it at its end and raises what read() would return as err; `<close>` closes it too.
---@class docker_watcher.Process
---@overload fun(): any, any
---@field id string  of the exec, or of the container
local Process = {}

--- The next piece of what it writes. The connection has no mark at its end: there the Engine is asked whether it still
--- knows the process, and where it can't be asked, that is `interrupted`.
---@return string? chunk  nil at its end, and nil with err
---@return any detail  "stdout" or "stderr"; of nil nothing, or a docker_watcher.error: interrupted, timeout, cancelled
function Process:read() end

--- Sends bytes to its stdin; waits while too many are still on their way.
---@param bytes string
---@return true? sent
---@return docker_watcher.error? err  interrupted (nobody reads any more)
function Process:write(bytes) end

--- Ends its stdin; what it writes can still be read.
---@return true? ended
---@return docker_watcher.error? err
function Process:close_write() end

--- Tells its terminal a new size; where it is only about to start, waits a little.
---@param rows integer
---@param columns integer
---@param options? docker_watcher.CallOptions
---@return true? resized
---@return docker_watcher.error? err
function Process:resize(rows, columns, options) end

--- Reads and drops the rest of what it writes, and gives its exit code.
---@return { exit_code: integer }? ended
---@return docker_watcher.error? err
function Process:wait() end

--- Closes the connection. The process goes on.
function Process:close() end
