--- Settings described once, as data, and checked at the door. Pure.
--
-- A field is a table:
--   type      "string" "boolean" "integer" "number" "duration" (→ seconds) "table" "map" "list", or
--   accept    function(value) → value to keep | nil, what is wrong: for all that a type cannot say
--   default   the value where none is given;  required = true: there must be one
--   min, max  of numbers, of periods (seconds), and of a list's or string's length
--   values    the only words allowed, as a list
--   fields    of a "table": name → field. Unknown keys are mistakes, with the near miss named
--   keys      of a "map": function(key) → true | nil, what is wrong;  value: the field of each value
--   items     of a "list": the field of each item
--   text      what it is for, in one line: help and messages use it
--
-- Every mistake is reported, by a call of report(path, message); path is a list of keys.

local duration = require "docker_watcher.duration"
local nearest = require "docker_watcher.nearest"

local schema = {}

---@class docker_watcher.field
---@field type string?
---@field accept (fun(value: any): any, string?)?
---@field default any
---@field required boolean?
---@field min number?
---@field max number?
---@field values string[]?
---@field fields table<string, docker_watcher.field>?
---@field keys (fun(key: any): boolean?, string?)?
---@field value docker_watcher.field?
---@field items docker_watcher.field?
---@field text string?

local NOUNS = {
  table = "a table", map = "a table", list = "a list",
}

--- The path with one more step.
function schema.step(path, key)
  local longer = table.move(path, 1, #path, 1, {})
  longer[#longer + 1] = key
  return longer
end

--- "projects.shop.stages['a b']"
---@param path (string|integer)[]
---@return string
function schema.path_text(path)
  local text = ""
  for i, key in ipairs(path) do
    if math.type(key) then
      text = text .. "[" .. key .. "]"
    elseif type(key) == "string" and key:find "^[%a_][%w_-]*$" then
      text = text .. (i > 1 and "." or "") .. key
    else
      text = text .. ("['%s']"):format(tostring(key))
    end
  end
  return text
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
    return type(a) < type(b)
  end)
  return keys
end

--- nil, or what is wrong with the size.
local function check_bounds(size, field, unit)
  if field.min and size < field.min then
    return ("must be at least %s%s"):format(field.min, unit)
  elseif field.max and size > field.max then
    return ("must be at most %s%s"):format(field.max, unit)
  end
end

local function describe(value)
  if type(value) == "string" then return ("'%s'"):format(#value > 40 and value:sub(1, 40) .. "…" or value) end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end

local checks = {}

function checks.string(value, field)
  if type(value) ~= "string" then return nil, ("a string expected, got %s"):format(describe(value)) end
  if value:find("\0", 1, true) then return nil, "must not hold a NUL" end
  return value, check_bounds(#value, field, " characters long")
end

function checks.boolean(value)
  if type(value) ~= "boolean" then return nil, ("true or false expected, got %s"):format(describe(value)) end
  return value
end

function checks.number(value, field)
  if type(value) ~= "number" or value ~= value then
    return nil, ("a number expected, got %s"):format(describe(value))
  end
  return value, check_bounds(value, field, "")
end

function checks.integer(value, field)
  local integer = math.type(value) and math.tointeger(value)
  if not integer then return nil, ("a whole number expected, got %s"):format(describe(value)) end
  return integer, check_bounds(integer, field, "")
end

function checks.duration(value, field)
  local seconds, reason = duration.parse(value)
  if not seconds then return nil, reason end
  return seconds, check_bounds(seconds, field, " seconds")
end

local containers = {}

function containers.table(value, field, path, report)
  local kept = {}
  for _, key in ipairs(sorted_keys(value)) do
    if field.fields[key] == nil then
      local near = type(key) == "string" and nearest.find(key, field.fields)
      report(schema.step(path, key), near and ("unknown key '%s' (did you mean '%s'?)"):format(key, near)
        or ("unknown key %s; known here: %s"):format(describe(key), table.concat(sorted_keys(field.fields), ", ")))
    end
  end
  for _, name in ipairs(sorted_keys(field.fields)) do
    kept[name] = schema.check(value[name], field.fields[name], schema.step(path, name), report)
  end
  return kept
end

function containers.map(value, field, path, report)
  local kept = {}
  for _, key in ipairs(sorted_keys(value)) do
    local good, reason = true, nil
    if field.keys then good, reason = field.keys(key) end
    if good then
      kept[key] = schema.check(value[key], field.value, schema.step(path, key), report)
    else
      report(schema.step(path, key), reason)
    end
  end
  return kept
end

function containers.list(value, field, path, report)
  local kept, count = {}, 0
  for key in pairs(value) do
    count = count + 1
    if math.type(key) ~= "integer" or key < 1 or key > #value then
      report(schema.step(path, key), ("a list expected, and %s is no position in one"):format(describe(key)))
      return nil
    end
  end
  for i = 1, count do
    kept[i] = schema.check(value[i], field.items, schema.step(path, i), report)
  end
  local wrong = check_bounds(count, field, " items long")
  if wrong then report(path, wrong) end
  return kept
end

--- Checks one value; answers what to keep: defaults filled in, periods in seconds, always a copy of tables. nil where
--- it was wrong or absent.
---@param value any
---@param field docker_watcher.field
---@param path (string|integer)[]
---@param report fun(path: (string|integer)[], message: string)
---@return any
function schema.check(value, field, path, report)
  if value == nil then
    if field.required then
      report(path, "is missing" .. (field.text and ": " .. field.text or ""))
    elseif field.default ~= nil then
      return schema.check(field.default, field, path, report)
    end
    return nil
  end
  if field.accept then
    local kept, reason = field.accept(value)
    if kept == nil then report(path, reason) end
    return kept
  end
  if containers[field.type] then
    if type(value) ~= "table" or getmetatable(value) ~= nil then
      report(path, ("%s expected, got %s"):format(NOUNS[field.type], describe(value)))
      return nil
    end
    return containers[field.type](value, field, path, report)
  end
  local kept, reason = checks[field.type](value, field)
  if not reason and field.values then
    local known = {}
    for _, word in ipairs(field.values) do known[word] = true end
    if not known[kept] then
      local near = nearest.find(tostring(kept), field.values)
      reason = ("must be one of %s, not '%s'%s"):format(table.concat(field.values, ", "), kept,
        near and (" (did you mean '%s'?)"):format(near) or "")
    end
  end
  if reason then
    report(path, reason)
    return nil
  end
  return kept
end

return schema
