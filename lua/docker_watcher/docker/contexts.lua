--- Where the Engine is: the docker command's rules for options, DOCKER_HOST, contexts and TLS.
--
-- In this order: the option `host`, or the option `context`; DOCKER_HOST; DOCKER_CONTEXT; currentContext in
-- config.json; the local socket. A context brings its own TLS files. For a host that no context names, TLS is asked
-- for by DOCKER_TLS_VERIFY (with verification) or DOCKER_TLS (without), and its files are ca.pem, cert.pem and key.pem
-- in DOCKER_CERT_PATH, else in the docker command's folder. Variables that are empty count as unset. The option `tls`
-- beats all of that, and sockets and ssh never get TLS.
--
-- Nothing is read before it is needed, and no Engine is asked.

local config_file = require "docker_watcher.docker.config_file"
local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"

local contexts = {}

local LOCAL_SOCKET = "unix:///var/run/docker.sock"
local LOCAL_TLS = "tcp://localhost:2376" -- the docker command's default where TLS is asked for and no host is named
local DEFAULT = "default"
local MOST_NAMES = 20 -- of contexts in a message

---@class docker_watcher.place
---@field host string     "unix:///…", "tcp://…", "ssh://…"
---@field tls { ca: string?, cert: string?, key: string?, verify: boolean? }?
---@field name string     the context's name; "default" where none was used
---@field source string   who named the host, for messages: "DOCKER_HOST", "the docker context 'x'", …

local function set(environment, name)
  local value = environment(name)
  return value ~= "" and value or nil
end

local function invalid(message) return nil, errors.new("invalid", message) end

-- ── TLS ────────────────────────────────────────────────────────────────────────────────────────────────────────────

--- The paths of those of the three files that are there. A certificate is of use only with its key.
local function tls_files(folder, reader)
  local found = {}
  for _, name in ipairs { "ca", "cert", "key" } do
    local path = ("%s/%s.pem"):format(folder, name)
    local there, reason = reader.exists(path)
    if there == nil then return invalid(("%s: %s"):format(path, reason)) end
    if there then found[name] = path end
  end
  if not (found.cert and found.key) then found.cert, found.key = nil, nil end
  return found
end

--- TLS for a host that no context names; nil where the environment asks for none.
local function environment_tls(host, folder, environment, reader)
  local verify = set(environment, "DOCKER_TLS_VERIFY") ~= nil
  if not verify and not set(environment, "DOCKER_TLS") then return nil end
  if not host:find "^tcp://" and not host:find "^https://" then return nil end
  folder = set(environment, "DOCKER_CERT_PATH") or folder
  if not folder then return invalid "TLS: set DOCKER_CERT_PATH: it is not known where your home is" end
  local tls, err = tls_files(folder, reader)
  if not tls then return nil, err end
  if verify and not tls.ca then
    return invalid(("DOCKER_TLS_VERIFY is set, and there is no %s/ca.pem (DOCKER_CERT_PATH names the folder)"):format(
      folder))
  end
  tls.verify = verify
  return tls
end

-- ── contexts ───────────────────────────────────────────────────────────────────────────────────────────────────────

--- The name in a context's metadata; nil where the file is broken.
local function name_of(path, reader)
  local text = reader.read(path)
  local meta = text and config_file.decode(text)
  return meta and config_file.field(meta, "Name", "string") or nil
end

--- "default, a, b": what there is.
local function known_names(folder, reader)
  local names = {}
  for _, id in ipairs(reader.list(folder .. "/contexts/meta") or {}) do
    local name = name_of(("%s/contexts/meta/%s/meta.json"):format(folder, id), reader)
    if name then names[#names + 1] = config_file.printable(name) end
  end
  table.sort(names)
  table.insert(names, 1, DEFAULT)
  local more = #names - MOST_NAMES
  local text = table.concat(names, ", ", 1, math.min(#names, MOST_NAMES))
  return more > 0 and ("%s and %d more"):format(text, more) or text
end

--- The place that a stored context names.
---@param name string
---@param who string      who asks for it, for messages
---@return docker_watcher.place? place, docker_watcher.error? err
local function stored(name, who, folder, reader)
  local shown, id = config_file.printable(name), core.sha256(name)
  local path = ("%s/contexts/meta/%s/meta.json"):format(folder, id)
  local text, reason = reader.read(path)
  if not text and not reason then
    return nil, errors.new("not_found", ("there is no docker context '%s' (%s names it); there are: %s"):format(shown,
      who, known_names(folder, reader)), { subject = shown })
  end
  local meta
  if text then meta, reason = config_file.decode(text) end
  local endpoints, endpoint, host, skip
  if meta then endpoints, reason = config_file.field(meta, "Endpoints", "table") end
  if endpoints then endpoint, reason = config_file.field(endpoints, "docker", "table") end
  if endpoint then host, reason = config_file.field(endpoint, "Host", "string") end
  if endpoint and not reason then skip, reason = config_file.field(endpoint, "SkipTLSVerify", "boolean") end
  if not endpoint and not reason then reason = "no endpoint for docker in it" end
  if reason then return invalid(("the docker context '%s' (%s): %s"):format(shown, path, reason)) end

  local place = {
    host = host and host ~= "" and host or LOCAL_SOCKET, name = name,
    source = ("the docker context '%s'"):format(shown),
  }
  if place.host:find "^unix://" or place.host:find "^ssh://" then return place end
  local tls_folder = ("%s/contexts/tls/%s/docker"):format(folder, id)
  local there, unreadable = reader.exists(tls_folder)
  if there == nil then return invalid(("%s: %s"):format(tls_folder, unreadable)) end
  if there or skip then
    local tls, err = tls_files(tls_folder, reader)
    if not tls then return nil, err end
    tls.verify = not skip
    place.tls = tls
  end
  return place
end

-- ── the choice ─────────────────────────────────────────────────────────────────────────────────────────────────────

--- The name of the context, and who names it; nil where none does; nil, err where config.json is broken.
local function chosen(options, folder, environment, reader)
  if options.context then return options.context, "the option 'context'" end
  if set(environment, "DOCKER_HOST") then return nil end
  local name = set(environment, "DOCKER_CONTEXT")
  if name then return name, "DOCKER_CONTEXT" end
  if not folder then return nil end
  local file, err = config_file.load(folder, reader)
  if not file then return nil, err end
  local reason
  name, reason = config_file.field(file.content, "currentContext", "string")
  if reason then return invalid(("%s: %s"):format(file.path, reason)) end
  if name and name ~= "" then return name, "currentContext in " .. file.path end
end

--- DOCKER_HOST as the docker command reads it: without blanks around it, and without a scheme it is tcp.
local function environment_host(environment)
  local host = set(environment, "DOCKER_HOST")
  host = host and host:match "^%s*(.-)%s*$"
  if not host or host == "" then return nil end
  return host:find "^[%w._:%[%]-]+$" and "tcp://" .. host or host
end

--- Where the Engine is.
---@param options { host: string?, context: string?, config_dir: string?, tls: table? }  of connect, checked: host and
---  context are not given together, and no string is empty
---@param environment (fun(name: string): string?)?  os.getenv
---@param reader docker_watcher.reader?
---@return docker_watcher.place? place, docker_watcher.error? err
function contexts.resolve(options, environment, reader)
  environment, reader = environment or os.getenv, reader or config_file.reader
  local folder = config_file.folder(options.config_dir, environment)
  local place, err
  if options.host then
    place = { host = options.host, name = DEFAULT, source = "the option 'host'" }
  else
    local name, who = chosen(options, folder, environment, reader)
    if not name and who then return nil, who end
    if name and name ~= DEFAULT then
      if not folder then return invalid "no folder of contexts: set DOCKER_CONFIG, or HOME" end
      place, err = stored(name, who, folder, reader)
      if not place then return nil, err end
    end
  end
  if not place then
    local host = environment_host(environment)
    local tls = set(environment, "DOCKER_TLS_VERIFY") or set(environment, "DOCKER_TLS")
    place = {
      host = host or (tls and LOCAL_TLS or LOCAL_SOCKET), name = DEFAULT,
      source = host and "DOCKER_HOST" or "the default",
    }
  end
  if options.tls then
    place.tls = options.tls
  elseif place.name == DEFAULT then
    place.tls, err = environment_tls(place.host, folder, environment, reader)
    if err then return nil, err end
  end
  return place
end

return contexts
