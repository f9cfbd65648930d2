--- The options of client:build_image: checked at the caller's line, and turned into the query of the request.

local core = require "docker_watcher.core"
local json = require "docker_watcher.json"

local build_options = {}

local HUB, HUB_KEY = "docker.io", "https://index.docker.io/v1/"
local UNITS = { [""] = 1, b = 1, k = 1 << 10, m = 1 << 20, g = 1 << 30 } -- units of sizes

--- For core.check_options.
build_options.types = {
  context = "any", remote = "string", dockerfile = "string", dockerfile_text = "string", tag = "string",
  tags = "table", build_args = "table", labels = "table", target = "string", platform = "string",
  no_cache = "boolean", pull = "boolean", network = "string", cache_from = "string_or_table",
  memory = "number_or_string", memory_swap = "number_or_string", shm_size = "number_or_string",
  cpu_shares = "integer", cpu_period = "integer", cpu_quota = "integer", cpuset_cpus = "string",
  extra_hosts = "table", squash = "boolean", rm = "boolean", force_rm = "boolean", auth = "any",
  buildkit = "boolean", secrets = "any", ssh = "any", outputs = "any", on_progress = "function",
  first_byte_timeout = "seconds", idle_timeout = "seconds",
}

local function misuse(format, ...) core.misuse(("build_image: " .. format):format(...)) end

local function check_list(name, list)
  for key, value in pairs(list) do
    if math.type(key) ~= "integer" or type(value) ~= "string" then
      misuse("option '%s': a list of strings expected", name)
    end
  end
  return list
end

--- { K = value } with strings as values; null (a build argument that is to be unset) stays.
local function check_map(name, map)
  if map == nil then return nil end
  local out = {}
  for key, value in pairs(map) do
    if type(key) ~= "string" or key == "" then misuse("option '%s': { NAME = value } expected", name) end
    local plain = type(value) == "string" or type(value) == "number" or value == core.null
    if not plain then misuse("option '%s': %s: string expected, got %s", name, key, type(value)) end
    out[key] = value == core.null and value or tostring(value)
  end
  return next(out) ~= nil and out or nil
end

local function check_bytes(name, value)
  if value == nil then return nil end
  local number, unit = tostring(value):lower():match "^(%d+%.?%d*)([bkmg]?)b?$"
  if name == "memory_swap" and value == -1 then return -1 end
  if not number or type(value) == "number" and (value < 0 or not math.tointeger(value)) then
    misuse("option '%s': a number of bytes, or text like \"512m\", expected", name)
  end
  return math.floor(tonumber(number) * UNITS[unit])
end

--- All tags, `tag` first.
---@param options docker_watcher.BuildOptions
---@return string[]
function build_options.tags(options)
  local tags = {}
  if options.tag then tags[1] = options.tag end
  for _, tag in ipairs(check_list("tags", options.tags or {})) do tags[#tags + 1] = tag end
  for _, tag in ipairs(tags) do
    local reference, err = core.parse_reference(tag)
    if not reference then misuse("tag '%s': %s", tag, err.message) end
    if reference.digest then misuse("tag '%s': it has a digest, which only a finished image can have", tag) end
  end
  return tags
end

local function check_hosts(hosts)
  local list = {}
  for key, value in pairs(hosts or {}) do
    if type(value) ~= "string" then misuse("option 'extra_hosts': { NAME = address } expected") end
    list[#list + 1] = type(key) == "string" and key .. ":" .. value or value
  end
  table.sort(list)
  return #list > 0 and list or nil
end

--- Credentials as they were given, by the keys that the Engine looks for.
---@param auth any
---@return table<string, docker_watcher.auth>
function build_options.auth(auth)
  local out = {}
  if type(auth) ~= "table" then
    misuse("option 'auth': { [registry] = { username =, password = } } or false expected, got %s", type(auth))
  end
  for registry, one in pairs(auth) do
    if type(registry) ~= "string" or type(one) ~= "table" then
      misuse("option 'auth': { [registry] = { username =, password = } } expected")
    end
    for name, value in pairs(one) do
      if type(name) ~= "string" or type(value) ~= "string" then
        misuse("option 'auth': %s: { username =, password = } expected", registry)
      end
    end
    out[registry == HUB and HUB_KEY or registry] = one
  end
  return out
end

local function is_reader(value)
  if type(value) == "function" then return true end
  if type(value) ~= "table" and type(value) ~= "userdata" then return false end
  local ok, read = pcall(function() return value.read end)
  return ok and type(read) == "function"
end

--- Where the context comes from.
---@param options docker_watcher.BuildOptions
---@return "folder"|"reader"|"remote"|"text"
function build_options.source(options)
  local context = options.context
  local folder, reader = type(context) == "string" and context ~= "", is_reader(context)
  if context ~= nil and not folder and not reader then
    local got = context == "" and "an empty string" or type(context)
    misuse("option 'context': a folder's path or a reader expected, got %s", got)
  elseif options.remote and (context ~= nil or options.dockerfile_text) then
    misuse("'remote' is given instead of 'context' and 'dockerfile_text', not with them")
  elseif context == nil and not options.remote and not options.dockerfile_text then
    misuse("option 'context' is missing: a folder's path, or a reader of a tar archive")
  elseif options.dockerfile and options.dockerfile_text then
    misuse("'dockerfile' and 'dockerfile_text' both say what to build: give one of them")
  elseif options.dockerfile == "" then
    misuse("option 'dockerfile': it is empty")
  elseif reader and options.dockerfile_text then
    misuse("'dockerfile_text' can't be put into the archive of a reader; put it there as a file")
  end
  return folder and "folder" or reader and "reader" or options.remote and "remote" or "text"
end

--- The query of the request, but for the Dockerfile's name.
---@param options docker_watcher.BuildOptions
---@param tags string[]
---@return table
function build_options.query(options, tags)
  local function flag(value) return value and "1" or nil end
  local cache = options.cache_from
  if type(cache) == "string" then cache = { cache } elseif cache then check_list("cache_from", cache) end
  return {
    version = "1", t = #tags > 0 and tags or nil, remote = options.remote, target = options.target,
    platform = options.platform, networkmode = options.network, nocache = flag(options.no_cache),
    pull = flag(options.pull), squash = flag(options.squash), forcerm = flag(options.force_rm),
    rm = options.rm == false and "0" or nil, buildargs = check_map("build_args", options.build_args),
    labels = check_map("labels", options.labels), cachefrom = cache and json.encode(json.array(cache)),
    memory = check_bytes("memory", options.memory), memswap = check_bytes("memory_swap", options.memory_swap),
    shmsize = check_bytes("shm_size", options.shm_size), cpushares = options.cpu_shares,
    cpuperiod = options.cpu_period, cpuquota = options.cpu_quota, cpusetcpus = options.cpuset_cpus,
    extrahosts = check_hosts(options.extra_hosts),
  }
end

return build_options
