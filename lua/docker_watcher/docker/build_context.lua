--- What a build is made from: a folder as the stream of an archive, .dockerignore honoured, and the Dockerfile in it
--- wherever it was.
--
-- As the docker command does it for the Engine's own builder: everything belongs to 0:0; .dockerignore and the
-- Dockerfile are always sent, since the builder reads them, and drops them itself where they are excluded; a Dockerfile
-- that is not in the folder is sent under a name of its own, which the .dockerignore that is sent excludes. Only
-- .dockerignore is looked at: Dockerfile.dockerignore is BuildKit's.

local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"
local ignore = require "docker_watcher.docker.ignore"
local tar = require "docker_watcher.tar"

local build_context = {}

local TEXT_BYTES = 4 << 20 -- of a Dockerfile or a .dockerignore; both are read whole
local NO_SUCH_FILE = 2     -- ENOENT

---@class docker_watcher.build_context
---@field reader any          the archive
---@field packed any          the same where it was made here, and is to be closed
---@field dockerfile string?  its name in there; nil: "Dockerfile"
---@field text string?        what is in it, where that is known

local function fail(kind, message) return nil, errors.new(kind, message) end

--- The whole of a text file; nil where there is none; nil, err.
local function read_text(path, what)
  local file, reason, code = io.open(path, "rb")
  if not file then
    if code == NO_SUCH_FILE then return nil end
    return fail("forbidden", ("%s: %s"):format(what, reason))
  end
  local text
  text, reason = file:read(TEXT_BYTES + 1)
  file:close()
  if not text and reason then return fail("invalid", ("%s: %s"):format(path, reason)) end
  if text and #text > TEXT_BYTES then
    return fail("too_large", ("%s %s is longer than %d bytes"):format(what, path, TEXT_BYTES))
  end
  return text or ""
end

--- Where the Dockerfile is: its real path, its name in the folder (nil where it is not in there); or nil, nil, err.
local function find_dockerfile(folder, wanted)
  local tried = wanted or "Dockerfile"
  local path = tried:sub(1, 1) == "/" and tried or folder .. "/" .. tried
  local found, err = tar.stat(path)
  if not found and not wanted and err.kind == "not_found" then found = tar.stat(folder .. "/dockerfile") end
  if not found then
    if err.kind ~= "not_found" then return nil, nil, err end
    return nil, nil, errors.new("not_found", ("there is no Dockerfile at %s"):format(path), { cause = err })
  elseif found.type ~= "file" then
    return nil, nil, errors.new("invalid", ("the Dockerfile %s is no file but a %s"):format(path, found.type))
  end
  local inside = folder == "/" and "/" or folder .. "/"
  return found.real, found.real:sub(1, #inside) == inside and found.real:sub(#inside + 1) or nil
end

--- A name that nothing in a folder has.
local function fresh_name()
  local seed = { os.time(), os.clock(), tostring {}, math.random(0), math.random(0) }
  return ".dockerfile." .. core.sha256(table.concat(seed, " ")):sub(1, 20)
end

--- Puts a Dockerfile from elsewhere among the entries; answers its name.
local function add_dockerfile(entries, text, ignored)
  local name = fresh_name()
  entries[#entries + 1] = { name = name, data = text, mode = 384 } -- 0600
  entries[#entries + 1] = { name = ".dockerignore", data = (ignored or ".dockerignore") .. "\n" .. name .. "\n" }
  return name
end

--- The context of a folder on this machine.
---@param folder string
---@param dockerfile string?  relative to the folder, or absolute
---@param dockerfile_text string?  instead of it
---@return docker_watcher.build_context? context, docker_watcher.error? err
function build_context.of_folder(folder, dockerfile, dockerfile_text)
  local what, err = tar.stat(folder)
  if not what then return nil, err end
  if what.type ~= "folder" then
    return fail("invalid", ("the context %s is no folder but a %s"):format(folder, what.type))
  end
  local path, name, text, ignored, reason
  if dockerfile_text then
    text = dockerfile_text
  else
    path, name, err = find_dockerfile(what.real, dockerfile)
    if not path then return nil, err end
    text, err = read_text(path, "the Dockerfile")
    if not text then return nil, err or errors.new("not_found", "the Dockerfile " .. path .. " is gone") end
  end
  ignored, err = read_text(what.real .. "/.dockerignore", "the file")
  if err then return nil, err end
  local list
  list, reason = ignore.parse(ignored or "")
  if not list then return fail("invalid", ("%s/.dockerignore: %s"):format(folder, reason)) end
  ignore.keep(list, ".dockerignore")
  if name then ignore.keep(list, name) end
  local filter, entries = ignore.filter(list), {}
  if name then
    entries[1] = { path = what.real, filter = filter }
  else
    entries[1] = { path = what.real, filter = function(file, type)
      return file ~= ".dockerignore" and filter(file, type)
    end }
    name = add_dockerfile(entries, text, ignored)
  end
  local packed = tar.pack(entries, { uid = 0, gid = 0 })
  return { reader = packed, packed = packed, dockerfile = name, text = text }
end

--- The context of a Dockerfile alone.
---@param text string
---@return docker_watcher.build_context
function build_context.of_text(text)
  local packed = tar.pack({ { name = "Dockerfile", data = text } })
  return { reader = packed, packed = packed, text = text }
end

--- What in a Dockerfile only BuildKit knows: "line 3: RUN --mount"; nil where there is nothing of the kind.
---@param text string
---@return string?
function build_context.needs_buildkit(text)
  local n, directives, continued, escape = 0, true, false, "\\"
  for line in (text:gsub("^\xEF\xBB\xBF", "") .. "\n"):gmatch "(.-)\r?\n" do
    n = n + 1
    -- Directives are comments before everything else.
    local name, value = line:match "^%s*#%s*([%w_]+)%s*=%s*(.-)%s*$"
    if directives and name then
      if name:lower() == "syntax" then return ("line %d: # syntax=%s"):format(n, value) end
      if name:lower() == "escape" then escape = value end
    else
      directives = false
    end
    if not line:find "^%s*#" then
      if not continued then
        local word, rest = line:match "^%s*(%a+)(%s+%-%-.*)$"
        while word and word:upper() == "RUN" do
          local flag, after = rest:match "^%s+%-%-(%l+)=?%S*()"
          if flag == "mount" or flag == "network" or flag == "security" then
            return ("line %d: RUN --%s"):format(n, flag)
          elseif not flag then
            break
          end
          rest = rest:sub(after)
        end
      end
      local ends = line:match "(.)%s*$"
      continued = ends == escape or continued and ends == nil
    end
  end
  return nil
end

return build_context
