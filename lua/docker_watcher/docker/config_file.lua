--- The docker command's folder: where it is, and what its config.json says.
--
-- What it promises: no file, or an empty one, says nothing; a file that cannot be read, or is broken, is an error that
-- names the file and the place in it, never an empty answer. No message quotes the file, which may hold secrets. Names
-- of fields are found in any case, as the docker command finds them; null is as good as absent.

local core = require "docker_watcher.core"

local config_file = {}

local LARGEST = 4 << 20 -- bytes of a file that is read; a config.json has some hundred

-- ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────

local NO_SUCH_FILE = 2 -- ENOENT

---@class docker_watcher.reader  what is asked of the file system; specs hand in their own
---@field read fun(path: string): string?, string?    the bytes; nil where there is no such file; nil, reason
---@field exists fun(path: string): boolean?, string?  true, false; nil, reason where it is there and cannot be opened
---@field list fun(path: string): string[]?            names in a folder; nil where there is none
config_file.reader = { list = core.directory }

local function open(path)
  local file, reason, code = io.open(path, "rb")
  if file then return file end
  reason = reason:gsub("^.*: ", "") -- the path stands in our own sentence
  return nil, code ~= NO_SUCH_FILE and reason or nil
end

function config_file.reader.read(path)
  local file, reason = open(path)
  if not file then return nil, reason end
  local bytes
  bytes, reason = file:read(LARGEST + 1)
  file:close()
  if bytes == nil then return reason == nil and "" or nil, reason end
  if #bytes > LARGEST then return nil, ("it has more than %d bytes"):format(LARGEST) end
  return bytes
end

function config_file.reader.exists(path)
  local file, reason = open(path)
  if not file then
    if reason then return nil, reason end
    return false
  end
  file:close()
  return true
end

--- Where the docker command's files are.
---@param option string?                          config_dir
---@param environment fun(name: string): string?
---@return string? folder  nil where nobody can say
function config_file.folder(option, environment)
  if option then return option end
  local named = environment "DOCKER_CONFIG"
  if named and named ~= "" then return named end
  local home = environment "HOME"
  if not home or home == "" then home = core.home() end
  return home and home .. "/.docker"
end

-- ── JSON ───────────────────────────────────────────────────────────────────────────────────────────────────────────

--- "line 3, column 5: …" of what the decoder says; its words never quote the text.
local function place(text, reason)
  local what, at = reason:match "^(.-) at character (%d+)$"
  if not what then return reason end
  local line, start = 1, 0
  for position in text:sub(1, at - 1):gmatch "()\n" do line, start = line + 1, position end
  return ("line %d, column %d: %s"):format(line, at - start, what)
end

--- A JSON object as a table; an empty text is an empty one. nil, reason where it is something else.
---@param text string
---@return table?, string? reason
function config_file.decode(text)
  if not text:find "%S" then return {} end
  local value, reason = require "docker_watcher.json".decode(text)
  if reason then return nil, place(text, reason) end
  if type(value) ~= "table" or #value > 0 then return nil, "a JSON object expected" end
  return value
end

local NOUNS = { string = "a string", table = "an object", boolean = "true or false" }

--- A field of a decoded object; nil where it is absent or null; nil, reason where it is of another type.
---@param object table
---@param name string
---@param expected "string"|"table"|"boolean"
---@return any value, string? reason
function config_file.field(object, name, expected)
  local value = object[name]
  if value == nil then
    local small = name:lower()
    for key, other in pairs(object) do
      if type(key) == "string" and key:lower() == small then value = other end
    end
  end
  if value == nil or value == require "docker_watcher.json".null then return nil end
  if type(value) ~= expected or expected == "table" and #value > 0 then
    return nil, ("%s: %s expected"):format(name, NOUNS[expected])
  end
  return value
end

--- Foreign text as it may stand in a message.
---@param text string
---@return string
function config_file.printable(text)
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  text = text:gsub("%c", "?")
  return #text > 100 and text:sub(1, utf8.offset(text, 0, 100) - 1) .. "…" or text
end

--- config.json of the folder, decoded.
---@param folder string
---@param reader docker_watcher.reader?
---@return { path: string, content: table }? file, docker_watcher.error? err
function config_file.load(folder, reader)
  local path = folder .. "/config.json"
  local text, reason = (reader or config_file.reader).read(path)
  local content = {}
  if text then content, reason = config_file.decode(text) end
  if reason then
    return nil, require "docker_watcher.error".new("invalid", ("%s: %s"):format(path, reason), { path = path })
  end
  return { path = path, content = content }
end

return config_file
