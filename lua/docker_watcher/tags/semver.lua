--- tags.semver: the highest tag of a range. Pure: tags and state in, tag and reason out.
--
-- A tag is taken apart as publishers write them: an optional "v", numbers, and behind the first "-" either a
-- prerelease (its first word is alpha, beta, rc, …) or a variant ("alpine3.19", "windowsservercore"), or both
-- ("3.13.0-rc1-alpine"). Only tags of the asked-for variant and count of numbers are candidates: 1.27 is a moving tag,
-- not 1.27.0, and 1.27.0-alpine is another image. "+" cannot stand in a tag; "_" is read for it.
--
-- It refuses: to go below what runs (unless told so), to change between "v1.2.3" and "1.2.3", and to jump to calendar
-- numbers (4.6.2 → 20.04.1 and 10.11.4 → 2021.12.16 were old tags, not new ones).

local range = require "docker_watcher.tags.range"
local version = require "docker_watcher.tags.version"

local semver = { name = "semver" }

--- What the operator may say; checked by docker_watcher.config.
semver.options = {
  range = { type = "string", default = "*", text = 'which versions: "^1.2", ">=1.0.0 <2", "1.x || 2.x"' },
  prerelease = { type = "boolean", default = false, text = "are prereleases versions like any other?" },
  variant = { type = "string", default = "", text = 'what stands behind the version: "alpine" for 1.27.0-alpine' },
  parts = { type = "integer", default = 3, min = 1, max = 3, text = "how many numbers a tag has: 3 for 1.27.0" },
  allow_downgrade = { type = "boolean", default = false, text = "may it go below the version that runs?" },
}

local PRERELEASE = {
  alpha = true, beta = true, rc = true, pre = true, preview = true, dev = true, m = true, snapshot = true,
  nightly = true, canary = true,
}

---@class docker_watcher.semver_tag
---@field text string
---@field prefix string   "v", "V" or ""
---@field parts integer   how many numbers were written
---@field variant string  "" where there is none
---@field version docker_watcher.version  missing numbers are "0": only compared where `parts` are equal

--- "rc.1-alpine" → "rc.1", "alpine"; "alpine3.19" → "", "alpine3.19"
local function split_rest(rest)
  local word = rest:match "^%a*":lower()
  local behind = rest:sub(#word + 1):match "^%d*(.?)"
  if not PRERELEASE[word] or not (behind == "" or behind == "." or behind == "-") then return "", rest end
  -- what follows a further "-" still belongs to the prerelease while it begins with a digit: beta-2
  local stop = #rest
  for at in rest:gmatch "()%-" do
    if not rest:find("^%d", at + 1) then stop = at - 1 break end
  end
  return rest:sub(1, stop), rest:sub(stop + 2)
end

--- Takes a tag apart; nil and the reason where it is no version.
---@param text string
---@return docker_watcher.semver_tag? tag, string? reason
function semver.parse_tag(text)
  local body, build = text:match "^([^_]*)_?(.*)$"
  local prefix, numbers, rest = body:match "^([vV]?)(%d[%d.]*)(.*)$"
  if not prefix then return nil, "no version" end
  local list = {}
  for number in (numbers .. "."):gmatch "(.-)%." do
    if number == "" then return nil, "no version" end
    if number ~= "0" and number:byte() == ("0"):byte() then return nil, ("leading zero in '%s'"):format(number) end
    list[#list + 1] = number
  end
  if #list > 3 then return nil, "more than three numbers" end
  local pre, variant = {}, ""
  if rest ~= "" then
    if rest:byte() ~= ("-"):byte() or #rest == 1 then return nil, ("'%s' behind the numbers"):format(rest) end
    local before, reason
    before, variant = split_rest(rest:sub(2))
    if before ~= "" then
      pre, reason = version.identifiers(before, "prerelease")
      if not pre then return nil, reason end
    end
  end
  return {
    text = text, prefix = prefix, parts = #list, variant = variant,
    version = {
      major = list[1], minor = list[2] or "0", patch = list[3] or "0", pre = pre, build = build ~= "" and build or nil,
    },
  }
end

--- A total order: precedence, then the text, so that equal versions are always picked alike.
local function is_above(a, b)
  local order = version.compare(a.version, b.version)
  if order ~= 0 then return order > 0 end
  return #a.text < #b.text or (#a.text == #b.text and a.text < b.text)
end

local function is_year(digits) return #digits == 4 and digits >= "1990" and digits <= "2100" end

--- Would going from one major to the other be a jump between counting and calendar numbers?
local function is_calendar_jump(from, to)
  return math.abs(#from - #to) >= 2 or is_year(from) ~= is_year(to)
end

--- Why this tag can't be the successor of what runs; nil where it can.
local function refuse(tag, current, options, wanted)
  if tag.variant ~= options.variant then
    return tag.variant == "" and ("has no variant '%s'"):format(options.variant)
      or ("is of the variant '%s'"):format(tag.variant)
  elseif tag.parts ~= options.parts then
    return ("has %d number%s, not %d"):format(tag.parts, tag.parts == 1 and "" or "s", options.parts)
  end
  local within, reason = range.satisfies(tag.version, wanted)
  if not within then return ("is outside %s: %s"):format(wanted.text, reason) end
  if current and current.text ~= tag.text then
    if tag.prefix ~= current.prefix then
      return ("is written %s, unlike the running %s"):format(
        tag.prefix == "" and "without a v" or "with a " .. tag.prefix, current.text)
    elseif is_calendar_jump(current.version.major, tag.version.major) then
      return ("would be a jump between version and calendar numbers from %s"):format(current.text)
    end
  end
end

--- Makes the policy: a pure function of tags and state.
---@param options { range: string, prerelease: boolean, variant: string, parts: integer, allow_downgrade: boolean }
---@return (fun(tags: string[], state: { current: string? }): string?, string, table[])? choose
---@return string? reason, string? option  why it is none, and which option is wrong
function semver.new(options)
  local wanted, wrong = range.parse(options.range, { prerelease = options.prerelease })
  if not wanted then return nil, wrong, "range" end

  return function(tags, state)
    local current = state.current and semver.parse_tag(state.current)
    if current and (current.variant ~= options.variant or current.parts ~= options.parts) then
      current = nil -- the operator changed what is wanted: nothing to compare with
    end
    local best, count, refused = nil, 0, {}
    for _, text in ipairs(tags) do
      local tag, reason = semver.parse_tag(text)
      if tag then reason = refuse(tag, current, options, wanted) end
      if reason then
        refused[#refused + 1] = { tag = text, reason = reason }
      else
        count = count + 1
        if not best or is_above(tag, best) then best = tag end
      end
    end
    if not best then
      return nil, ("none of %d tags is in %s"):format(#tags, options.range), refused
    elseif current and not options.allow_downgrade and version.compare(best.version, current.version) < 0 then
      return nil, ("%s, the highest in %s, is below the running %s"):format(best.text, options.range, current.text),
        refused
    elseif current and best.text ~= current.text and version.compare(best.version, current.version) == 0 then
      for _, text in ipairs(tags) do -- another spelling of the same version is no news
        if text == current.text then best = current break end
      end
    end
    return best.text, ("%s is the highest of %d tag%s in %s"):format(
      best.text, count, count == 1 and "" or "s", options.range), refused
  end
end

return semver
