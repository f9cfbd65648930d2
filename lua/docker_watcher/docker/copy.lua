--- Files into a container and out of it: client:copy_in, copy_out, export and stat_path. The container need not run.
--
-- What is a path of this machine is copied as `docker cp` does it:
--
--     source is     and there is at the target…   then
--     a file        a folder                      it goes in there, by its own name
--     a file        a file, or nothing            it is that file (a target that ends with "/" must be a folder)
--     a folder      a folder                      it goes in there, by its own name; "folder/." only what is in it
--     a folder      nothing                       it becomes that folder
--     a folder      a file                        refused: kind "conflict"
--
-- Archives go through as streams, in both directions; nothing is whole in memory.

local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"
local json = require "docker_watcher.json"
local tar = require "docker_watcher.tar"

local copy = {}

local STAT = "X-Docker-Container-Path-Stat"
local LINKS = 10 -- that are followed to a target, as docker cp does at most

-- ── paths ──────────────────────────────────────────────────────────────────────────────────────────────────────────

--- Its last part, "." where it ends with "/." or has none.
local function base_of(path)
  return path:match "([^/]+)/*$" or "."
end

--- What is before the last part: "/a" of "/a/b" and "/a/b/", "/" of "/a", "." of "a".
local function parent_of(path)
  local parent = path:match "^(.*)/[^/]+/*$"
  if not parent then return path:sub(1, 1) == "/" and "/" or "." end
  return parent == "" and "/" or parent
end

local function names_a_folder(path)
  return path:sub(-1) == "/" or base_of(path) == "."
end

local function check_path(op, what, path)
  if type(path) ~= "string" then core.misuse(("%s: %s: string expected, got %s"):format(op, what, type(path))) end
  if path == "" then core.misuse(("%s: %s: it is empty"):format(op, what)) end
  if path:find("\0", 1, true) then core.misuse(("%s: %s: holds a NUL byte"):format(op, what)) end
  return path
end

-- ── what is in the container ───────────────────────────────────────────────────────────────────────────────────────

-- Bits of Go's os.FileMode, the first of which is set being the type.
local TYPES = {
  { 1 << 31, "folder" }, { 1 << 27, "symlink" }, { 1 << 25, "fifo" }, { 1 << 24, "socket" }, { 1 << 21, "char" },
  { 1 << 26, "block" },
}
local SPECIAL = { { 1 << 23, 2048 }, { 1 << 22, 1024 }, { 1 << 20, 512 } } -- setuid, setgid, sticky: as Unix has them

--- The header as a table; nil where it is no such thing.
local function decode_stat(text)
  local bytes = text and core.base64_decode(text)
  local stat = bytes and json.decode(bytes)
  if type(stat) ~= "table" or type(stat.name) ~= "string" or math.type(stat.mode) ~= "integer" then return nil end
  local type_name, mode = "file", stat.mode & 511
  for _, one in ipairs(TYPES) do
    if stat.mode & one[1] ~= 0 then
      type_name = one[2]
      break
    end
  end
  for _, one in ipairs(SPECIAL) do
    if stat.mode & one[1] ~= 0 then mode = mode | one[2] end
  end
  local link = type(stat.linkTarget) == "string" and stat.linkTarget ~= "" and stat.linkTarget or nil
  return { name = stat.name, type = type_name, size = stat.size, mode = mode, mtime = stat.mtime, link = link }
end

local function bad_stat(op, subject)
  local err = errors.new("protocol", ("the Engine's reply has no %s that can be read"):format(STAT))
  return errors.about(err, op, subject)
end

--- The options of a request: what is left of the call's time.
local function timed(options, deadline)
  return {
    timeout = deadline and math.max(0, deadline - core.loop.now()), ctx = options.ctx,
    first_byte_timeout = options.first_byte_timeout, idle_timeout = options.idle_timeout,
  }
end

local function deadline_of(options) return options.timeout and core.loop.now() + options.timeout end

local function request_stat(op, client, id, path, options, deadline)
  local headers, err = core.invoke(client, op, id, "ContainerArchiveInfo", { id = id, path = path }, {
    timeout = deadline and math.max(0, deadline - core.loop.now()), ctx = options.ctx,
  })
  if not headers then return nil, err end
  local stat = decode_stat(headers[STAT:lower()])
  if not stat then return bad_stat(op, id) end
  return stat
end

--- What a path leads to, symbolic links followed: path, stat. The stat is nil where there is nothing; nil, err.
local function resolve(op, client, id, path, options, deadline)
  for _ = 1, LINKS do
    local stat, err = request_stat(op, client, id, path, options, deadline)
    if not stat then
      if err.kind == "not_found" then return path end
      return nil, err
    elseif stat.type ~= "symlink" or not stat.link then
      return path, stat
    end
    path = stat.link:sub(1, 1) == "/" and stat.link or parent_of(path) .. "/" .. stat.link
  end
  local err = errors.new("invalid", ("more than %d symbolic links lead on from %s"):format(LINKS, path))
  return errors.about(err, op, id)
end

-- ── into a container ───────────────────────────────────────────────────────────────────────────────────────────────

local COPY_IN = {
  uid = "integer", gid = "integer", follow = "boolean", overwrite = "boolean", to_user = "boolean",
  first_byte_timeout = "seconds", idle_timeout = "seconds",
}

local function is_reader(value)
  if type(value) == "function" then return true end
  local ok, read = pcall(function() return value.read end)
  return type(value) ~= "string" and ok and type(read) == "function"
end

--- Where a file or folder of this machine goes: the container's folder, and the name there ("": what is in it only);
--- or nil, err.
local function plan_in(op, client, id, path, source, options, deadline)
  local what, err = tar.stat(source)
  if not what then return errors.about(err, op, id) end
  local follow = options.follow or source:sub(-1) == "/"
  local is_folder = what.type == "folder" and (follow or not what.link or base_of(source) == ".")
  local target, there = resolve(op, client, id, path, options, deadline)
  if not target then return nil, there end
  local problem
  if there and there.type == "folder" then
    if not is_folder then return target, base_of(source) end
    local name = base_of(source)
    if name == ".." then name = base_of(what.real) end
    return target, (name == "." or what.real == "/") and "" or name
  elseif is_folder and there then
    problem = ("%s is a folder, and %s in the container is a %s"):format(source, path, there.type)
    problem = errors.new("conflict", problem)
  elseif not is_folder and not there and names_a_folder(path) then
    problem = errors.new("not_found", ("there is no folder %s in the container"):format(path))
  end
  if problem then return errors.about(problem, op, id) end
  return parent_of(target), base_of(target)
end

--- Copies files into a container.
---@param client docker_watcher.Client
---@param id any
---@param path string
---@param source any
---@param options docker_watcher.CopyInOptions?
---@return true? done, docker_watcher.error? err
function copy.copy_in(client, id, path, source, options)
  local op = "copy_in"
  id = core.check_id(op, "container", id)
  check_path(op, "path", path)
  options = core.check_options(op, options, COPY_IN, 4)
  local deadline = deadline_of(options)
  local body
  if type(source) == "string" then
    check_path(op, "source", source)
    local name
    path, name = plan_in(op, client, id, path, source, options, deadline)
    if not path then return nil, name end
    local entry = { path = source, name = name ~= "" and name or nil, follow = options.follow }
    body = tar.pack({ entry }, { uid = options.uid, gid = options.gid })
  elseif is_reader(source) then
    if options.uid or options.gid or options.follow then
      core.misuse "copy_in: 'uid', 'gid' and 'follow' are for what is put into an archive here, not for a reader's"
    end
    body = source
  elseif type(source) == "table" then
    body = tar.pack(source, { uid = options.uid, gid = options.gid })
  else
    core.misuse(("copy_in: source: path, list of entries or reader expected, got %s"):format(type(source)))
  end
  local packed <close> = body ~= source and body or nil -- luacheck: ignore
  local done, err = core.invoke(client, op, id, "PutContainerArchive", {
    id = id, path = path, body = body, noOverwriteDirNonDir = not options.overwrite and "1" or nil,
    copyUIDGID = options.to_user and "1" or nil,
  }, timed(options, deadline))
  if not done then return nil, err end
  return true
end

-- ── out of a container ─────────────────────────────────────────────────────────────────────────────────────────────

local COPY_OUT = {
  follow = "boolean", owner = "boolean", setid = "boolean", max_bytes = "integer", max_entries = "integer",
  first_byte_timeout = "seconds", idle_timeout = "seconds",
}

--- Gives an archive's root another name; its entries begin with `from`.
local function renamer(from, to)
  return function(name)
    if from == "." and not name:find "^%./" and name ~= "." then return to .. "/" .. name end -- Podman's way
    if name:sub(1, #from) ~= from then return name end
    local rest = name:sub(#from + 1)
    if rest ~= "" and rest:sub(1, 1) ~= "/" then return name end
    return to .. rest
  end
end

--- Where on this machine the archive of what `stat` tells goes: folder, renaming function or nil; or nil, err.
local function plan_out(op, id, path, target, stat)
  local there, err = tar.stat(target)
  if not there and err.kind ~= "not_found" then return errors.about(err, op, id) end
  local is_folder, problem = stat.type == "folder", nil
  if there and there.type == "folder" then return there.real end
  if is_folder and there then
    problem = ("%s in the container is a folder, and %s is a %s"):format(path, target, there.type)
    problem = errors.new("conflict", problem)
  elseif not is_folder and names_a_folder(target) then
    problem = errors.new("not_found", ("there is no folder %s"):format(target))
  end
  local parent, name = parent_of(target), base_of(target)
  if there and there.real then parent, name = parent_of(there.real), base_of(there.real) end
  local folder = tar.stat(parent)
  if not problem and not (folder and folder.type == "folder") then
    problem = errors.new("not_found", ("there is no folder %s"):format(parent))
  end
  if problem then return errors.about(problem, op, id) end
  return folder.real, renamer(base_of(path), name)
end

-- The stream of copy_out without a target, with what it is about: _meta/containers.lua.
local Archive = {}
local meta = { __index = Archive, __name = "docker_watcher.archive" }
copy.methods = Archive

function Archive:read() return self.stream:read() end

function Archive:close() return self.stream:close() end

meta.__close = Archive.close

--- For `for`: read, but failures are raised.
function meta:__call()
  local bytes, err = self.stream:read()
  if err then error(err, 0) end
  return bytes
end

--- Copies files out of a container.
---@param client docker_watcher.Client
---@param id any
---@param path string
---@param target string?
---@param options docker_watcher.CopyOutOptions?
---@return any done, docker_watcher.error? err
function copy.copy_out(client, id, path, target, options)
  local op = "copy_out"
  id = core.check_id(op, "container", id)
  check_path(op, "path", path)
  if target ~= nil then check_path(op, "target", target) end
  options = core.check_options(op, options, COPY_OUT, 4)
  local deadline, from = deadline_of(options), path
  local err
  if options.follow then
    from, err = resolve(op, client, id, path, options, deadline)
    if not from then return nil, err end
  end
  local stream
  stream, err = core.invoke(client, op, id, "ContainerArchive", { id = id, path = from }, timed(options, deadline))
  if not stream then return nil, err end
  local stat = decode_stat(stream:header(STAT))
  if not stat then
    stream:close()
    return bad_stat(op, id)
  end
  if target == nil then
    local archive = setmetatable({ stream = stream, stat = stat }, meta)
    return archive, nil, nil, archive
  end
  local reading <close> = stream
  local folder, rename = plan_out(op, id, from, target, stat)
  if not folder then return nil, rename end
  if not rename and from ~= path then rename = renamer(base_of(from), base_of(path)) end
  local done
  done, err = tar.extract(reading, folder, {
    rename = rename, owner = options.owner, setid = options.setid, max_bytes = options.max_bytes,
    max_entries = options.max_entries,
  })
  if not done then
    if err.op ~= op then errors.about(err, op, id) end
    return nil, err
  end
  done.stat = stat
  return done
end

local EXPORT = { first_byte_timeout = "seconds", idle_timeout = "seconds" }

--- All files of a container as a tar archive.
---@param client docker_watcher.Client
---@param id any
---@param options docker_watcher.StreamOptions?
---@return docker_watcher.Stream? stream, docker_watcher.error? err
function copy.export(client, id, options)
  id = core.check_id("export", "container", id)
  options = core.check_options("export", options, EXPORT, 2)
  return core.invoke(client, "export", id, "ContainerExport", { id = id }, options)
end

--- What a path in a container is; a symbolic link is not followed.
---@param client docker_watcher.Client
---@param id any
---@param path string
---@param options docker_watcher.CallOptions?
---@return docker_watcher.PathStat? stat, docker_watcher.error? err
function copy.stat_path(client, id, path, options)
  id = core.check_id("stat_path", "container", id)
  check_path("stat_path", "path", path)
  options = core.check_options("stat_path", options, {}, 3)
  return request_stat("stat_path", client, id, path, options, deadline_of(options))
end

return copy
