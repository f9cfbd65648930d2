--- exec, exec_stream and attach: two-way connections to processes in containers.
---
--- An exec is three requests: create it, start it (the connection becomes two-way), and, when its output has ended, ask
--- for its exit code. A command that is not there is the container runtime's to report: as text on stdout and exit code
--- 126 or 127, as with the docker command.
local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"
local loop = require "docker_watcher.loop"

local exec = {}

--- Bytes of stdout and stderr together that exec keeps unless `max_output` says otherwise.
local MAX_OUTPUT <const> = 16 << 20
--- The exit code is asked for again after these seconds, as long as the Engine says that the process is running: its
--- output may have ended a moment earlier.
local EXIT_PAUSES <const> = { first = 0.005, longest = 0.25 }
--- A terminal can't be resized before its process runs, of which the Engine does not tell us.
local RESIZE <const> = { attempts = 10, pause = 0.02 }

--- A live process: what exec_stream and attach give.
local process = {}
local meta = { __index = process, __name = "docker_watcher.process" }
exec.methods = process

--- What asking the Engine behind the end of a two-way connection comes to where it can't be asked: the connection has
--- no mark at its end, so that of an Engine that died looks like any other.
local function interrupted(op, id, err)
  if err.kind ~= "unreachable" and err.kind ~= "interrupted" and err.kind ~= "not_found" then return nil, err end
  return nil, errors.new("interrupted", ("%s %s: the connection ended, and what became of the process cannot be asked: "
    .. "%s"):format(op, id, err.message), { op = op, subject = id, cause = err })
end

--- A chunk of what the process writes; nil at the end; nil, err.
function process:read()
  if self.ended then return nil, self.failure end
  local chunk, detail = self.stream:read()
  if chunk or detail then return chunk, detail end
  self.failure = select(2, self.check())
  self.ended = true
  return nil, self.failure
end

--- Sends bytes to its stdin; waits while too much is still on its way.
function process:write(bytes) return self.stream:write(bytes) end

--- Ends its stdin; its output can still be read.
function process:close_write() return self.stream:close_write() end

--- Closes the connection. The process goes on; the Engine has no way to end an exec.
function process:close() self.stream:close() end

meta.__close = process.close
--- for chunk, which in stream do … end; a failure is raised.
function meta:__call()
  local chunk, detail = self:read()
  if not chunk and detail then error(detail, 0) end
  return chunk, detail
end
function meta:__tostring() return ("docker process %s (%s)"):format(self.id:sub(1, 12), tostring(self.stream)) end

--- Tells the process's terminal its new size.
function process:resize(rows, columns, options)
  if math.type(rows) ~= "integer" or math.type(columns) ~= "integer" or rows < 1 or columns < 1 then
    core.misuse("resize: rows and columns: integers above 0 expected")
  end
  options = core.check_options("resize", options, {}, 3)
  local size, err = { id = self.id, h = rows, w = columns }, nil
  for _ = 1, RESIZE.attempts do
    err = select(2, core.invoke(self.client, "resize", self.id, self.operation, size, options))
    if not err then return true end
    -- "cannot resize a stopped container", "no such exec", "…is not running"
    if err.kind ~= "conflict" and err.kind ~= "not_found" and err.kind ~= "engine" then return nil, err end
    local slept, cancelled = loop.sleep(RESIZE.pause)
    if not slept then return nil, cancelled end
  end
  return nil, err
end

--- Reads the rest of its output and drops it, then gives its exit code.
function process:wait()
  repeat
    local chunk, err = self:read()
    if not chunk and err then return nil, err end
  until not chunk
  return self.exit()
end

--- check and exit ask the Engine: whether it still knows the process (true, or nil, err), and for its exit code.
local function two_way(client, id, stream, operation, check, exit)
  local self = setmetatable({
    client = client, id = id, stream = stream, operation = operation, check = check, exit = exit,
    ended = false, failure = nil, -- read has come to the end; what was wrong with it
  }, meta)
  return self, nil, nil, self -- what a for loop closes at its end
end

-- exec --------------------------------------------------------------------------------------------------------------

local exec_options = {
  stdin = "any", tty = "boolean", env = "table", user = "string", working_dir = "string", privileged = "boolean",
  detach_keys = "string", idle_timeout = "seconds", first_byte_timeout = "seconds",
}
local run_options = { max_output = "integer" }
for name, type in pairs(exec_options) do run_options[name] = type end

--- The command as the Engine wants it.
local function check_command(op, cmd)
  if type(cmd) ~= "table" then
    core.misuse(("%s: cmd: array of strings expected, got %s%s"):format(op, type(cmd), type(cmd) == "string"
      and "; for a command line say { \"sh\", \"-c\", line }" or ""))
  end
  if #cmd == 0 then core.misuse(op .. ": cmd: it is empty") end
  for i, word in ipairs(cmd) do
    if type(word) ~= "string" then
      core.misuse(("%s: cmd[%d]: string expected, got %s"):format(op, i, type(word)))
    elseif word:find("\0", 1, true) then
      core.misuse(("%s: cmd[%d]: holds a NUL byte"):format(op, i))
    end
  end
  return cmd
end

--- { K = V } or { "K=V" } → { "K=V" }, sorted where it had no order.
local function check_env(op, env)
  if not env then return nil end
  local list = {}
  for key, value in pairs(env) do
    if math.type(key) == "integer" and type(value) == "string" and value:find("=", 2, true) then
      list[#list + 1] = value
    elseif type(key) == "string" and key ~= "" and not key:find("[=%z]") and type(value) == "string" then
      list[#list + 1] = key .. "=" .. value
    else
      core.misuse(("%s: option 'env': { NAME = \"value\" } or { \"NAME=value\" } expected, at %s"):format(op,
        tostring(key)))
    end
  end
  if #env == 0 then table.sort(list) end
  return list
end

local function check_stdin(op, stdin, more)
  local kind = type(stdin)
  if stdin == nil or kind == "string" or kind == "function" or kind == "table" or kind == "userdata" then return end
  if more and kind == "boolean" then return end
  core.misuse(("%s: option 'stdin': string, function or an object with read() expected, got %s"):format(op, kind))
end

--- One deadline for all requests of an operation. Without a timeout each has the client's own, and what waits by its
--- nature has none.
local function budget(options)
  if not options.timeout then return { ctx = options.ctx } end
  return { ctx = core.context { timeout = options.timeout, parent = options.ctx } }
end

local function create(client, op, id, cmd, options, limits, attach_stdin)
  local reply, err = core.invoke(client, op, id, "ContainerExec", {
    id = id,
    body = {
      AttachStdin = attach_stdin, AttachStdout = true, AttachStderr = true, Tty = options.tty, Cmd = cmd,
      Env = check_env(op, options.env), User = options.user, WorkingDir = options.working_dir,
      Privileged = options.privileged, DetachKeys = options.detach_keys,
    },
  }, limits)
  if not reply then return nil, err end
  if type(reply.Id) ~= "string" then
    return nil, errors.new("protocol", ("%s %s: the Engine's reply has no id"):format(op, id),
      { op = op, subject = id })
  end
  return reply.Id
end

local function start(client, op, id, exec_id, options, limits, stdin)
  return core.invoke(client, op, id, "ExecStart", {
    id = exec_id, body = { Detach = false, Tty = options.tty or false },
  }, {
    ctx = limits.ctx, stdin = stdin, tty = options.tty or false, idle_timeout = options.idle_timeout,
    first_byte_timeout = options.first_byte_timeout,
  })
end

--- Asks until the process has ended.
local function exit_code(client, op, id, exec_id, limits)
  local pause = EXIT_PAUSES.first
  while true do
    local state, err = core.invoke(client, op, id, "ExecInspect", { id = exec_id }, limits)
    if not state then return nil, err end
    if not state.Running and math.type(state.ExitCode) == "integer" then return state.ExitCode end
    local slept, cancelled = loop.sleep(pause)
    if not slept then return nil, cancelled end
    pause = math.min(2 * pause, EXIT_PAUSES.longest)
  end
end

--- Reads it to the end; the pieces by stream, or nil, err.
local function gather(op, id, stream, most)
  local out, size = { stdout = {}, stderr = {} }, 0
  while true do
    local chunk, which = stream:read()
    if not chunk then
      if which then return nil, which end
      return table.concat(out.stdout), table.concat(out.stderr)
    end
    size = size + #chunk
    if size > most then
      return nil, errors.new("too_large", ("%s %s: more than %d bytes of output (option 'max_output'); exec_stream "
        .. "gives it piece by piece"):format(op, id, most), { op = op, subject = id })
    end
    table.insert(out[which], chunk)
  end
end

function exec.exec(client, id, cmd, options)
  id = core.check_id("exec", "container", id)
  check_command("exec", cmd)
  options = core.check_options("exec", options, run_options, 3)
  check_stdin("exec", options.stdin)
  local limits, most = budget(options), options.max_output or MAX_OUTPUT
  local exec_id, err = create(client, "exec", id, cmd, options, limits, options.stdin ~= nil)
  if not exec_id then return nil, err end
  local stream
  stream, err = start(client, "exec", id, exec_id, options, limits, options.stdin)
  if not stream then return nil, err end
  local open <close> = stream
  local stdout, stderr = gather("exec", id, open, most)
  if not stdout then return nil, stderr end
  local code
  code, err = exit_code(client, "exec", id, exec_id, limits)
  if not code then return interrupted("exec", id, err) end
  return { exit_code = code, stdout = stdout, stderr = stderr }
end

function exec.exec_stream(client, id, cmd, options)
  id = core.check_id("exec_stream", "container", id)
  check_command("exec_stream", cmd)
  options = core.check_options("exec_stream", options, exec_options, 3)
  check_stdin("exec_stream", options.stdin, true)
  local limits, stdin = budget(options), options.stdin
  local exec_id, err = create(client, "exec_stream", id, cmd, options, limits, stdin ~= false)
  if not exec_id then return nil, err end
  if type(stdin) == "boolean" then stdin = nil end
  local stream
  stream, err = start(client, "exec_stream", id, exec_id, options, limits, stdin)
  if not stream then return nil, err end
  return two_way(client, exec_id, stream, "ExecResize", function()
    local state, failure = core.invoke(client, "exec_stream", id, "ExecInspect", { id = exec_id }, limits)
    if not state then return interrupted("exec_stream", id, failure) end
    return true
  end, function()
    local code, failure = exit_code(client, "exec_stream", id, exec_id, limits)
    if not code then return nil, failure end
    return { exit_code = code }
  end)
end

-- attach ------------------------------------------------------------------------------------------------------------

local attach_options = {
  stdin = "any", stdout = "boolean", stderr = "boolean", logs = "boolean", stream = "boolean", detach_keys = "string",
  idle_timeout = "seconds", first_byte_timeout = "seconds",
}

function exec.attach(client, id, options)
  id = core.check_id("attach", "container", id)
  options = core.check_options("attach", options, attach_options)
  check_stdin("attach", options.stdin, true)
  local limits, stdin = budget(options), options.stdin
  local state, err = core.invoke(client, "attach", id, "ContainerInspect", { id = id }, limits)
  if not state then return nil, err end
  if type(stdin) == "boolean" then stdin = nil end
  local stream
  stream, err = core.invoke(client, "attach", id, "ContainerAttach", {
    id = id, stream = options.stream ~= false, stdin = options.stdin ~= nil and options.stdin ~= false,
    stdout = options.stdout ~= false, stderr = options.stderr ~= false, logs = options.logs or false,
    detachKeys = options.detach_keys,
  }, {
    ctx = limits.ctx, stdin = stdin, tty = state.Config and state.Config.Tty or false,
    idle_timeout = options.idle_timeout, first_byte_timeout = options.first_byte_timeout,
  })
  if not stream then return nil, err end
  return two_way(client, id, stream, "ContainerResize", function()
    local found, failure = core.invoke(client, "attach", id, "ContainerInspect", { id = id }, limits)
    if found or failure.kind == "not_found" then return true end -- the latter: one that is removed when it ends
    return interrupted("attach", id, failure)
  end, function()
    return client:wait_container(id, limits)
  end)
end

return exec
