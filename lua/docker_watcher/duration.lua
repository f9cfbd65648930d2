--- Periods as people write them: 90, "90s", "2 hours", "1m30s", "1 h 15 min" → seconds. Pure.

local duration = {}

local UNITS = {
  ms = 0.001, millisecond = 0.001, milliseconds = 0.001,
  s = 1, sec = 1, secs = 1, second = 1, seconds = 1,
  m = 60, min = 60, mins = 60, minute = 60, minutes = 60,
  h = 3600, hour = 3600, hours = 3600,
  d = 86400, day = 86400, days = 86400,
  w = 604800, week = 604800, weeks = 604800,
}

--- Seconds, or nil and what is wrong.
---@param value any
---@return number? seconds, string? reason
function duration.parse(value)
  if type(value) == "number" then
    if value ~= value or value < 0 or value == math.huge then return nil, "must be a number of seconds, 0 or more" end
    return value
  elseif type(value) ~= "string" then
    return nil, ('a period expected, as "60s" or "2 hours", got %s'):format(type(value))
  end
  local plain = value:match "^%s*(%d+%.?%d*)%s*$"
  if plain then return tonumber(plain) end
  local total, at = 0, 1
  while true do
    local number, unit, behind = value:match("^%s*(%d+%.?%d*)%s*(%a+)()", at)
    if not number then break end
    local factor = UNITS[unit:lower()]
    if not factor then
      return nil, ("'%s' is no unit of time (ms, s, min, h, days, weeks)"):format(unit)
    end
    total, at = total + tonumber(number) * factor, behind
  end
  if at == 1 or value:find("%S", at) then
    return nil, ("'%s' is no period: write it as \"60s\", \"1m30s\" or \"2 hours\""):format(value)
  end
  return total
end

--- The other way, for people: 90 → "1m30s".
---@param seconds number
---@return string
function duration.format(seconds)
  if seconds < 1 then return ("%dms"):format(math.floor(seconds * 1000 + 0.5)) end
  local parts, left = {}, math.floor(seconds + 0.5)
  for _, unit in ipairs { { "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 } } do
    local count = left // unit[2]
    if count > 0 then parts[#parts + 1] = count .. unit[1] end
    left = left - count * unit[2]
  end
  return table.concat(parts)
end

return duration
