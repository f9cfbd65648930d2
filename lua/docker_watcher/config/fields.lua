--- What an operator may write, described as data (see config/schema.lua). The one place to look keys up.
--
-- `fields.new(world)` needs to know which tag and deploy policies there are and how to read an image's name; it
-- answers the schema of the whole file. Pure.

local duration = require "docker_watcher.duration"
local secret = require "docker_watcher.secret"

local fields = {}

--- The environment's names: what POSIX shells can set, and no "=".
local function env_key(key)
  if type(key) ~= "string" or not key:find "^[%a_][%w_.-]*$" then
    return nil, ("'%s' is no name of an environment variable"):format(tostring(key))
  end
  return true
end

local function env_value(value)
  if secret.is(value) then return value end
  if type(value) == "boolean" or math.type(value) == "integer" then return tostring(value) end
  if type(value) == "number" then return ("%.14g"):format(value) end
  if type(value) ~= "string" then return nil, ("a string expected, got a %s"):format(type(value)) end
  if value:find("\0", 1, true) then return nil, "must not hold a NUL" end
  return value
end

local function text_or_secret(value)
  if secret.is(value) or (type(value) == "string" and value ~= "" and not value:find "%c") then return value end
  return nil, 'a string or secret "name" expected'
end

--- Project and stage names become part of container names.
local function short_name(what)
  return function(key)
    if type(key) == "string" and key:find "^[a-z0-9][a-z0-9_-]*$" and #key <= 63 then return true end
    return nil, ("'%s' is no name of a %s: small letters, digits, '-' and '_' only, beginning with a letter or digit, "
      .. "63 characters at most"):format(tostring(key), what)
  end
end

local function registry_host(key)
  if type(key) ~= "string" or key:find "[/%s%c@]" or key == "" then
    return nil, ("'%s' is no registry: write HOST or HOST:PORT, without https:// and path"):format(tostring(key))
  end
  return true
end

--- "8080/tcp"; 8080 and "8080" mean tcp.
local function port_key(key)
  local port, protocol = tostring(key):match "^(%d+)/?(%a*)$"
  local number = math.tointeger(tonumber(port))
  if not number or number < 1 or number > 65535 then return nil, ("'%s' is no port: write \"8080/tcp\""):format(key) end
  if protocol ~= "" and protocol ~= "tcp" and protocol ~= "udp" and protocol ~= "sctp" then
    return nil, ("'%s': the protocol is tcp, udp or sctp"):format(key)
  end
  return ("%d/%s"):format(number, protocol == "" and "tcp" or protocol)
end

local function host_port(value)
  if value == true then return true end
  if math.type(value) == "integer" and value >= 1 and value <= 65535 then return value end
  if type(value) == "table" then
    for key in pairs(value) do
      if key ~= "host_ip" and key ~= "host_port" then
        return nil, ("unknown key '%s'; known here: host_ip, host_port"):format(tostring(key))
      end
    end
    local port = value.host_port
    if (value.host_ip == nil or type(value.host_ip) == "string")
      and (port == nil or (math.type(port) == "integer" and port >= 1 and port <= 65535)) then
      return { host_ip = value.host_ip, host_port = port }
    end
  end
  return nil, "true, a port of the host, or { host_ip =, host_port = } expected"
end

local function ports(value)
  if value == "exposed" then return value end
  if type(value) ~= "table" then return nil, '"exposed" or a table { ["8080/tcp"] = true } expected' end
  local kept = {}
  for key, bound in pairs(value) do
    local port, reason = port_key(key)
    if not port then return nil, reason end
    local binding
    binding, reason = host_port(bound)
    if not binding then return nil, ("%s: %s"):format(port, reason) end
    kept[port] = binding
  end
  return kept
end

local function command(value)
  if type(value) == "string" and value ~= "" then return value end
  if type(value) ~= "table" then return nil, "a string or a list of strings expected" end
  local kept = {}
  for key, word in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #value or type(word) ~= "string" then
      return nil, "a list of strings expected"
    end
    kept[key] = word
  end
  return kept
end

--- The Engine counts the time to stop in whole seconds.
local function whole_seconds(value)
  local seconds, reason = duration.parse(value)
  if not seconds then return nil, reason end
  if seconds > 86400 then return nil, "must be at most a day" end
  return math.ceil(seconds)
end

local UNITS = { b = 1, k = 1 << 10, m = 1 << 20, g = 1 << 30 }

--- Bytes, or "256m".
local function memory_size(value)
  local number, unit = tostring(value):lower():match "^(%d+)([bkmg]?)$"
  local bytes = number and math.tointeger(tonumber(number) * (UNITS[unit] or 1))
  if not bytes then return nil, 'bytes, or text as "256m" expected' end
  if bytes < 6 << 20 then return nil, "the Engine wants 6m at least" end
  return bytes
end

local function network_name(value)
  if type(value) == "string" and value:find "^[%w][%w_.-]+$" then return value end
  return nil, ("'%s' is no name of a network"):format(tostring(value))
end

--- How a container is made. May stand in a project (for all its stages) and in a stage (which wins).
local function container_fields()
  return {
    env = { type = "map", keys = env_key, value = { accept = env_value }, text = "environment of the containers" },
    ports = { accept = ports, text = 'ports to publish: "exposed" gives every EXPOSEd one a free port of the host' },
    network = { accept = network_name, text = "the shared network; made where it is missing" },
    labels = {
      type = "map", value = { type = "string" }, text = "further labels",
      keys = function(key)
        if type(key) ~= "string" or key == "" then return nil, "a label's name is a string" end
        if key:find "^docker%-watcher%." then return nil, ("'%s': labels docker-watcher.* are ours"):format(key) end
        return true
      end,
    },
    cmd = { accept = command, text = "instead of the image's CMD" },
    entrypoint = { accept = command, text = "instead of the image's ENTRYPOINT" },
    user = { type = "string", text = "user[:group] inside" },
    working_dir = { type = "string", text = "the folder to start in" },
    restart = {
      type = "string", values = { "no", "always", "unless-stopped", "on-failure" },
      text = "when the Engine starts it again",
    },
    memory = { accept = memory_size, text = 'memory at most: bytes, or text as "256m"' },
    cpus = { type = "number", min = 0.01, text = "processors at most" },
    stop_timeout = { accept = whole_seconds, text = "how long a container may take to stop" },
    init = { type = "boolean", text = "run an init inside that reaps processes" },
    read_only = { type = "boolean", text = "a read-only root file system" },
  }
end

--- Reads the name of an image to watch: no tag, no digest.
local function image_field(world)
  return {
    text = 'the image to watch, without a tag: "registry.example.com/shop/web"',
    accept = function(value)
      if type(value) ~= "string" then return nil, ("a string expected, got a %s"):format(type(value)) end
      local parsed, err = world.parse_reference(value)
      if not parsed then return nil, ("'%s' is no image: %s"):format(value, tostring(err)) end
      if parsed.tag or parsed.digest then
        return nil, ("'%s' has a %s: leave it out, `tags` chooses it"):format(
          value, parsed.digest and "digest" or "tag")
      end
      return value
    end,
  }
end

--- The schema of the whole file.
---@param world { parse_reference: function, accept_tags: function, accept_policy: function }
---@return docker_watcher.field
function fields.new(world)
  local stage = container_fields()
  stage.image = image_field(world)
  stage.tags = {
    accept = world.accept_tags, required = true, text = 'which tag to run, as tags.semver { range = "^1" }',
  }
  stage.policy = { accept = world.accept_policy, text = "how to bring it into service; default policies.blue_green {}" }

  local project = container_fields()
  project.image = image_field(world)
  project.stages = {
    type = "map", required = true, keys = short_name "stage", value = { type = "table", fields = stage },
    text = "the stages by name",
  }

  return {
    type = "table",
    fields = {
      engine = { type = "string", min = 1, text = "the Engine: unix:///… or tcp://…; default as the docker command" },
      secrets_dir = { type = "string", min = 1, text = 'a folder with a file for each secret "name"' },
      poll = {
        type = "table", default = {}, text = "how often the registries are asked",
        fields = {
          every = { type = "duration", default = "60s", min = 1, max = 30 * 86400, text = "between two looks" },
          jitter = { type = "number", default = 0.1, min = 0, max = 1, text = "share of it that is left to chance" },
        },
      },
      registries = {
        type = "map", default = {}, keys = registry_host, text = "credentials and ways by HOST[:PORT]",
        value = {
          type = "table",
          fields = {
            username = { accept = text_or_secret, text = "the user" },
            password = { accept = text_or_secret, text = 'the password or token, as secret "name"' },
            insecure = { type = "boolean", text = "speak plain http to it" },
          },
        },
      },
      projects = {
        type = "map", required = true, keys = short_name "project", value = { type = "table", fields = project },
        text = "what to watch and deploy",
      },
    },
  }
end

--- Names of the keys that a stage takes over from its project.
function fields.inherited()
  local names = { "image" }
  for name in pairs(container_fields()) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return fields
