--- Where in a Lua file does the key "projects.shop.stages.staging.tags" stand? Pure: source text in, lines out.
--
-- A running configuration has forgotten its lines, so the source is read a second time, by a scanner that knows
-- strings, comments, names and brackets, and of Lua's grammar only what tables need: constructors, the calls around
-- them (tags.semver { … } adds no step to the path), assignments to a path (shop.stages.x = { … }), and names that
-- stand for a table made before (shop = common). What loops or functions build is not found; then the line of
-- the nearest part that was found is the answer.

local lines = {}

-- ── tokens ─────────────────────────────────────────────────────────────────────────────────────────────────────────

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

local ESCAPES = { n = "\n", t = "\t", r = "\r", a = "\a", b = "\b", f = "\f", v = "\v", ["\n"] = "\n" }

--- What stands between the quotes; good enough for keys.
local function unescape(text)
  return (text:gsub("\\(.)", function(c) return ESCAPES[c] or c end))
end

--- Behind a quoted string that begins at `at`.
local function skip_quoted(source, at)
  local quote = source:sub(at, at)
  local i = at + 1
  while i <= #source do
    local c = source:sub(i, i)
    if c == "\\" then
      i = i + 1
    elseif c == quote or c == "\n" then
      return i + 1
    end
    i = i + 1
  end
  return i
end

--- Behind [[…]] or [=[…]=] that begins at `at`; nil where none begins there. Second: what is inside.
local function skip_long(source, at)
  local equals, inside = source:match("^%[(=*)%[()", at)
  if not equals then return nil end
  local first, last = source:find("]" .. equals .. "]", inside, true)
  return (last or #source) + 1, source:sub(inside, (first or #source + 1) - 1)
end

--- A list of { kind = "name" | "keyword" | "string" | "number" | "mark", text =, line = }.
local function scan(source)
  local tokens, at, line = {}, 1, 1
  local function add(kind, text, behind)
    tokens[#tokens + 1] = { kind = kind, text = text, line = line }
    for _ in source:sub(at, behind - 1):gmatch "\n" do line = line + 1 end
    at = behind
  end
  local function skip(behind)
    for _ in source:sub(at, behind - 1):gmatch "\n" do line = line + 1 end
    at = behind
  end
  if source:byte() == ("#"):byte() then skip(source:find("\n", 1, true) or #source + 1) end
  while at <= #source do
    local c = source:sub(at, at)
    local name = source:match("^[%a_][%w_]*", at)
    if c:find "%s" then
      skip(source:match("^%s+()", at))
    elseif source:find("^%-%-", at) then
      skip(skip_long(source, at + 2) or source:find("\n", at, true) or #source + 1)
    elseif name then
      add(KEYWORDS[name] and "keyword" or "name", name, at + #name)
    elseif c == '"' or c == "'" then
      local behind = skip_quoted(source, at)
      add("string", unescape(source:sub(at + 1, behind - 2)), behind)
    elseif c == "[" and skip_long(source, at) then
      local behind, inside = skip_long(source, at)
      add("string", inside, behind)
    elseif source:find("^%.?%d", at) then
      add("number", source:match("^[%w.]+", at), source:match("^[%w.]+()", at))
    else
      local two = source:sub(at, at + 1)
      local mark = (two == "==" or two == "~=" or two == "<=" or two == ">=" or two == "..") and two or c
      add("mark", mark, at + #mark)
    end
  end
  return tokens
end

-- ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────────────

---@class docker_watcher.lines.node  a key and where it stands
---@field line integer
---@field fields table<string|integer, docker_watcher.lines.node>
---@field alias string?  the name that stands for its value

local OPENS = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }

--- Behind the block that the keyword at i opens: function … end, if … end, do … end, repeat … until
local function skip_block(tokens, i)
  local depth = 0
  repeat
    local token = tokens[i]
    if token.kind == "keyword" then
      if OPENS[token.text] then depth = depth + 1
      elseif token.text == "end" or token.text == "until" then depth = depth - 1 end
    end
    i = i + 1
  until depth == 0 or not tokens[i]
  return i
end

local function is_mark(token, text) return token ~= nil and token.kind == "mark" and token.text == text end

local function ends_value(token)
  return token.kind == "name" or token.kind == "string" or token.kind == "number" or is_mark(token, "}")
    or is_mark(token, ")")
end

local scan_table

--- Reads a value from i on: up to a "," ";" or closing bracket of its own level, and in statements (`loose`) up to a
-- keyword that cannot be inside one. Tables in it give node its fields.
local function scan_value(tokens, i, node, loose)
  local first = i
  while tokens[i] do
    local token = tokens[i]
    if token.kind == "keyword" then
      if token.text == "function" then
        i = skip_block(tokens, i)
      elseif loose and token.text ~= "and" and token.text ~= "or" and token.text ~= "not" and token.text ~= "nil"
        and token.text ~= "true" and token.text ~= "false" then
        break
      else
        i = i + 1
      end
    elseif is_mark(token, "{") then
      i = scan_table(tokens, i, node)
    elseif is_mark(token, "(") or is_mark(token, "[") then
      local close = token.text == "(" and ")" or "]"
      i = i + 1
      while tokens[i] and not is_mark(tokens[i], close) do
        local before = i
        i = scan_value(tokens, i, node)
        if is_mark(tokens[i], ",") or is_mark(tokens[i], ";") or i == before then i = i + 1 end
      end
      i = i + 1
    elseif token.kind == "mark" and (token.text:find "^[,;})%]=]$") then
      break
    elseif loose and i > first and token.kind == "name" and ends_value(tokens[i - 1]) then
      break -- a name behind a whole value: the next statement
    else
      i = i + 1
    end
  end
  if i == first + 1 and tokens[first].kind == "name" then node.alias = tokens[first].text end
  return i
end

--- Reads the constructor whose "{" is at i into node.fields; answers the index behind its "}".
function scan_table(tokens, i, node)
  local position = 0
  i = i + 1
  while tokens[i] and not is_mark(tokens[i], "}") do
    local token, value_at = tokens[i], i
    local key
    if token.kind == "name" and is_mark(tokens[i + 1], "=") then
      key, value_at = token.text, i + 2
    elseif is_mark(token, "[") and tokens[i + 1] and is_mark(tokens[i + 2], "]") and is_mark(tokens[i + 3], "=") then
      local inner = tokens[i + 1]
      key, value_at = inner.text, i + 4
      if inner.kind == "number" then key = math.tointeger(tonumber(key)) or key end
    elseif is_mark(token, "[") then -- an expression as key: its value has no path
      i = scan_value(tokens, i, { fields = {} })
      value_at = is_mark(tokens[i], "=") and i + 1 or i
      key = false
    else
      position = position + 1
      key = position
    end
    local field = { line = token.line, fields = {} }
    if key then node.fields[key] = field end
    i = scan_value(tokens, value_at, field)
    if is_mark(tokens[i], ",") or is_mark(tokens[i], ";") then
      i = i + 1
    elseif tokens[i] and not is_mark(tokens[i], "}") then
      i = i + 1 -- nothing a constructor can hold: the file would not have loaded
    end
  end
  return i + 1
end

--- The node that a.b["c"] names, made where it is missing; and the index behind.
local function scan_target(tokens, i, names)
  local token = tokens[i]
  local node = names[token.text] or { line = token.line, fields = {} }
  names[token.text] = node
  i = i + 1
  while tokens[i] do
    local key, behind
    if is_mark(tokens[i], ".") and tokens[i + 1] then
      key, behind = tokens[i + 1].text, i + 2
    elseif is_mark(tokens[i], "[") and tokens[i + 1] and is_mark(tokens[i + 2], "]") then
      key, behind = tokens[i + 1].text, i + 3
    else
      break
    end
    node.fields[key] = node.fields[key] or { line = token.line, fields = {} }
    node, i = node.fields[key], behind
  end
  return node, i
end

--- Reads a whole file; answers an object whose `find` tells lines.
---@param source string
---@return { find: fun(self: any, path: (string|integer)[]): integer, boolean }
function lines.read(source)
  local tokens, names = scan(source), {}
  local root = { line = 1, fields = {} }
  local i = 1
  while tokens[i] do
    local token = tokens[i]
    if token.kind == "keyword" and token.text == "return" then
      root = { line = token.line, fields = {} }
      i = scan_value(tokens, i + 1, root, true)
    elseif token.kind == "keyword" and OPENS[token.text] then
      i = skip_block(tokens, i)
    elseif token.kind == "name" then
      local node, behind = scan_target(tokens, i, names)
      if is_mark(tokens[behind], "=") then
        node.line, node.fields, node.alias = token.line, {}, nil
        i = scan_value(tokens, behind + 1, node, true)
      else
        i = behind
      end
    else
      i = i + 1
    end
  end

  local found = {}
  --- The line of the key at the path, or of its nearest ancestor; second: was the key itself found?
  function found:find(path) -- luacheck: ignore self
    local node, line = root, root.line
    for depth = 0, #path do
      local hops = 0
      while node.alias and names[node.alias] and hops < 16 do
        node, hops = names[node.alias], hops + 1
      end
      if depth == #path then break end
      node = node.fields[path[depth + 1]]
      if not node then return line, false end
      line = node.line
    end
    return line, true
  end
  return found
end

return lines
