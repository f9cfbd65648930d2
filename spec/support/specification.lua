--- The facts of the Docker Engine API's specification, from spec/fixtures/engine-api-operations.txt (made by
--- spec/support/spec-extract.py): its operations, and the names of fields in request bodies.

local specification = {}

local FIXTURE = "spec/fixtures/engine-api-operations.txt"

local function words(text, convert)
  local list = {}
  for word in text:gmatch("[^,]+") do list[#list + 1] = convert and convert(word) or word end
  return list
end

---@class specification.operation
---@field id string
---@field verb string
---@field path string
---@field body "none"|"object"|"array"|"stream"
---@field since string "1.41"
---@field query string[] names
---@field types table<string, string> query parameter → "boolean", "integer", "string", "array"
---@field header string[] names
---@field good integer[]
---@field reply "object"|"array"|"string"|"binary"|"none"|"upgrade"

local function operation(line)
  local id, verb, path, body, since, query, header, good, reply = line:match(
    "^operation (%S+) (%S+) (%S+) body=(%S+) since=(%S+) query=(%S*) header=(%S*) good=(%S+) reply=(%S+)$")
  if not id then return nil end
  local types = {}
  local names = words(query, function(word)
    local name, kind = word:match("^(.*):(.*)$")
    types[name] = kind
    return name
  end)
  return { id = id, verb = verb, path = path, body = body, since = since, query = names, types = types,
    header = words(header), good = words(good, math.tointeger), reply = reply }
end

--- Reads it.
---@return specification.operation[] operations
---@return { name: string, kinds: string }[] fields
function specification.read()
  local operations, fields = {}, {}
  for line in io.lines(FIXTURE) do
    local name, kinds = line:match("^field (%S+) (%S+)$")
    if name then
      fields[#fields + 1] = { name = name, kinds = kinds }
    elseif not line:match("^#") then
      operations[#operations + 1] = assert(operation(line), line)
    end
  end
  return operations, fields
end

return specification
