--- Ranges of versions, in the grammar that npm's and Masterminds' users write. Pure.
--
--   ^1.2  ~1.2.3  ~>1.2  >=1.0.0 <2.0.0  1.2.3 - 2.3.4  1.x  1.2.*  *  >=1.0.0-0, <3  ^1 || ^2  !=1.4.2
--
-- Blanks and commas between comparators mean "and", || means "or". A range becomes alternatives of plain comparators,
-- as npm's does, and the prerelease rule is npm's too: a prerelease satisfies an alternative only where one
-- of that alternative's comparators names a prerelease of the very same MAJOR.MINOR.PATCH; with
-- `prerelease = true` they are versions like any other.

local version = require "docker_watcher.tags.version"

local range = {}

---@class docker_watcher.comparator
---@field op ">" | ">=" | "<" | "<=" | "=" | "!="
---@field version docker_watcher.version

---@class docker_watcher.range
---@field text string
---@field prerelease boolean
---@field alternatives docker_watcher.comparator[][]

local LONGEST = 1024 -- characters of a range; the longest in use have some hundred

local OPERATORS = {
  [">"] = ">", [">="] = ">=", ["=>"] = ">=", ["<"] = "<", ["<="] = "<=", ["=<"] = "<=", ["="] = "=", ["=="] = "=",
  [""] = "", ["!="] = "!=", ["^"] = "^", ["~"] = "~", ["~>"] = "~",
}

--- A version some of whose parts may be missing or x: fields are digits or nil. nil, reason where it is none.
local function parse_partial(text)
  local core = text:match "^[vV]?([^+]*)"
  local numbers, rest = core:match "^([%dxX*.]*)(.*)$"
  if numbers == "" and rest == "" then return nil, "a version is missing" end
  local partial, names, count = { pre = {} }, { "major", "minor", "patch" }, 0
  local wild = false
  for part in (numbers .. "."):gmatch "(.-)%." do
    count = count + 1
    if count > 3 then return nil, ("'%s' has more than three numbers"):format(text) end
    if part == "x" or part == "X" or part == "*" then
      wild = true
    elseif not part:find "^%d+$" then
      return nil, ("'%s' is no version"):format(text)
    elseif part ~= "0" and part:byte() == ("0"):byte() then
      return nil, ("leading zero in '%s'"):format(text)
    elseif not wild then -- behind an x every number is one too
      partial[names[count]] = part
    end
  end
  if rest ~= "" then
    if rest:byte() ~= ("-"):byte() then return nil, ("'%s' is no version"):format(text) end
    local pre, reason = version.identifiers(rest:sub(2), "prerelease")
    if not pre then return nil, reason end
    if partial.patch then partial.pre = pre end -- 1.x-beta: npm drops it
  end
  return partial
end

local function make(major, minor, patch, pre)
  return { major = major, minor = minor, patch = patch, pre = pre or {} }
end

local LOWEST = { "0" } -- the prerelease "-0" is below all others of its version

--- The comparators of one operator and one partial version, in npm's way. `low` is what lower bounds made up here
--- carry: "-0" where prereleases count, since then 1.x begins with 1.0.0-0.
local function desugar(op, p, low)
  local up = version.increment
  if not p.major then -- *, or an operator on *
    if op == ">" or op == "<" or op == "!=" then return { { op = "<", version = make("0", "0", "0", LOWEST) } } end
    return {}
  end
  local major, minor, patch = p.major, p.minor or "0", p.patch or "0"
  local full = p.patch ~= nil
  local first = make(major, minor, patch, full and p.pre or low)
  -- the first version behind those that the partial one stands for
  local after = not p.minor and make(up(major), "0", "0", LOWEST)
    or make(major, up(minor), "0", LOWEST)
  if op == "^" then
    if full and #p.pre == 0 and major == "0" then first.pre = low end
    local behind
    if major ~= "0" or not p.minor then
      behind = make(up(major), "0", "0", LOWEST)
    elseif minor ~= "0" or not full then
      behind = make("0", up(minor), "0", LOWEST)
    else
      behind = make("0", "0", up(patch), LOWEST)
    end
    return { { op = ">=", version = first }, { op = "<", version = behind } }
  elseif op == "~" then
    if not full then first.pre = {} end
    return { { op = ">=", version = first }, { op = "<", version = after } }
  elseif full then
    return { { op = op == "" and "=" or op, version = make(major, minor, patch, p.pre) } }
  elseif op == "" or op == "=" then
    return { { op = ">=", version = first }, { op = "<", version = after } }
  elseif op == ">" then
    return { { op = ">=", version = make(after.major, after.minor, after.patch, low) } }
  elseif op == ">=" then
    return { { op = ">=", version = first } }
  elseif op == "<" then
    return { { op = "<", version = make(major, minor, patch, LOWEST) } }
  elseif op == "<=" then
    return { { op = "<", version = after } }
  end
  return nil, "'!=' needs a whole version"
end

--- "1.2 - 2.3.4"
local function desugar_hyphen(from, to, low)
  local first, reason = parse_partial(from)
  if not first then return nil, reason end
  local last
  last, reason = parse_partial(to)
  if not last then return nil, reason end
  local list = {}
  if first.major then
    local pre = #first.pre > 0 and first.pre or low
    list[1] = { op = ">=", version = make(first.major, first.minor or "0", first.patch or "0", pre) }
  end
  if last.major then
    local bound
    if not last.patch then
      bound = desugar("<=", last, low)[1]
    elseif #last.pre > 0 or #low == 0 then
      bound = { op = "<=", version = make(last.major, last.minor, last.patch, last.pre) }
    else
      bound = { op = "<", version = make(last.major, last.minor, version.increment(last.patch), LOWEST) }
    end
    list[#list + 1] = bound
  end
  return list
end

--- One alternative: comparators joined by blanks or commas.
local function parse_alternative(text, low)
  local from, to = text:match "^%s*(%S+)%s+%-%s+(%S+)%s*$"
  if from then return desugar_hyphen(from, to, low) end
  if text:find "^%s*$" then return {} end
  local list, at = {}, 1
  while true do
    local op, word, behind = text:match("^[%s]*([<>=~^!]*)%s*([^%s,<>=~^!]*)%s*()", at)
    if OPERATORS[op] == nil then return nil, ("'%s' is no operator"):format(op) end
    local partial, reason = parse_partial(word)
    if not partial then return nil, reason end
    local comparators
    comparators, reason = desugar(OPERATORS[op], partial, low)
    if not comparators then return nil, reason end
    table.move(comparators, 1, #comparators, #list + 1, list)
    if behind > #text then return list end
    if text:sub(behind, behind) == "," then behind = behind + 1 end
    at = behind
  end
end

--- Parses a range; nil and the reason where it is none.
---@param text string
---@param options { prerelease: boolean? }?  prerelease: prereleases are versions like any other
---@return docker_watcher.range? parsed, string? reason
function range.parse(text, options)
  if #text > LONGEST then return nil, ("a range has at most %d characters"):format(LONGEST) end
  local prerelease = options ~= nil and options.prerelease == true
  local alternatives, at = {}, 1
  while true do
    local first, last = text:find("||", at, true)
    local alternative, reason = parse_alternative(text:sub(at, (first or 0) - 1), prerelease and LOWEST or {})
    if not alternative then return nil, reason end
    alternatives[#alternatives + 1] = alternative
    if not first then break end
    at = last + 1
  end
  return { text = text, prerelease = prerelease, alternatives = alternatives }
end

local HOLDS = {
  [">"] = function(order) return order > 0 end,
  [">="] = function(order) return order >= 0 end,
  ["<"] = function(order) return order < 0 end,
  ["<="] = function(order) return order <= 0 end,
  ["="] = function(order) return order == 0 end,
  ["!="] = function(order) return order ~= 0 end,
}

local function same_core(a, b) return a.major == b.major and a.minor == b.minor and a.patch == b.patch end

local function satisfies_all(v, comparators, prerelease)
  for _, c in ipairs(comparators) do
    if not HOLDS[c.op](version.compare(v, c.version)) then
      return false, ("not %s%s"):format(c.op, version.format(c.version))
    end
  end
  if #v.pre == 0 or prerelease then return true end
  for _, c in ipairs(comparators) do
    if c.op ~= "!=" and #c.version.pre > 0 and same_core(v, c.version) then return true end
  end
  return false, "a prerelease, and the range names none of that version"
end

--- Is v in the range? Where not, the reason (of the last alternative).
---@param v docker_watcher.version
---@param r docker_watcher.range
---@return boolean, string? reason
function range.satisfies(v, r)
  local reason
  for _, comparators in ipairs(r.alternatives) do
    local yes
    yes, reason = satisfies_all(v, comparators, r.prerelease)
    if yes then return true end
  end
  return false, reason
end

return range
