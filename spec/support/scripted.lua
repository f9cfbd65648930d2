--- Starts spec/support/scripted.py: a server that answers what a spec says, byte for byte. The scenario is described
--- there; strings here are bytes as usual in Lua, and a reply may have `json`, a table that becomes its body.
---
---   local server <close> = scripted.start {
---     routes = {
---       { method = "GET", path = "/v1.41/info", reply = { json = { ID = "x" } } },
---       { prefix = "/v1.41/containers/", replies = { { status = 500, body = "<html>" }, { cut = 40, body = long } } },
---     },
---   }
---   local client = docker.connect { host = server.host }
---   …
---   assert.equal("/v1.41/info", server:requests()[1].path)
---
--- start { unix = true } (the default) listens on a Unix socket, { unix = false } on a TCP port, and with tls = true
--- it speaks TLS there: server.ca is the file of its CA.

local cjson = require "cjson"
local env = require "spec.support.env"

local scripted = {}

-- Bytes as characters U+0000…U+00FF, which JSON can carry, and back.
local function widen(text)
  return (text:gsub("[\128-\255]", function(c) return utf8.char(c:byte()) end))
end
local function narrow(text)
  return (text:gsub("[\xC2\xC3][\x80-\xBF]", function(c) return string.char(utf8.codepoint(c)) end))
end

local function copy(value, convert)
  if type(value) == "string" then return convert(value) end
  if type(value) ~= "table" then return value end
  local result = {}
  for k, v in pairs(value) do
    if k == "json" then
      result.body = convert(cjson.encode(v))
      result.type = value.type or "application/json"
    else
      result[k] = copy(v, convert)
    end
  end
  return result
end

---@class scripted.server
---@field host string "unix:///…" or "tcp://127.0.0.1:port"
---@field dir string its folder
---@field ca string? tls: the CA's certificate, a file
local server = {}
server.__index = server

local function events(self)
  local list = {}
  for line in io.lines(self.dir .. "/log") do list[#list + 1] = copy(cjson.decode(line), narrow) end
  return list
end

--- What was asked until now: { { connection=, number=, method=, path=, headers={…}, body= }, … }; path with its query,
--- header names in lower case.
---@return table[]
function server:requests()
  local list = {}
  for _, event in ipairs(events(self)) do
    if event.method then list[#list + 1] = event end
  end
  return list
end

--- Bytes that pieces with `read` took, in order.
---@return string
function server:received()
  local parts = {}
  for _, event in ipairs(events(self)) do
    if event.event == "read" then parts[#parts + 1] = event.body end
  end
  return table.concat(parts)
end

--- How many connections were made, and how many of them the client has closed (seen where the server reads).
---@return integer opened
---@return integer closed
function server:connections()
  local opened, closed = 0, 0
  for _, event in ipairs(events(self)) do
    if event.event == "open" then opened = opened + 1 end
    if event.event == "closed" then closed = closed + 1 end
  end
  return opened, closed
end

--- Waits until a connection's client has closed it, or its side of it.
---@param connection integer
---@return boolean clean false where TLS was cut
function server:wait_end(connection)
  local clean
  env.wait(5, "the end of connection " .. connection, function()
    for _, event in ipairs(events(self)) do
      if event.event == "closed" and event.connection == connection then clean = event.clean end
    end
    return clean ~= nil
  end)
  return clean
end

--- Waits until the client has closed so many connections.
---@param count integer
---@param seconds? number at most; 5
function server:wait_closed(count, seconds)
  env.wait(seconds or 5, count .. " closed connections", function()
    local _, closed = self:connections()
    return closed >= count
  end)
end

--- Lets the pieces { wait_for = name } of the scenario go on.
---@param name string
function server:signal(name)
  env.write_file(self.dir .. "/" .. name, "")
end

--- Ends it; harmless when repeated.
function server:stop()
  if self.pipe then
    os.execute(("unset LD_PRELOAD; kill %d"):format(self.pid))
    self.pipe:close()
    self.pipe = nil
    env.sh("rm -rf " .. env.quote(self.dir))
  end
end
server.__close = server.stop
server.__gc = server.stop

-- File names for wait_for are made absolute.
local function place_signals(value, dir)
  if type(value) ~= "table" then return end
  for k, v in pairs(value) do
    if k == "wait_for" then value[k] = dir .. "/" .. v else place_signals(v, dir) end
  end
end

--- Starts a server and waits until it listens. It ends with stop(), a closing scope, collection, or our process.
---@param scenario table see spec/support/scripted.py; unix=false: a TCP port
---@return scripted.server
function scripted.start(scenario)
  local dir = env.run('mktemp -d "${TMPDIR:-/tmp}/dw.XXXXXX"')
  local all = copy(scenario, widen)
  place_signals(all, dir)
  all.listen = scenario.unix ~= false and dir .. "/s" or nil
  if scenario.tls then
    env.run("bash -c '. spec/support/common.sh; make_ca \"$1\" && make_cert \"$1\"' - " .. env.quote(dir))
    all.listen, all.tls = nil, { cert = dir .. "/server.pem", key = dir .. "/server-key.pem" }
  end
  all.log = dir .. "/log"
  env.write_file(dir .. "/log", "")
  env.write_file(dir .. "/scenario", cjson.encode(all))
  local command = "exec env -u LD_PRELOAD spec/support/scripted.py " .. env.quote(dir .. "/scenario")
  local pipe = assert(io.popen(command))
  local line = pipe:read("l")
  if not line then
    pipe:close()
    error("scripted.py did not start: see above", 2)
  end
  local info = cjson.decode(line)
  return setmetatable({ host = info.host, pid = math.tointeger(info.pid), pipe = pipe, dir = dir,
    ca = scenario.tls and dir .. "/ca.pem" or nil }, server)
end

return scripted
