--- What else can be done with a container, one request each: top, changes, commit, rename, pause, unpause, kill,
--- resize.
local core = require "docker_watcher.core"

local containers = {}

local KINDS <const> = { [0] = "modified", "added", "deleted" }

--- Arguments of a method that takes an id and options.
local function check(op, id, options, known)
  return core.check_id(op, "container", id), core.check_options(op, options, known or {})
end

local function limits(options)
  return { timeout = options.timeout, ctx = options.ctx }
end

--- true, or nil, err.
local function simply(client, op, id, operation, params, options)
  params.id = id
  local reply, err = core.invoke(client, op, id, operation, params, limits(options))
  if not reply then return nil, err end
  return true
end

function containers.top(client, id, options)
  id, options = check("top", id, options, { ps_args = "string" })
  local reply, err = core.invoke(client, "top", id, "ContainerTop", { id = id, ps_args = options.ps_args },
    limits(options))
  if not reply then return nil, err end
  return { titles = reply.Titles or {}, processes = reply.Processes or {} }
end

function containers.changes(client, id, options)
  id, options = check("changes", id, options)
  local reply, err = core.invoke(client, "changes", id, "ContainerChanges", { id = id }, limits(options))
  if not reply then return nil, err end
  local list = {}
  for i, change in ipairs(reply ~= core.null and reply or {}) do -- null: nothing has changed
    list[i] = { path = change.Path, kind = KINDS[change.Kind] or tostring(change.Kind) }
  end
  return list
end

local COMMIT <const> = { repository = "string", tag = "string", message = "string", author = "string",
  pause = "boolean", changes = "string_or_table", config = "table" }

function containers.commit(client, id, options)
  id, options = check("commit", id, options, COMMIT)
  if options.tag and not options.repository then core.misuse "commit: option 'tag': it needs 'repository' too" end
  local changes = options.changes
  local reply, err = core.invoke(client, "commit", id, "ImageCommit", {
    container = id, repo = options.repository, tag = options.tag, comment = options.message, author = options.author,
    pause = options.pause, changes = type(changes) == "table" and table.concat(changes, "\n") or changes,
    body = options.config or {},
  }, limits(options))
  if not reply then return nil, err end
  return { id = reply.Id }
end

function containers.rename_container(client, id, name, options)
  id = core.check_id("rename_container", "container", id)
  name = core.check_id("rename_container", "name", name)
  options = core.check_options("rename_container", options, {}, 3)
  return simply(client, "rename_container", id, "ContainerRename", { name = name }, options)
end

function containers.pause_container(client, id, options)
  id, options = check("pause_container", id, options)
  return simply(client, "pause_container", id, "ContainerPause", {}, options)
end

function containers.unpause_container(client, id, options)
  id, options = check("unpause_container", id, options)
  return simply(client, "unpause_container", id, "ContainerUnpause", {}, options)
end

function containers.kill_container(client, id, options)
  id, options = check("kill_container", id, options, { signal = "string" })
  if options.signal == "" then core.misuse "kill_container: option 'signal': it is empty" end
  return simply(client, "kill_container", id, "ContainerKill", { signal = options.signal }, options)
end

function containers.resize_container(client, id, rows, columns, options)
  id = core.check_id("resize_container", "container", id)
  if math.type(rows) ~= "integer" or math.type(columns) ~= "integer" or rows < 1 or columns < 1 then
    core.misuse "resize_container: rows and columns: integers above 0 expected"
  end
  options = core.check_options("resize_container", options, {}, 4)
  return simply(client, "resize_container", id, "ContainerResize", { h = rows, w = columns }, options)
end

return containers
