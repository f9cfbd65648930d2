--- The header fields that a registry client must read well: WWW-Authenticate, Link, Retry-After, Docker-Content-Digest.
-- Pure; none raises, whatever a server sends.

local headers = {}

--- All values of a field in one line (http gives an array where a field was repeated).
---@param value string|string[]|nil
---@return string
function headers.join(value)
  if type(value) == "table" then return table.concat(value, ", ") end
  return value or ""
end

local TOKEN = "[%w!#$%%&'*+.^_`|~-]"

--- A token or a quoted string at `at`: its value and the place behind; nil where there is neither.
local function read_value(text, at)
  if text:sub(at, at) ~= '"' then
    local value, behind = text:match("^([^%s,;\"]+)()", at)
    return value, behind
  end
  local parts, i = {}, at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == '"' then return table.concat(parts), i + 1 end
    if c == "\\" then
      i = i + 1
      c = text:sub(i, i)
    end
    parts[#parts + 1] = c
    i = i + 1
  end
  return nil -- no closing quote
end

--- Challenges of WWW-Authenticate (RFC 9110, 11.6.1): { { scheme = "bearer", params = { realm = "…" } }, … }. What
-- cannot be read ends the list.
---@param value string|string[]|nil
---@return { scheme: string, params: table<string, string> }[]
function headers.challenges(value)
  local text, list, at = headers.join(value), {}, 1
  while true do
    at = text:match("^[%s,]*()", at)
    local name, behind = text:match("^(" .. TOKEN .. "+)%s*()", at)
    if not name then return list end
    local current = list[#list]
    if text:sub(behind, behind) == "=" and current then
      local read, after = read_value(text, text:match("^%s*()", behind + 1))
      if not read then return list end
      name = name:lower()
      if current.params[name] == nil then current.params[name] = read end -- a duplicate: the first wins
      at = after
    elseif text:sub(behind, behind) == "=" then
      return list -- a parameter of no challenge
    else
      list[#list + 1] = { scheme = name:lower(), params = {} }
      at = behind
    end
  end
end

--- The address of rel="next" in a Link field (RFC 8288), as it is written; nil where there is none.
---@param value string|string[]|nil
---@return string?
function headers.next_link(value)
  local text, at = headers.join(value), 1
  while true do
    local target, behind = text:match("^[%s,]*<([^>]*)>()", at)
    if not target then return nil end
    at = behind
    local rel
    while true do
      local name, after = text:match("^%s*;%s*(" .. TOKEN .. "+)%s*()", at)
      if not name then break end
      at = after
      if text:sub(at, at) == "=" then
        local read, next_at = read_value(text, text:match("^%s*()", at + 1))
        if not read then return nil end
        if name:lower() == "rel" and rel == nil then rel = read end
        at = next_at
      end
    end
    at = text:match("^%s*()", at)
    for word in (rel or ""):gmatch "%S+" do
      if word:lower() == "next" then return target end
    end
  end
end

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

--- Days since 1970-01-01 in the proleptic Gregorian calendar.
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

--- "Wed, 21 Oct 2015 07:28:00 GMT" → seconds since 1970; nil where it is no such date.
---@param text string
---@return integer?
function headers.date(text)
  local day, name, year, hour, minute, second = text:match "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  local month = name and MONTHS[name]
  if not month then return nil end
  return days(tonumber(year), month, tonumber(day)) * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60
    + tonumber(second)
end

--- Seconds to wait by Retry-After; nil where it is absent, past, absurd or garbage.
---@param value string|string[]|nil
---@param now integer  wall clock, seconds since 1970
---@param longest number
---@return number?
function headers.retry_after(value, now, longest)
  local text = headers.join(value):match "^%s*(.-)%s*$"
  local seconds
  if text:find "^%d+$" and #text <= 9 then
    seconds = math.tointeger(tonumber(text))
  else
    local date = headers.date(text)
    seconds = date and date - now
  end
  if seconds and seconds > 0 and seconds <= longest then return seconds end
end

local DIGEST_LENGTHS = { sha256 = 64, sha512 = 128 }

--- The digest, if it is one that we accept: sha256 or sha512 in small hex digits. Anything else counts as missing.
---@param value any
---@return string?
function headers.digest(value)
  if type(value) ~= "string" then return nil end
  local algorithm, hex = value:match "^(%w+):([0-9a-f]+)$"
  if algorithm and DIGEST_LENGTHS[algorithm] == #hex then return value end
end

return headers
