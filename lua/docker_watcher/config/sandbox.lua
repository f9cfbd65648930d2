--- The environment that an operator's file runs in: text chunks only, a safe part of the standard library, and the
-- words tags, policies, secret, env and require.
--
-- tags.X { … }, policies.X { … } and secret "x" only note what was asked for, and the line: judging comes later,
-- so that every mistake of a file is found, not just the first. `require` finds files beside the configuration
-- only, and runs them in the same environment.

local nearest = require "docker_watcher.nearest"
local secret = require "docker_watcher.secret"

local sandbox = {}

---@class docker_watcher.choice  tags.semver { … } before it is judged
---@field family "tags" | "policies"
---@field name string
---@field options any
---@field line integer
---@field file string

local CHOICE_T = "docker_watcher.choice"
local choice_meta = { __name = CHOICE_T, __metatable = CHOICE_T }

---@return boolean
function sandbox.is_choice(v, family)
  return type(v) == "table" and getmetatable(v) == CHOICE_T and v.family == family
end

local SAFE = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "xpcall", "_VERSION",
}

--- Copies: a file that changes `string` changes its own.
local function standard_library()
  local env = {}
  for _, name in ipairs(SAFE) do env[name] = _G[name] end
  for _, name in ipairs { "math", "string", "table", "utf8" } do
    env[name] = {}
    for key, value in pairs(_G[name]) do env[name][key] = value end
  end
  env.string.dump = nil
  env.os = { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime }
  return env
end

--- File and line of whoever called the function that calls this.
local function caller()
  local info = debug.getinfo(3, "Sl")
  return info.source:gsub("^@", ""), info.currentline
end

--- tags or policies: any name makes a choice, also one that there is not.
local function family_of(name)
  return setmetatable({}, {
    __metatable = false,
    __newindex = function() error(("'%s' cannot be changed"):format(name), 2) end,
    __index = function(_, key)
      return function(options)
        local file, line = caller()
        return setmetatable({ family = name, name = key, options = options, line = line, file = file }, choice_meta)
      end
    end,
  })
end

--- Makes an environment.
---@param world { folder: string, getenv: fun(name: string): string? }
---@param report fun(file: string, line: integer, message: string)
---@return table env, { name: string, value: table, file: string, line: integer }[] secrets  those asked for
function sandbox.new(world, report)
  local env, secrets = standard_library(), {}

  env.tags, env.policies = family_of "tags", family_of "policies"

  function env.secret(name)
    local file, line = caller()
    local value = secret.new()
    if secret.is_name(name) then
      secrets[#secrets + 1] = { name = name, value = value, file = file, line = line }
    else
      report(file, line, ("secret '%s': a secret's name has small letters, digits, '-' and '_' only"):format(
        tostring(name)))
    end
    return value
  end

  function env.env(name, default)
    local file, line = caller()
    if type(name) ~= "string" then error("env: a name expected, as env \"HOME\"", 2) end
    local value = world.getenv(name)
    if value ~= nil then return value end
    if default == nil then
      report(file, line, ("the environment has no %s: set it, or give a default as env(\"%s\", \"…\")"):format(
        name, name))
      return ""
    end
    return default
  end

  local loaded = {}
  function env.require(name)
    if type(name) ~= "string" or not name:find "^[%w_-]+[%w_.-]*$" or name:find("..", 1, true) then
      error(("require: '%s' is no name of a file beside the configuration"):format(tostring(name)), 2)
    end
    if loaded[name] == nil then
      local path = world.folder .. "/" .. name:gsub("%.", "/") .. ".lua"
      local chunk, reason = loadfile(path, "t", env)
      if not chunk then error(("require '%s': %s"):format(name, reason), 2) end
      loaded[name] = true
      local value = chunk(name)
      if value ~= nil then loaded[name] = value end
    end
    return loaded[name]
  end

  env._G = env
  setmetatable(env, {
    __metatable = false,
    __index = function(_, key)
      local near = type(key) == "string" and nearest.find(key, env)
      error(("there is no '%s' here%s"):format(tostring(key), near and (" (did you mean '%s'?)"):format(near) or ""), 2)
    end,
  })
  return env, secrets
end

return sandbox
