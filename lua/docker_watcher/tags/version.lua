--- Versions by SemVer 2.0 (semver.org): parsed strictly, compared totally. Pure.
--
-- Numbers stay digit strings, since tags exist whose numbers pass 64 bits: without leading zeros the longer one is
-- larger, and of equal lengths the text decides. Build metadata has no say in precedence.

local version = {}

---@class docker_watcher.version
---@field major string  digits, as minor and patch
---@field minor string
---@field patch string
---@field pre string[]  prerelease identifiers; empty: a release
---@field build string?

--- -1, 0 or 1. Digits without leading zeros.
---@param a string
---@param b string
---@return integer
function version.compare_numbers(a, b)
  if #a ~= #b then return #a < #b and -1 or 1 end
  if a == b then return 0 end
  return a < b and -1 or 1
end

--- digits + 1
---@param digits string
---@return string
function version.increment(digits)
  local head, nines = digits:match "^(%d-)(9*)$"
  local zeros = ("0"):rep(#nines)
  if head == "" then return "1" .. zeros end
  return head:sub(1, -2) .. string.char(head:byte(-1) + 1) .. zeros
end

--- One identifier in ASCII order, whatever the locale says of `<`.
local function compare_text(a, b)
  if a == b then return 0 end
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y and -1 or 1 end
  end
  return #a < #b and -1 or 1
end

--- Precedence of two prerelease lists (SemVer 2.0, section 11): none is above any.
---@param a string[]
---@param b string[]
---@return integer
function version.compare_prereleases(a, b)
  if #a == 0 or #b == 0 then return #a == #b and 0 or (#a == 0 and 1 or -1) end
  for i = 1, math.max(#a, #b) do
    local x, y = a[i], b[i]
    if x == nil or y == nil then return x == nil and -1 or 1 end
    if x ~= y then
      local x_number, y_number = not x:find "%D", not y:find "%D"
      if x_number and y_number then return version.compare_numbers(x, y) end
      if x_number ~= y_number then return x_number and -1 or 1 end
      return compare_text(x, y)
    end
  end
  return 0
end

--- Precedence: -1 where a is below b, 0 where equal, 1 where above.
---@param a docker_watcher.version
---@param b docker_watcher.version
---@return integer
function version.compare(a, b)
  local order = version.compare_numbers(a.major, b.major)
  if order == 0 then order = version.compare_numbers(a.minor, b.minor) end
  if order == 0 then order = version.compare_numbers(a.patch, b.patch) end
  if order == 0 then order = version.compare_prereleases(a.pre, b.pre) end
  return order
end

--- Is text a number as SemVer wants it: digits without a leading zero?
local function is_number(text) return text == "0" or text:find "^[1-9]%d*$" ~= nil end

--- Dot-separated identifiers of a prerelease or of build metadata.
---@param text string
---@param what string  "prerelease" or "build"
---@return string[]? identifiers, string? reason
function version.identifiers(text, what)
  local list = {}
  for identifier in (text .. "."):gmatch "(.-)%." do
    if identifier == "" then return nil, "empty " .. what .. " identifier" end
    if identifier:find "[^0-9A-Za-z-]" then return nil, ("'%s' is no %s identifier"):format(identifier, what) end
    if what == "prerelease" and not identifier:find "%D" and not is_number(identifier) then
      return nil, ("leading zero in prerelease number '%s'"):format(identifier)
    end
    list[#list + 1] = identifier
  end
  return list
end

--- Parses "1.2.3-rc.1+build", with a "v" before it or not.
---@param text string
---@return docker_watcher.version? parsed, string? reason
function version.parse(text)
  local core, build = text:match "^[vV]?([^+]*)%+?(.*)$"
  if text:find("+", 1, true) and build == "" then return nil, "empty build identifier" end
  local major, minor, patch, rest = core:match "^(%d+)%.(%d+)%.(%d+)(.*)$"
  if not major then return nil, "not of the form MAJOR.MINOR.PATCH" end
  for _, number in ipairs { major, minor, patch } do
    if not is_number(number) then return nil, ("leading zero in '%s'"):format(number) end
  end
  local pre = {}
  if rest ~= "" then
    local reason
    if rest:byte() ~= ("-"):byte() then return nil, ("'%s' behind the patch number"):format(rest) end
    pre, reason = version.identifiers(rest:sub(2), "prerelease")
    if not pre then return nil, reason end
  end
  if build ~= "" then
    local identifiers, reason = version.identifiers(build, "build")
    if not identifiers then return nil, reason end
  end
  return { major = major, minor = minor, patch = patch, pre = pre, build = build ~= "" and build or nil }
end

---@param v docker_watcher.version
---@return string
function version.format(v)
  local text = ("%s.%s.%s"):format(v.major, v.minor, v.patch)
  if #v.pre > 0 then text = text .. "-" .. table.concat(v.pre, ".") end
  if v.build then text = text .. "+" .. v.build end
  return text
end

return version
