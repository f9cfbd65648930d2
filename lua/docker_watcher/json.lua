--- JSON for the Lua side, on lua-cjson, strict and the same on every build of it.
--
-- decode gives Lua integers for integral numbers (some builds give floats) and refuses NaN and deep nesting; null is
-- json.null. encode writes integers as such (some builds write 1e+15), sorts the keys of objects, so that equal values
-- give equal text, and takes json.array(t) for lists that may be empty.

local cjson = require("cjson").new()
cjson.decode_invalid_numbers(false)
cjson.decode_max_depth(64)
cjson.encode_max_depth(64)
cjson.encode_invalid_numbers(false)

local json = { null = cjson.null }

local ARRAY = { __name = "docker_watcher.json.array" }

--- Floats that are integers become integers, all the way down.
local function settle(value)
  if type(value) == "number" then
    return math.tointeger(value) or value
  elseif type(value) == "table" then
    for key, inner in pairs(value) do
      if type(inner) == "number" or type(inner) == "table" then value[key] = settle(inner) end
    end
  end
  return value
end

---@param text string
---@return any value, string? reason  nil, reason where it is no JSON
function json.decode(text)
  local ok, value = pcall(cjson.decode, text)
  if not ok then return nil, (tostring(value):gsub("^.-:%d+: ", "")) end
  return settle(value)
end

--- Marks a list as a JSON array, also where it is empty.
---@generic T
---@param list T[]
---@return T[]
function json.array(list) return setmetatable(list, ARRAY) end

local encode

--- A string as JSON, which is UTF-8: foreign bytes show as Latin-1 characters rather than making the text unreadable.
local function encode_string(text)
  if not utf8.len(text) then
    text = text:gsub("[\x80-\xff]", function(c) return utf8.char(c:byte()) end)
  end
  return (cjson.encode(text):gsub("\\/", "/"))
end

local function encode_table(value, depth)
  if depth > 64 then error("json.encode: nested too deeply", 0) end
  local parts = {}
  if getmetatable(value) == ARRAY or #value > 0 then
    for i, item in ipairs(value) do parts[i] = encode(item, depth + 1) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    parts[i] = encode_string(tostring(key)) .. ":" .. encode(value[key], depth + 1)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value, depth)
  local kind = type(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if kind == "table" then
    local meta = getmetatable(value)
    if meta ~= nil and meta ~= ARRAY then return encode_string(tostring(value)) end -- errors, secrets: as they print
    return encode_table(value, depth)
  elseif kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return "null" end
    return ("%.14g"):format(value)
  elseif kind == "string" then
    return encode_string(value)
  elseif kind == "boolean" or value == json.null then
    return cjson.encode(value)
  end
  return encode_string(tostring(value))
end

---@param value any
---@return string
function json.encode(value) return encode(value, 0) end

return json
