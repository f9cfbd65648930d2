--- Reads the annotations of the Lua language server, as far as this project writes them: what stands in
--- lua/docker_watcher/_meta, and in the modules that are written in Lua.
--
--   luals.read(path) → { { kind = "class"|"function"|"section"|"alias", … }, … } in the file's order, text of its head
--
-- A function has owner ("docker", the local's name), method (called with ":"), name, text, params and returns: lists of
-- { name, type, text, optional }. A class has name, parent, text, fields (as params), and `of`: the local that follows
-- it. Text of several lines stays such; a type is taken as it is written.
--
-- Where text goes: behind a tag, and on indented lines below it; before the tag that it is about where that is @class
-- or @field (that is how the language server reads it), and before the first tag for functions.

local luals = {}

local CLOSING = { ["("] = ")", ["{"] = "}", ["["] = "]", ["<"] = ">" }

--- The type at the beginning of text, and what is behind it. A blank ends it, but not within brackets, and not behind
--- the colon or comma of a function's type.
local function split_type(text)
  local at, open, is_function = 1, {}, false
  while at <= #text do
    local c = text:sub(at, at)
    if c == '"' then
      at = text:find('"', at + 1, true) or #text
    elseif c == open[#open] then
      open[#open] = nil
    elseif CLOSING[c] then
      is_function = is_function or #open == 0 and text:sub(at - 3, at) == "fun("
      open[#open + 1] = CLOSING[c]
    elseif c == " " and #open == 0 then
      local before = text:sub(at - 1, at - 1)
      if not (is_function and (before == ":" or before == ",")) and before ~= "|" then break end
    elseif c == "," and #open == 0 and not is_function then
      break
    end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at)
end

--- "name? type  text"
local function named(body)
  local name, optional, rest = body:match "^([%w_.%[%]\"]+)(%??)%s*(.*)$"
  assert(name, body)
  local kind, text = split_type(rest)
  if kind:sub(-1) == "?" then kind, optional = kind:sub(1, -2), "?" end -- "name type?" means the same
  return { name = name, type = kind, optional = optional == "?", text = text:gsub("^%s+", "") }
end

--- "type name  text", or several with commas.
local function returned(list, body)
  repeat
    local kind, rest = split_type(body)
    local name, behind = rest:match "^ ([%w_.]+)(.*)$"
    if not name then name, behind = nil, rest end
    local more = behind:match "^,%s*(.*)$"
    list[#list + 1] = { type = kind, name = name, text = more and "" or (behind:gsub("^%s+", "")) }
    body = more
  until not body
end

local function add_line(text, line) return text == "" and line or text .. "\n" .. line end

--- One block of comment lines into its parts: the class or alias entries in it, and what a function below would get.
local function read_block(lines, entries)
  local text, params, returns, last, class = "", {}, {}, nil, nil
  for _, line in ipairs(lines) do
    local tag, body = line:match "^%s?@(%w+)%s*(.*)$"
    if not tag then
      if last and line:find "^%s%s+%S" then
        last.text = add_line(last.text, (line:gsub("^%s+", "")))
      else
        if last and line:find "%S" and not class then last = nil end
        text = add_line(text, (line:gsub("^ ", "")))
      end
    elseif tag == "class" then
      local name, parent = body:match "^([%w_.]+):?%s*([%w_.]*)"
      local behind = body:match "^[%w_.]+%s%s+(.*)$" or ""
      class = { kind = "class", name = name, parent = parent ~= "" and parent or nil, fields = {},
        text = text ~= "" and text or behind }
      entries[#entries + 1], last, text = class, class, ""
    elseif tag == "field" then
      last = named(body)
      last.text = add_line(text:gsub("^%s+", ""), last.text):gsub("\n$", "")
      text = ""
      class.fields[#class.fields + 1] = last
    elseif tag == "param" then
      last = named(body)
      params[#params + 1] = last
    elseif tag == "return" then
      returned(returns, body)
      last = returns[#returns]
    elseif tag == "section" then
      entries[#entries + 1], last = { kind = "section", name = body }, nil
    elseif tag == "alias" then
      last = { kind = "alias", name = body:match "^[%w_.]+", text = text }
      entries[#entries + 1], text = last, ""
    end -- others say nothing that a page needs
  end
  return text, params, returns, class
end

---@param path string
---@return table[] entries
---@return string head  the comment that the file begins with
function luals.read(path)
  local entries, lines, head = {}, {}, nil
  for line in io.lines(path) do
    local comment = line:match "^%-%-%-(.*)$"
    if not head and not comment and line:find "^%-%-" then -- a head may go on with two dashes
      comment = line:sub(3)
    end
    if comment then
      lines[#lines + 1] = comment
    else
      local owner, colon, name = line:match "^function ([%w_]+)([.:])([%w_]+)%("
      local text, params, returns, class = read_block(lines, entries)
      if not head then
        head, text = text, ""
      end
      local table_name = line:match "^local ([%w_]+) = "
      if owner then
        entries[#entries + 1] = { kind = "function", owner = owner, method = colon == ":", name = name, text = text,
          params = params, returns = returns, names = line:match "%((.-)%)" }
      elseif class and table_name then
        class.of = table_name
      end
      lines = {}
    end
  end
  read_block(lines, entries)
  return entries, head or ""
end

return luals
