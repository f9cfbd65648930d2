--- The log: one event a line, as text on a terminal, as a JSON object elsewhere.
--
-- Whatever is logged may come from strangers (tags, error bodies, container output): in text, control bytes and invalid
-- UTF-8 show as \xNN, so that nobody writes lines of his own or moves the cursor; JSON escapes by itself. Secrets
-- are opaque values that print as "…" (docker_watcher.secret).

local json = require "docker_watcher.json"

local log = {}

local LEVELS = { debug = 1, info = 2, warn = 3, error = 4 }
local COLOURS = { debug = "2", info = "32", warn = "33", error = "31" }
local LONGEST = 2000 -- bytes of one field

local methods = {}
local meta = { __index = methods, __name = "docker_watcher.log" }

--- Text that is safe to print on one line: printable characters as they are, the rest as \xNN.
---@param text string
---@return string
function log.printable(text)
  if not text:find "[%c\x7f-\xff]" then return text end
  local out, at = {}, 1
  while at <= #text do
    local stop = text:find("[%c\x7f-\xff]", at)
    if not stop then
      out[#out + 1] = text:sub(at)
      break
    end
    out[#out + 1] = text:sub(at, stop - 1)
    local character = text:match("^[\xc2-\xf4][\x80-\xbf]+", stop)
    local code = character and utf8.len(character) and utf8.codepoint(character) or 0
    -- C1 controls and the characters that turn the direction of writing are as bad as control bytes
    if code >= 0xa0 and not (code >= 0x200b and code <= 0x200f) and not (code >= 0x2028 and code <= 0x202e)
      and not (code >= 0x2066 and code <= 0x2069) then
      character = utf8.char(code)
      out[#out + 1] = character
      at = stop + #character
    else
      out[#out + 1] = ("\\x%02x"):format(text:byte(stop))
      at = stop + 1
    end
  end
  return table.concat(out)
end

--- A field's value as one word or a quoted text.
local function word(value)
  local text = type(value) == "table" and getmetatable(value) == nil and json.encode(value) or tostring(value)
  if #text > LONGEST then text = text:sub(1, LONGEST) .. "…" end
  text = log.printable((text:gsub("\n", "\\n")))
  if text == "" or text:find '[%s"=]' then return '"' .. text:gsub('"', '\\"') .. '"' end
  return text
end

-- What stands first in a line of text, in this order; the rest follows by name.
local ORDER = { "project", "stage", "tag", "container", "instance", "image", "step", "cause", "reason", "error" }

local function field_names(fields)
  local names, place = {}, {}
  for i, name in ipairs(ORDER) do place[name] = i end
  for name in pairs(fields) do names[#names + 1] = tostring(name) end
  table.sort(names, function(a, b)
    local x, y = place[a] or math.huge, place[b] or math.huge
    if x ~= y then return x < y end
    return a < b
  end)
  return names
end

local function as_text(self, level, message, fields)
  local mark = ("%-5s"):format(level)
  if self.colour then mark = ("\27[%sm%s\27[0m"):format(COLOURS[level], mark) end
  local parts = { os.date("%H:%M:%S", self.now()) .. " " .. mark .. " " .. log.printable(message) }
  for _, name in ipairs(field_names(fields)) do parts[#parts + 1] = name .. "=" .. word(fields[name]) end
  return table.concat(parts, " ")
end

local function as_json(self, level, message, fields)
  local line = {}
  for name, value in pairs(fields) do
    line[name] = type(value) == "string" and #value > LONGEST and value:sub(1, LONGEST) .. "…" or value
  end
  line.time, line.level, line.message = os.date("!%Y-%m-%dT%H:%M:%SZ", self.now()), level, message
  return json.encode(line)
end

---@param options { write: fun(line: string), format: "text"|"json"?, level: string?, colour: boolean?, now: function? }
function log.new(options)
  return setmetatable({
    write = options.write,
    format = options.format == "json" and as_json or as_text,
    level = LEVELS[options.level or "info"] or error(("log.new: no level '%s'"):format(tostring(options.level)), 2),
    colour = options.colour or false,
    now = options.now or os.time,
  }, meta)
end

for level, rank in pairs(LEVELS) do
  --- log:info("deployed", { project = "shop" })
  methods[level] = function(self, message, fields)
    if rank >= self.level then self.write(self:format(level, message, fields or {}) .. "\n") end
  end
end

return log
