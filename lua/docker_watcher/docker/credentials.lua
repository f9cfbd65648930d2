--- Which credentials a registry gets: the docker command's rules for config.json, helpers and DOCKER_AUTH_CONFIG.
--
-- For a registry, in this order: an entry in DOCKER_AUTH_CONFIG; the helper of `credHelpers` for just this host; the
-- helper of `credsStore`; an entry in `auths`, by its key or by an older key with scheme and path. Docker Hub's key is
-- https://index.docker.io/v1/. A helper is the program docker-credential-NAME, run without a shell, with a deadline
-- and a cap on what it may print. Nothing found means anonymous. Whatever is broken is an error, and none is ever
-- skipped in silence, but for helpers of other registries when all credentials are asked for.
--
-- Messages tell where credentials came from or should have, never what they are: a helper's output and the files may
-- hold secrets anywhere, so none of their text is quoted.

local config_file = require "docker_watcher.docker.config_file"
local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"

local credentials = {}

local HELPER_SECONDS = 30
local HELPER_BYTES = 1 << 20 -- of a helper's output; a list of a thousand registries has a tenth
local LONGEST = 16384        -- bytes of a user name, password or token; tokens in use have some thousand
local HUB_KEY = "https://index.docker.io/v1/"
local HUB = { ["docker.io"] = true, ["index.docker.io"] = true, ["registry-1.docker.io"] = true }
local TOKEN_USER = "<token>" -- a helper's user name for an identity token

---@class docker_watcher.auth  as the option `auth` takes it
---@field username string?
---@field password string?
---@field identitytoken string?
---@field registrytoken string?
---@field serveraddress string?

---@class docker_watcher.found
---@field auth docker_watcher.auth?  nil: none, anonymous
---@field source string              where it came from, or that there is none, for messages

local function fail(kind, message, cause) return nil, errors.new(kind, message, { cause = cause }) end

--- The name under which a registry's credentials are kept.
local function key_of(registry) return HUB[registry] and registry ~= "registry-1.docker.io" and HUB_KEY or registry end

--- The host[:port] in a key of `auths`, which may have a scheme and a path.
local function host_of(key)
  local rest = key:match "^%w[%w+.-]*://(.*)$" or key
  return (rest:match "^[^/?#]*":gsub("^.*@", ""))
end

-- ── entries ────────────────────────────────────────────────────────────────────────────────────────────────────────

--- nil, or what makes a value unfit for the Engine, which is sent JSON.
local function unfit(value)
  if #value > LONGEST then return ("is longer than %d bytes"):format(LONGEST) end
  if value:find("\0", 1, true) then return "has a NUL in it" end
  if not utf8.len(value) then return "is not UTF-8" end
end

--- User and password of the field `auth`: standard base64, split at the first colon; NULs around the password are
--- padding of old.
local function decode_auth(text)
  local bytes = core.base64_decode(text)
  if not bytes then return nil, "auth: standard base64 expected" end
  local username, password = bytes:match "^([^:]+):(.*)$"
  if not username then return nil, "auth: base64 of user:password expected" end
  return username, (password:gsub("^\0+", ""):gsub("\0+$", ""))
end

--- An entry of `auths` as the option `auth` takes it; nil where it holds nothing; nil, reason where it is broken.
local function read_entry(entry, key)
  local auth, reason = { serveraddress = key }
  for _, name in ipairs { "username", "password", "identitytoken", "registrytoken" } do
    auth[name], reason = config_file.field(entry, name, "string")
    if reason then return nil, reason end
    if auth[name] == "" then auth[name] = nil end
  end
  local encoded
  encoded, reason = config_file.field(entry, "auth", "string")
  if reason then return nil, reason end
  if encoded and encoded ~= "" then
    auth.username, auth.password = decode_auth(encoded)
    if not auth.username then return nil, auth.password end
  end
  for name, value in pairs(auth) do
    reason = unfit(value)
    if reason then return nil, ("%s %s"):format(name, reason) end
  end
  if auth.username then auth.password = auth.password or "" end
  if not auth.username and not auth.identitytoken and not auth.registrytoken then return nil end
  return auth
end

--- The key of `auths` that is meant for a registry: its own, else an older form of it.
local function find_key(auths, registry)
  local key = key_of(registry)
  if auths[key] then return key end
  local older = {}
  for other in pairs(auths) do
    local host = host_of(other)
    if host == registry or key == HUB_KEY and HUB[host] then older[#older + 1] = other end
  end
  table.sort(older)
  return older[1]
end

local function source_of_entry(config, key)
  return ("auths[\"%s\"] in %s"):format(config_file.printable(key), config.path)
end

--- Looks into `auths`.
local function from_file(config, key)
  local source = source_of_entry(config, key)
  local entry, reason = config_file.field(config.auths, key, "table")
  local auth
  if entry then auth, reason = read_entry(entry, key) end
  if reason then return fail("invalid", ("%s: %s"):format(source, reason)) end
  return { auth = auth, source = auth and source or ("%s is empty"):format(source) }
end

-- ── what is configured ─────────────────────────────────────────────────────────────────────────────────────────────

--- DOCKER_AUTH_CONFIG: { "auths": { HOST: { "auth": … } } }, and nothing else.
local function decode_variable(text)
  local value, reason = config_file.decode(text)
  local auths
  if value then auths, reason = config_file.field(value, "auths", "table") end
  if reason then return nil, reason end
  for name in pairs(value) do
    if name:lower() ~= "auths" then
      return nil, ("only auths is known there, not %s"):format(config_file.printable(name))
    end
  end
  local found = {}
  for key, entry in pairs(auths or {}) do
    local where = ("auths[\"%s\"]: "):format(config_file.printable(key))
    local encoded
    if type(entry) ~= "table" then return nil, where .. "an object expected" end
    encoded, reason = config_file.field(entry, "auth", "string")
    if not reason and (not encoded or encoded == "") then reason = "auth is missing" end
    for name in pairs(entry) do
      if not reason and tostring(name):lower() ~= "auth" then reason = "only auth is known there" end
    end
    local auth
    if not reason then auth, reason = read_entry({ auth = encoded }, key) end
    if reason then return nil, where .. reason end
    found[key] = auth
  end
  return found
end

---@class docker_watcher.stored_credentials
---@field path string                                  of config.json
---@field auths table<string, table>                   its entries, as they are
---@field helpers table<string, string>                credHelpers
---@field store string?                                credsStore
---@field variable table<string, docker_watcher.auth>  of DOCKER_AUTH_CONFIG

--- Reads what is configured: config.json and DOCKER_AUTH_CONFIG.
---@param config_dir string?
---@param environment (fun(name: string): string?)?  os.getenv
---@param reader docker_watcher.reader?
---@return docker_watcher.stored_credentials? config, docker_watcher.error? err
function credentials.load(config_dir, environment, reader)
  environment = environment or os.getenv
  local folder = config_file.folder(config_dir, environment)
  local file, err, reason = { path = "~/.docker/config.json", content = {} }
  if folder then
    file, err = config_file.load(folder, reader)
    if not file then return nil, err end
  end
  local config = { path = file.path, variable = {} }
  for field, name in pairs { auths = "auths", helpers = "credHelpers" } do
    config[field], reason = config_file.field(file.content, name, "table")
    if reason then return fail("invalid", ("%s: %s"):format(file.path, reason)) end
    config[field] = config[field] or {}
  end
  config.store, reason = config_file.field(file.content, "credsStore", "string")
  if reason then return fail("invalid", ("%s: %s"):format(file.path, reason)) end
  local text = environment "DOCKER_AUTH_CONFIG"
  if text and text ~= "" then
    config.variable, reason = decode_variable(text)
    if reason then return fail("invalid", "DOCKER_AUTH_CONFIG: " .. reason) end
  end
  return config
end

-- ── helpers ────────────────────────────────────────────────────────────────────────────────────────────────────────

--- What the makers of helpers agreed on for failures; nothing else of a helper's output goes into a message.
local NOT_FOUND = "credentials not found in native keychain"
local KNOWN = { ["no credentials server URL"] = true, ["no credentials username"] = true }

--- Failures to run a helper that stay what they are; others mean that there are no credentials: unauthorized.
local KEPT = { timeout = true, cancelled = true, interrupted = true, too_large = true }

--- The helper for a key, and who names it; nil where none does.
local function helper_for(config, key)
  local name, where = config.helpers[key], ("credHelpers[\"%s\"] in %s"):format(config_file.printable(key), config.path)
  if name == nil then name, where = config.store, "credsStore in " .. config.path end
  if not name or name == "" then return nil end -- "" for one host: auths it is, whatever credsStore says
  if type(name) ~= "string" or not name:find "^[%w._-]+$" then
    return fail("invalid", ("%s: the plain name of a helper expected, as in docker-credential-NAME"):format(where))
  end
  return { program = "docker-credential-" .. name, where = where }
end

--- Runs a helper. Its output; nothing at all where it says that there are no credentials; nil, err.
local function ask_helper(helper, action, input, run, options)
  local seconds = options.timeout
  if options.deadline then seconds = math.min(seconds, math.max(0, options.deadline - core.loop.now())) end
  local result, err = run {
    argv = { helper.program, action }, stdin = input, timeout = seconds, ctx = options.ctx, max_output = HELPER_BYTES,
  }
  local what = ("%s %s (%s)"):format(helper.program, action, helper.where)
  if not result then
    local reason = err.message:gsub("^process%.run [^:]*: ", "")
    return fail(KEPT[err.kind] and err.kind or "unauthorized", ("%s: %s"):format(what, reason), err)
  elseif result.status == 0 then
    return result.stdout
  end
  local said = result.stdout:match "^%s*(.-)%s*$"
  if result.status and said == NOT_FOUND then return nil end
  return fail("unauthorized", ("%s ended with %s%s"):format(what,
    result.signal and ("signal %s"):format(result.signal) or ("status %s"):format(result.status),
    KNOWN[said] and (": %s"):format(said) or "; run it by hand to see what it says"))
end

--- Asks a helper for the credentials of a key.
local function from_helper(helper, key, run, options)
  local source = ("%s (%s)"):format(helper.program, helper.where)
  local output, err = ask_helper(helper, "get", key, run, options)
  if err then return nil, err end
  if not output then return { source = ("%s has none for %s"):format(source, key) } end
  local answer, username, secret, reason
  answer = config_file.decode(output)
  if answer and next(answer) == nil then answer = nil end
  if answer then username, reason = config_file.field(answer, "Username", "string") end
  if answer and not reason then secret, reason = config_file.field(answer, "Secret", "string") end
  if not answer or reason then
    return fail("unauthorized", ("%s: its answer is not what a helper's should be"):format(source))
  end
  username, secret = username or "", secret or ""
  reason = unfit(username) or unfit(secret)
  if reason then return fail("unauthorized", ("%s: what it gives %s"):format(source, reason)) end
  if username == "" and secret == "" then return { source = ("%s has none for %s"):format(source, key) } end
  if username == TOKEN_USER then return { auth = { identitytoken = secret, serveraddress = key }, source = source } end
  return { auth = { username = username, password = secret, serveraddress = key }, source = source }
end

-- ── lookups ────────────────────────────────────────────────────────────────────────────────────────────────────────

---@class docker_watcher.lookup_options
---@field timeout number?   seconds for each run of a helper: 30
---@field deadline number?  by loop.now(), for all of them
---@field ctx docker_watcher.Context?

local function bounded(options)
  options = options or {}
  return { timeout = options.timeout or HELPER_SECONDS, deadline = options.deadline, ctx = options.ctx }
end

--- The credentials of one registry.
---@param config docker_watcher.stored_credentials
---@param registry string  host[:port] as an image's reference has it: "docker.io", "registry.example.com:5000"
---@param run (fun(options: table): table?, any)?  core.process.run
---@param options docker_watcher.lookup_options?
---@return docker_watcher.found? found, docker_watcher.error? err
function credentials.lookup(config, registry, run, options)
  local variable_key = find_key(config.variable, registry)
  if variable_key then return { auth = config.variable[variable_key], source = "DOCKER_AUTH_CONFIG" } end
  local key = key_of(registry)
  local helper, err = helper_for(config, key)
  if err then return nil, err end
  if helper then return from_helper(helper, key, run or core.process.run, bounded(options)) end
  local file_key = find_key(config.auths, registry)
  if file_key then
    local found
    found, err = from_file(config, file_key)
    if found and found.auth then found.auth.serveraddress = key end
    return found, err
  end
  return { source = ("there are none for %s in %s"):format(registry, config.path) }
end

--- All keys that a helper knows.
local function list(helper, run, options)
  local output, err = ask_helper(helper, "list", "", run, options)
  if err then return nil, err end
  local answer = config_file.decode(output or "")
  if not answer then
    return fail("unauthorized", ("%s: its list is not what a helper's should be"):format(helper.program))
  end
  local keys = {}
  for key in pairs(answer) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- Every registry's credentials, by their keys, as a build is given them: those of the helper of credsStore, or of
--- auths; over them those of credHelpers, and over all those of DOCKER_AUTH_CONFIG. A helper of credHelpers that fails
--- is left out, as the docker command does: its registry may have nothing to do with this build.
---@param config docker_watcher.stored_credentials
---@param run (fun(options: table): table?, any)?  core.process.run
---@param options docker_watcher.lookup_options?
---@return table<string, docker_watcher.auth>? all, docker_watcher.error[]|docker_watcher.error|nil problems  the
---  failures of helpers that were left out; or err
function credentials.all(config, run, options)
  run, options = run or core.process.run, bounded(options)
  local all, problems = {}, {}
  local store, err = helper_for(config, "")
  if err then return nil, err end
  local keys = {}
  if store then
    keys, err = list(store, run, options)
    if not keys then return nil, err end
  else
    for key in pairs(config.auths) do keys[#keys + 1] = key end
  end
  for _, key in ipairs(keys) do
    local found
    if store then found, err = from_helper(store, key, run, options) else found, err = from_file(config, key) end
    if not found then return nil, err end
    all[key] = found.auth
  end
  local hosts = {}
  for host in pairs(config.helpers) do hosts[#hosts + 1] = host end
  table.sort(hosts)
  for _, host in ipairs(hosts) do
    local found
    found, err = credentials.lookup(config, host, run, options)
    if err and (err.kind == "cancelled" or err.kind == "invalid") then return nil, err end
    if found then all[host] = found.auth else problems[#problems + 1] = err end
  end
  for key, auth in pairs(config.variable) do all[key] = auth end
  return all, problems
end

-- ── for the client's methods ───────────────────────────────────────────────────────────────────────────────────────

--- Options for a lookup inside a call: each helper may take its own time, all together no more than the call's.
local function within(settings, options)
  options = options or {}
  return {
    timeout = settings.helper_timeout, deadline = options.timeout and core.loop.now() + options.timeout,
    ctx = options.ctx,
  }
end

--- The credentials of a registry for a call of a client.
---@param client docker_watcher.Client
---@param registry string
---@param options { timeout: number?, ctx: any }?  the call's
---@return docker_watcher.found? found, docker_watcher.error? err
function credentials.find(client, registry, options)
  local settings = core.data(client) or {}
  local config, err = credentials.load(settings.config_dir)
  if not config then return nil, err end
  return credentials.lookup(config, registry, nil, within(settings, options))
end

--- All credentials for a call of a client.
---@param client docker_watcher.Client
---@param options { timeout: number?, ctx: any }?  the call's
---@return table<string, docker_watcher.auth>? all, docker_watcher.error[]|docker_watcher.error|nil problems
function credentials.find_all(client, options)
  local settings = core.data(client) or {}
  local config, err = credentials.load(settings.config_dir)
  if not config then return nil, err end
  return credentials.all(config, nil, within(settings, options))
end

--- Tells in a refusal where the credentials came from that were refused. Answers nil and the error.
---@param err docker_watcher.error
---@param found docker_watcher.found
function credentials.explain(err, found)
  if err.kind == "unauthorized" or err.kind == "forbidden" then
    err.message = (found.auth and "%s (with the credentials of %s)" or "%s; %s"):format(err.message, found.source)
  end
  return nil, err
end

return credentials
