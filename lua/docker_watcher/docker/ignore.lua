--- .dockerignore: which files of a folder a build leaves out. Pure: text in, answers out.
--
--     local list, reason = ignore.parse(text)            -- reason: "line 3: …"
--     ignore.excludes(list, "src/a.o")                   -- true | false
--     tar.pack { { path = folder, filter = ignore.filter(list) } }
--
-- The rules are the docker command's: one pattern a line, the last that matches decides, `!` takes back what a pattern
-- before it has excluded, what matches a folder matches all that is in it. `*` is any run of characters but `/`, `?`
-- one of them, `[a-z]` one of these, `[^a-z]` none of these, `\x` is x, `**` any number of folders. Lines that begin
-- with `#` are comments; blanks around patterns don't count, nor does a leading `/`; `.` and `..` are resolved.
--
-- A folder that is left out is not looked into, unless a later `!` pattern could match in it. Here the docker command
-- has two ways: its classic builder goes by the letters before the first wildcard, so that `!**/keep` takes nothing
-- back; BuildKit goes by what could match. This does as BuildKit does, since that is what the documentation says.
--
-- Patterns are compiled once. Most are compared as plain text; of the others each is tried first by the text that it
-- begins or ends with.

local ignore = {}

---@class docker_watcher.ignore_pattern
---@field negated boolean       it had a `!`
---@field kind "exact"|"prefix"|"suffix"|"glob"
---@field text string           what a name is compared with: all of it, its beginning, its end
---@field tokens table[]?       of a glob: { op, argument }
---@field ends string?          of a glob: what every match ends with
---@field parts string[]        between slashes; those with wildcards are false
---@field deep boolean          has a `**`

local CHARACTER = "^[\0-\x7F\xC2-\xF4][\x80-\xBF]*" -- one character, or a byte that none begins with

-- ── patterns ───────────────────────────────────────────────────────────────────────────────────────────────────────

--- A path without "." and empty parts, ".." resolved where there is something to resolve; "." where nothing is left.
local function clean(path)
  local rooted, parts = path:sub(1, 1) == "/", {}
  for part in path:gmatch "[^/]+" do
    if part == ".." and #parts > 0 and parts[#parts] ~= ".." then parts[#parts] = nil
    elseif part ~= "." and not (part == ".." and rooted) then parts[#parts + 1] = part end
  end
  local text = table.concat(parts, "/")
  if rooted then return "/" .. text end
  return text == "" and "." or text
end

--- The character at i, and the place behind it.
local function character(text, i)
  local _, last = text:find(CHARACTER, i)
  last = last or i
  return text:sub(i, last), last + 1
end

--- A character's number, so that ranges can be compared; a stray byte has one beyond all characters.
local function number(char)
  return utf8.len(char) == 1 and utf8.codepoint(char) or 0x110000 + char:byte()
end

--- The class that begins at i (its "["): { negated=, { low, high }, … } and the place behind it; or nil, reason.
local function read_class(text, i)
  local class = { negated = text:sub(i + 1, i + 1) == "^" }
  i = i + (class.negated and 2 or 1)
  local function one()
    local char
    if i > #text then return nil end
    if text:sub(i, i) == "\\" then i = i + 1
    elseif text:find("^[-%]]", i) then return nil end
    if i > #text then return nil end
    char, i = character(text, i)
    return number(char)
  end
  repeat
    local low = one()
    local high = low
    if low and text:sub(i, i) == "-" then
      i = i + 1
      high = one()
    end
    if not high or i > #text then return nil, "a '[' that is not closed, or an odd range in it" end
    class[#class + 1] = { low, high }
  until text:sub(i, i) == "]"
  return class, i + 1
end

--- The tokens of a pattern without its `!`, and what kind of pattern they make; or nil, reason.
local function tokenize(text)
  local tokens, kind, i = {}, "exact", 1
  local function add(op, argument)
    local last = tokens[#tokens]
    if op == "text" and last and last[1] == "text" then last[2] = last[2] .. argument
    else tokens[#tokens + 1] = { op, argument } end
  end
  while i <= #text do
    local c = text:sub(i, i)
    if c == "*" and text:sub(i + 1, i + 1) == "*" then
      local first = i == 1
      i = i + (text:sub(i + 2, i + 2) == "/" and 3 or 2)
      if i > #text then
        kind = kind == "exact" and "prefix" or "glob"
        add("rest")
      else
        kind = "glob"
        add("folders")
      end
      if first then kind = "suffix" end
    elseif c == "*" or c == "?" then
      kind = "glob"
      add(c == "*" and "run" or "one")
      i = i + 1
    elseif c == "[" then
      local class, after = read_class(text, i)
      if not class then return nil, after end
      kind = "glob"
      add("class", class)
      i = after
    else
      if c == "\\" then
        kind, i = "glob", i + 1
        if i > #text then return nil, "it ends with a '\\'" end
      end
      c, i = character(text, i)
      add("text", c)
    end
  end
  return tokens, kind
end

--- The pattern on a line, without blanks around it.
local function compile(text)
  local pattern = { negated = text:sub(1, 1) == "!" }
  if pattern.negated then text = text:match "^!%s*(.*)$" end
  if text == "" then return nil, "a '!' without a pattern" end
  text = clean(text)
  if #text > 1 and text:sub(1, 1) == "/" then text = text:sub(2) end
  local tokens, kind = tokenize(text)
  if not tokens then return nil, kind end
  pattern.kind, pattern.text = kind, text
  if kind == "prefix" then pattern.text = text:sub(1, -3)
  elseif kind == "suffix" then pattern.text = text:sub(3)
  elseif kind == "glob" then
    local last = tokens[#tokens]
    pattern.tokens, pattern.ends = tokens, last[1] == "text" and last[2] or nil
    local many = 0
    for _, token in ipairs(tokens) do
      if token[1] == "run" or token[1] == "folders" then many = many + 1 end
    end
    pattern.branching = many > 1
  end
  pattern.deep, pattern.parts = text:find("**", 1, true) ~= nil, {}
  for part in text:gmatch "[^/]+" do
    pattern.parts[#pattern.parts + 1] = not part:find "[*?%[\\]" and part
  end
  return pattern
end

-- ── matching ───────────────────────────────────────────────────────────────────────────────────────────────────────

local function in_class(class, char)
  local n, found = number(char), false
  for _, range in ipairs(class) do
    if n >= range[1] and n <= range[2] then found = true break end
  end
  return found ~= class.negated
end

--- Do the tokens from the one at t on match all of name from i on? dead: what was tried in vain (nil where nothing can
--- be tried twice), so that the work is bounded by the pattern's length times the name's.
local function match(tokens, t, name, i, dead)
  while true do
    local token = tokens[t]
    if not token then return i == #name + 1 end
    local op, argument = token[1], token[2]
    t = t + 1
    if op == "text" then
      if name:sub(i, i + #argument - 1) ~= argument then return false end
      i = i + #argument
    elseif op == "rest" then
      return true
    elseif op == "one" or op == "class" then
      local char, after = character(name, i)
      if char == "" or char == "/" or op == "class" and not in_class(argument, char) then return false end
      i = after
    else
      local key = t * 0x10000 + i
      if dead and dead[key] then return false end
      local slash = name:find("/", i, true)
      if op == "run" then
        local stop = slash or #name + 1
        if not tokens[t] then return stop == #name + 1 end
        for j = i, stop do
          local byte = name:byte(j)
          local inside = byte and byte >= 0x80 and byte < 0xC0 -- of a character
          if not inside and match(tokens, t, name, j, dead) then return true end
        end
      else -- folders
        if match(tokens, t, name, i, dead) then return true end
        while slash do
          if match(tokens, t, name, slash + 1, dead) then return true end
          slash = name:find("/", slash + 1, true)
        end
      end
      if dead then dead[key] = true end
      return false
    end
  end
end

--- Does a pattern match just this name?
local function matches(pattern, name)
  local kind, text = pattern.kind, pattern.text
  if kind == "exact" then return name == text
  elseif kind == "prefix" then return name:sub(1, #text) == text
  elseif kind == "suffix" then
    return text == "" or name:sub(-#text) == text or text:sub(1, 1) == "/" and name == text:sub(2)
  end
  local ends = pattern.ends
  if ends and name:sub(-#ends) ~= ends then return false end
  return match(pattern.tokens, 1, name, 1, pattern.branching and {} or nil)
end

--- Is the name left out? above: which patterns match its folder. Fills `here` likewise, where it is given.
local function decide(list, name, above, here)
  local out = false
  for i = 1, #list do
    local pattern = list[i]
    local hit = above and above[i] or false
    if not hit and pattern.negated == out then hit = matches(pattern, name) end
    if here then here[i] = hit end
    if hit then out = not pattern.negated end
  end
  return out
end

--- Could a pattern match something in this folder?
local function reaches(pattern, folder)
  local parts, n = pattern.parts, 0
  for part in folder:gmatch "[^/]+" do
    n = n + 1
    local wanted = parts[n]
    if wanted == nil then return pattern.deep end
    if wanted == false then
      if pattern.deep then return true end
    elseif wanted ~= part then
      return false
    end
  end
  return parts[n + 1] ~= nil or pattern.deep
end

--- Could something in a folder that is left out be taken back? here: which patterns match the folder.
local function worth_entering(list, folder, here)
  for i = #list, 1, -1 do
    local pattern = list[i]
    if pattern.negated then
      if reaches(pattern, folder) then return true end
    elseif here[i] then
      return false -- this one matches everything in there, and nothing after it takes any of it back
    end
  end
  return false
end

-- ── for others ─────────────────────────────────────────────────────────────────────────────────────────────────────

--- The patterns in the text of a .dockerignore.
---@param text string
---@return docker_watcher.ignore_pattern[]? list, string? reason
function ignore.parse(text)
  local list, n = {}, 0
  for line in (text:gsub("^\xEF\xBB\xBF", "") .. "\n"):gmatch "(.-)\r?\n" do
    n = n + 1
    local words = line:sub(1, 1) ~= "#" and line:match "^%s*(.-)%s*$" or ""
    if words ~= "" then
      local pattern, reason = compile(words)
      if not pattern then return nil, ("line %d: %s"):format(n, reason) end
      list[#list + 1] = pattern
    end
  end
  return list
end

--- Takes back what the list may say of just this file.
---@param list docker_watcher.ignore_pattern[]
---@param name string
function ignore.keep(list, name)
  local parts = {}
  for part in name:gmatch "[^/]+" do parts[#parts + 1] = part end
  list[#list + 1] = { negated = true, kind = "exact", text = name, parts = parts, deep = false }
end

--- Is a file left out, by its own name or by that of a folder that it is in?
---@param list docker_watcher.ignore_pattern[]
---@param name string  relative, without "." and ".."
---@return boolean
function ignore.excludes(list, name)
  local above
  for slash in name:gmatch "()/" do
    local here = {}
    decide(list, name:sub(1, slash - 1), above, here)
    above = here
  end
  return decide(list, name, above)
end

--- A filter for tar.pack's walk of one folder.
---@param list docker_watcher.ignore_pattern[]
---@return fun(name: string, type: string): boolean|"inside"
function ignore.filter(list)
  local folders = {} -- from the top down to where the walk is: { name with "/", which patterns match it }
  return function(name, type)
    while #folders > 0 do
      local last = folders[#folders][1]
      if name:sub(1, #last) == last then break end
      folders[#folders] = nil
    end
    local above = folders[#folders] and folders[#folders][2]
    if type ~= "folder" then return not decide(list, name, above) end
    local here = {}
    local out = decide(list, name, above, here)
    if out and not worth_entering(list, name, here) then return false end
    folders[#folders + 1] = { name .. "/", here }
    return not out or "inside"
  end
end

return ignore
