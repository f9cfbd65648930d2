--- What specs need from the machine: the engine and registry that spec/support/run started, names, folders, commands,
--- and the promise that what a spec made is taken away again.
---
---   local env = require "spec.support.env"
---   after_each(env.cleanup)
---   local name = env.name("web")                       -- nobody else's
---   env.defer(function() … end)                        -- cleanup runs these, the last one first
---   assert.equal(200, env.engine("GET", "/containers/json"))
---
--- The engine is asked with curl here, never with our client: a spec compares the one with the other.

local cjson = require "cjson"

local env = {}

local deferred = {}
local kinds = { "container", "network", "volume", "image" } -- in the order in which they can be removed
local disposed = { container = {}, network = {}, volume = {}, image = {} }
local counter = 0

--- The engine's address: "unix:///…" or "tcp://…".
env.docker_host = os.getenv("DOCKER_HOST")
--- The registry, "127.0.0.1:port", and its state folder (access.log is there).
env.registry = os.getenv("DW_REGISTRY")
env.registry_dir = os.getenv("DW_REGISTRY_DIR")
--- Images that are in the engine already: /www by httpd on the exposed port 80/tcp, label
--- org.opencontainers.image.version. They have no health check (plain), one that succeeds, one that fails ("no good").
env.images = {}
for _, tag in ipairs { "plain", "healthy", "unhealthy" } do
  env.images[tag] = (os.getenv("DW_IMAGES") or "dw-spec") .. "/web:" .. tag
end
env.image = env.images.plain
--- Folder of the built modules, and the command that runs Lua with them (in a shell; sanitizers included).
env.build = os.getenv("DW_BUILD") or "build"
local preload = os.getenv("DW_PRELOAD")
env.lua = (preload and "LD_PRELOAD='" .. preload .. "' " or "")
  .. "LUA_PATH='lua/?.lua;lua/?/init.lua;./?.lua;;' LUA_CPATH='" .. env.build .. "/?.so;;' lua5.4"

--- Quotes text for the shell.
---@param text string|number
---@return string
function env.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function read_all(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end
env.read_file = read_all

---@param path string
---@param bytes string
function env.write_file(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
end

--- Puts a shell script first in PATH until cleanup, for whatever this process or its children run by that name. It
--- starts without what a sanitizer preloads.
---@param name string
---@param script string
function env.program(name, script)
  local path = assert(os.getenv("DW_BIN"), "run specs by spec/support/run") .. "/" .. name
  env.write_file(path, "#!/bin/sh\nunset LD_PRELOAD\n" .. script .. "\n")
  env.run("chmod +x " .. env.quote(path))
  env.defer(function() os.remove(path) end)
end

--- Remembers fn for cleanup.
---@param fn fun()
function env.defer(fn)
  deferred[#deferred + 1] = fn
end

local function remove(kind, name)
  local query = kind == "container" and "?force=1&v=1" or kind == "image" and "?force=1" or ""
  local status, body = env.engine("DELETE", ("/%ss/%s%s"):format(kind, name, query))
  if status >= 400 and status ~= 404 then
    error(("%s %s was not removed: %s"):format(kind, name, type(body) == "table" and body.message or body), 0)
  end
end

local function nameless_images()
  local ids = {}
  local status, list = env.engine("GET", '/images/json?filters={"dangling":["true"]}')
  assert(status == 200, "the engine lists no images")
  for _, image in ipairs(list) do ids[image.Id] = true end
  return ids
end
local nameless_before -- nil: no spec has built anything

--- Has the images without a name that come up from now on, as builds leave them, removed at cleanup.
function env.dispose_builds()
  nameless_before = nameless_before or nameless_images()
end

local function remove_builds()
  repeat -- what an image was made from comes to light when it is gone
    local removed = 0
    for id in pairs(nameless_images()) do
      if not nameless_before[id] and env.engine("DELETE", "/images/" .. id) == 200 then removed = removed + 1 end
    end
  until removed == 0
  nameless_before = nil
end

--- Runs what was deferred, the last one first, and removes what was disposed of. Use: after_each(env.cleanup). All of
--- it is done, then the first error is raised.
function env.cleanup()
  local first
  local function try(...)
    local ok, err = pcall(...)
    if not ok then first = first or err end
  end
  while #deferred > 0 do try(table.remove(deferred)) end
  for _, kind in ipairs(kinds) do
    while #disposed[kind] > 0 do try(remove, kind, table.remove(disposed[kind])) end
  end
  if nameless_before then try(remove_builds) end
  if first then error(first, 0) end
end

--- A name that no other spec and no other run has: lower case letters, digits, '-'.
---@param prefix string
---@return string
function env.name(prefix)
  counter = counter + 1
  if not env.run_id then
    local file <close> = assert(io.open("/dev/urandom", "rb"))
    env.run_id = ("%02x"):rep(4):format(file:read(4):byte(1, 4))
  end
  return ("%s-%s-%d"):format(prefix, env.run_id, counter)
end

--- A new folder, removed by cleanup. Its path is short enough for a Unix socket in it.
---@return string
function env.tmpdir()
  local path = env.run('mktemp -d "${TMPDIR:-/tmp}/dw.XXXXXX"')
  env.defer(function() env.sh("rm -rf " .. env.quote(path)) end)
  return path
end

---@class env.result
---@field status integer exit status; 128 + N where signal N ended it
---@field ok boolean status is 0
---@field out string standard output
---@field err string standard error

--- Runs a shell command (from the checkout's root) and waits for it. Sanitizers are kept out of it, but see env.lua.
---@param command string
---@param input? string its standard input; empty otherwise
---@return env.result
function env.sh(command, input)
  local base = (os.getenv("TMPDIR") or "/tmp") .. "/" .. env.name("dw-sh")
  local stdin = "/dev/null"
  if input then
    stdin = base .. ".in"
    env.write_file(stdin, input)
  end
  local line = ("unset LD_PRELOAD; { %s\n} <%s >%s 2>%s"):format(command, stdin, base, base .. ".err")
  local _, how, code = os.execute(line)
  local result = {
    status = how == "signal" and 128 + code or code,
    out = read_all(base),
    err = read_all(base .. ".err"),
  }
  result.ok = result.status == 0
  os.remove(base); os.remove(base .. ".err"); os.remove(base .. ".in")
  return result
end

--- env.sh, and an error with what it printed where it fails. Answers the standard output without its last newline.
---@param command string
---@param input? string
---@return string
function env.run(command, input)
  local r = env.sh(command, input)
  if not r.ok then error(("%s\nended with status %d: %s%s"):format(command, r.status, r.out, r.err), 2) end
  return (r.out:gsub("\n$", ""))
end

--- Waits until check() answers something true, and answers that; raises when it does not come in time.
---@generic T
---@param seconds number
---@param what string what was waited for, for the message
---@param check fun(): T
---@return T
function env.wait(seconds, what, check)
  for _ = 1, math.ceil(seconds / 0.02) do
    local value = check()
    if value then return value end
    os.execute("unset LD_PRELOAD; sleep 0.02")
  end
  error(("%s: not within %g seconds"):format(what, seconds), 2)
end

-- curl's words for an engine's address, and the URL's beginning.
local function curl(host)
  local path = host:match("^unix://(.*)")
  if path then return "curl -sS --unix-socket " .. env.quote(path), "http://engine" end
  return "curl -sS", "http://" .. host:match("^%w+://(.-)/*$")
end

--- Asks the engine with curl. Answers the status and the body (decoded where it is JSON).
---@param method string
---@param path string with query, with or without a version
---@param body? table|string sent as JSON
---@param host? string another engine than env.docker_host
---@return integer status
---@return any body
function env.engine(method, path, body, host)
  host = host or env.docker_host
  if not host then error("no engine: run specs by spec/support/run, or set DOCKER_HOST", 2) end
  local command, url = curl(host)
  if type(body) == "table" then body = cjson.encode(body) end
  local data = body and "-H 'Content-Type: application/json' --data-binary @- " or ""
  local verb = method == "HEAD" and "-I" or "-X " .. method
  local out = env.run(("%s -g -m 60 %s %s-w '\\n%%{http_code}' %s"):format(
    command, verb, data, env.quote(url .. path)), body)
  local text, status = out:match("^(.*)\n(%d+)$")
  local ok, value = pcall(cjson.decode, text)
  return math.tointeger(tonumber(status)), ok and value or text
end

local asked = {}

--- The newest API version of the engine: 41 for 1.41.
---@return integer
function env.engine_api()
  if not asked.version then
    local _, version = env.engine("GET", "/version")
    asked.version = version
  end
  return math.tointeger(tonumber(asked.version.ApiVersion:match("^1%.(%d+)$")))
end

--- Is the engine of that sort? For specs that can't hold on it, which then say why:
---   if env.engine_is "podman" then pending "podman 4.3 has no …" end
---@param sort "podman"|"containerd store"
---@return boolean
function env.engine_is(sort)
  if sort == "podman" then
    env.engine_api()
    for _, component in ipairs(asked.version.Components or {}) do
      if component.Name == "Podman Engine" then return true end
    end
    return false
  elseif sort == "containerd store" then
    if not asked.info then
      local _, info = env.engine("GET", "/info")
      asked.info = info
    end
    for _, pair in ipairs(asked.info.DriverStatus or {}) do
      if pair[1] == "driver-type" and pair[2] == "io.containerd.snapshotter.v1" then return true end
    end
    return false
  end
  error("no such sort of engine: " .. tostring(sort), 2)
end

--- Has a container, network, volume or image removed at cleanup, by name or id; containers go first. It doesn't
--- matter if it is not there (yet, or any more).
---@param kind "container"|"network"|"volume"|"image"
---@param name string
---@return string name
function env.dispose(kind, name)
  local list = disposed[kind] or error("no such kind: " .. tostring(kind), 2)
  list[#list + 1] = name
  return name
end

--- Builds a small image with spec/support/tinyimage and pushes it to the registry that ref names, or, with the option
--- --load, puts it into the engine. Answers its digest.
---@param ref string
---@param options? string as for a shell: "--expose 8080 --label a=b"
---@return string
function env.tinyimage(ref, options)
  return env.run("spec/support/tinyimage " .. env.quote(ref) .. " " .. (options or "")):match("sha256:%x+")
end

-- What is started belongs to the run, or, where busted was called without it, to this process: the next run ends what
-- outlived its owner.
local owner = [[DW_OWNER=${DW_OWNER:-$(bash -c '. spec/support/common.sh; identity "$0"' $PPID)} ]]

local function started(command)
  local values = {}
  for name, value in env.run(owner .. command):gmatch("export ([%w_]+)=([^\n]*)") do values[name] = value end
  return values
end

local thing = {}
thing.__index = thing
thing.__close = function(self) self:stop() end

--- Ends it and removes its state; harmless when repeated.
function thing:stop()
  env.run("spec/support/down " .. env.quote(self.dir))
end

--- Only engines: ends it ("--kill": at once) and starts it again, or only ends it ("--stop").
---@param how? "--kill"|"--stop"
function thing:restart(how)
  env.run(("spec/support/engine-restart %s %s"):format(how or "", env.quote(self.dir)))
end

--- Starts a registry of its own; cleanup ends it. Options are those of spec/support/registry-up, as for a shell.
---@param options? string
---@return { host: string, url: string, dir: string, login: string?, ca: string?, token_url: string?, stop: fun(self) }
function env.start_registry(options)
  local v = started("spec/support/registry-up " .. (options or ""))
  local self = setmetatable({
    host = v.DW_REGISTRY, url = v.DW_REGISTRY_URL, dir = v.DW_REGISTRY_DIR,
    login = v.DW_REGISTRY_LOGIN, ca = v.DW_REGISTRY_CA, token_url = v.DW_TOKEN_URL,
  }, thing)
  env.defer(function() self:stop() end)
  return self
end

--- Starts an engine of its own (as root), for specs that stop, kill or restart it; cleanup ends it. Options are those
--- of spec/support/engine-up, as for a shell.
---@param options? string
---@return { host: string, dir: string, tls_host: string?, tls_dir: string?, stop: fun(self), restart: fun(self, how?) }
function env.start_engine(options)
  local v = started("spec/support/engine-up " .. (options or ""))
  local self = setmetatable({
    host = v.DOCKER_HOST, dir = v.DW_ENGINE_DIR, tls_host = v.DW_TLS_HOST, tls_dir = v.DW_TLS_DIR,
  }, thing)
  env.defer(function() self:stop() end)
  return self
end

--- Ids of the ssh processes that this was used for and that still live.
---@return string[]
function thing:processes()
  local living = {}
  local file <close> = io.open(self.dir .. "/clients")
  for pid in (file and file:lines() or function() end) do
    local stat <close> = io.open("/proc/" .. pid .. "/stat")
    if stat and not stat:read("a"):match("%) Z ") then living[#living + 1] = pid end
  end
  return living
end

--- How many ssh processes were started.
---@return integer
function thing:started()
  local file <close> = io.open(self.dir .. "/clients")
  return file and select(2, file:read("a"):gsub("\n", "")) or 0
end

--- Has the engine be reachable by ssh (as root), as ssh://dw and, with one thing wrong each, under the other names of
--- spec/support/ssh-up, until cleanup.
---@return { host: string, dir: string, config: string, processes: function, started: function, stop: function }
function env.start_ssh()
  local v = started("spec/support/ssh-up")
  local self = setmetatable({ host = "ssh://dw", dir = v.DW_SSH_DIR, config = v.DW_SSH_CONFIG }, thing)
  local program = env.run("command -v ssh")
  env.program("ssh", ("echo $$ >>%s/clients; exec %s -F %s \"$@\""):format(self.dir, program, self.config))
  env.defer(function() self:stop() end)
  return self
end

return env
