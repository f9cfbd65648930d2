--- Secrets in the configuration: opaque values that print as "…" and are opened only where they are used.
--
-- secret "registry" in the configuration makes one; where its value comes from is looked up when the file has been
-- read: the environment's DOCKER_WATCHER_SECRET_REGISTRY, else the file "registry" in secrets_dir, which nobody but its
-- owner may read. The value lives in a closure: neither pairs, tostring, string.format nor a JSON encoder gets at it.

local secret = {}

local OPEN = {} -- who holds this key may open secrets: nobody outside this file
local NAME_T = "docker_watcher.secret"
local LONGEST = 65536 -- bytes; tokens in use have some thousand

--- A new secret with its value, or one whose value is to be set later by secret.fill.
---@param value string?
function secret.new(value)
  return setmetatable({}, {
    __name = NAME_T,
    __tostring = function() return "…" end,
    __newindex = function() error("a secret cannot be changed", 2) end,
    __metatable = NAME_T,
    __call = function(_, key, given)
      if key ~= OPEN then error("a secret cannot be called", 2) end
      if given ~= nil then value = given end
      return value
    end,
  })
end

---@return boolean
function secret.is(v) return type(v) == "table" and getmetatable(v) == NAME_T end

function secret.fill(s, value) s(OPEN, value) end

--- The value of a secret; any other value is answered as it is.
function secret.open(v)
  if secret.is(v) then return v(OPEN) end
  return v
end

--- The variable of the environment that holds the secret of this name.
---@param name string
---@return string
function secret.variable(name)
  return "DOCKER_WATCHER_SECRET_" .. name:upper():gsub("[^A-Z0-9]", "_")
end

--- Names are file names too: no dots, no slashes.
---@param name any
---@return boolean
function secret.is_name(name)
  return type(name) == "string" and #name <= 64 and name:find "^[a-z0-9][a-z0-9_-]*$" ~= nil
end

--- Looks a secret's value up; nil and what to do where there is none.
---@param name string
---@param folder string?                       secrets_dir
---@param getenv fun(name: string): string?
---@param file_mode fun(path: string): string?  the permissions as "rw-------"
---@return string? value, string? reason
function secret.look_up(name, folder, getenv, file_mode)
  local variable = secret.variable(name)
  local value = getenv(variable)
  if value and value ~= "" then return value end
  local where = ("set %s in the environment"):format(variable)
  if not folder then
    return nil, ("no secret '%s': %s, or name a folder of secrets by secrets_dir = \"…\""):format(name, where)
  end
  local path = folder .. "/" .. name
  local file = io.open(path, "rb")
  if not file then
    return nil, ("no secret '%s': %s, or write it to %s (mode 0600)"):format(name, where, path)
  end
  local mode = file_mode(path)
  if not mode or not mode:find "^...%-%-%-%-%-%-$" then
    file:close()
    return nil, ("secret '%s': %s: run  chmod 600 %s"):format(name,
      mode and ("others may read %s (%s)"):format(path, mode) or "cannot tell who may read " .. path, path)
  end
  value = file:read(LONGEST + 1)
  file:close()
  value = value and value:gsub("\r?\n$", "")
  if not value or value == "" then
    return nil, ("secret '%s': %s is empty"):format(name, path)
  elseif #value > LONGEST then
    return nil, ("secret '%s': %s has more than %d bytes"):format(name, path, LONGEST)
  end
  return value
end

--- The permissions of a file as ls shows them: "rw-------"; nil where that cannot be said. Lua itself cannot ask.
---@param path string
---@return string?
function secret.file_mode(path)
  local quoted = "'" .. path:gsub("'", [['\'']]) .. "'"
  local pipe = io.popen("LC_ALL=C ls -ldL -- " .. quoted .. " 2>/dev/null")
  local line = pipe and pipe:read "l"
  if pipe then pipe:close() end
  return line and line:match "^%-([rwxsStT-]+)"
end

return secret
