--- Lua programs that specs run in processes of their own, with the modules under test: what only shows in a process
--- that ends, is interrupted, or has nothing else in it.
---
---   local r = child.run([[ print(...) ]], "a")            -- r.out == "a\n", r.status == 0
---   local p <close> = child.start([[ … ]], server.host)   -- runs beside the spec
---   p:expect("ready"); p:kill("INT"); assert.equal("…", p:rest())
---
--- Programs find loop, docker, http and stat as locals: stat.resident() is in bytes, stat.descriptors() a count.

local env = require "spec.support.env"

local child = {}

local prelude = [[
local docker, loop = require "docker_watcher.docker", require "docker_watcher.loop"
local http = require "docker_watcher.http"
local stat = {}
function stat.resident()
  local file <close> = assert(io.open("/proc/self/statm"))
  return select(2, file:read("n", "n")) * 4096
end
function stat.descriptors()
  local path = os.tmpname()
  os.execute("ls /proc/$PPID/fd | wc -l >" .. path)
  local file <close> = assert(io.open(path))
  os.remove(path)
  return file:read("n")
end
io.stdout:setvbuf("line")
]]
prelude = prelude:gsub("\n", " ") -- the program's own lines are counted from 2

local function command(source, ...)
  local path = os.tmpname()
  env.write_file(path, prelude .. "\n" .. source)
  local words = { "ulimit -c 0; exec env", env.lua, path }
  for i = 1, select("#", ...) do words[#words + 1] = env.quote((select(i, ...))) end
  return table.concat(words, " "), path
end

--- Runs the program to its end, which has to come within two minutes.
---@param source string
---@param ... string arguments
---@return env.result
function child.run(source, ...)
  local line, path = command(source, ...)
  local result = env.sh("timeout -s KILL 120 sh -c " .. env.quote(line))
  os.remove(path)
  return result
end

--- child.run, and an error with all that was printed where it fails.
---@param source string
---@param ... string
---@return string out
function child.check(source, ...)
  local r = child.run(source, ...)
  if not r.ok then error(("the program ended with status %d: %s%s"):format(r.status, r.out, r.err), 2) end
  return r.out
end

local process = {}
process.__index = process

--- Starts the program; its errors come with its output.
---@param source string
---@param ... string
function child.start(source, ...)
  local line, path = command("print(io.open('/proc/self/stat'):read('n'))\n" .. source, ...)
  local pipe = assert(io.popen("unset LD_PRELOAD; exec 2>&1; " .. line))
  local self = setmetatable({ pipe = pipe, path = path }, process)
  self.pid = math.tointeger(tonumber(pipe:read("l"))) or error("the program did not start")
  return self
end

--- Reads the next line, which has to be this.
function process:expect(text)
  local line = self.pipe:read("l")
  if line ~= text then error(("%q expected, got %q\n%s"):format(text, line, self:rest() or ""), 2) end
end

function process:kill(signal)
  env.run(("kill -%s %d"):format(signal, self.pid))
end

--- Waits until it sleeps in the kernel, for events.
function process:waits()
  env.wait(10, "a process that waits", function()
    local file <close> = assert(io.open(("/proc/%d/syscall"):format(self.pid)))
    local number = file:read("n")
    return number == 232 or number == 281 or number == 22 or number == 441 -- epoll_wait and epoll_pwait (x86-64, arm64)
  end)
end

--- All that it still prints; then it has ended. The second result is how: true | nil, "exit" | "signal", number.
function process:rest()
  if not self.pipe then return nil end
  local text = self.pipe:read("a")
  self.ended = table.pack(self.pipe:close())
  self.pipe = nil
  os.remove(self.path)
  return text
end

process.__close = function(self)
  if self.pipe then
    os.execute(("unset LD_PRELOAD; kill -KILL %d 2>/dev/null"):format(self.pid))
    self:rest()
  end
end

return child
