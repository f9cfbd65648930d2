--- What the Engine runs of a stage, as plain data: only containers with all of our labels, each inspected.
--
-- A container is "proven" when it has the stage's network alias: it gets that when it is taken into service, and not
-- before. So the Engine itself remembers how far a deploy had come, whatever became of the one who made it.

local observe = {}

local LABEL = "docker-watcher."

--- "2026-01-02T03:04:05.6Z" → text that sorts by time.
local function sortable(time)
  if type(time) ~= "string" then return "" end
  local seconds, fraction = time:match "^([^.Z]+)%.?(%d*)"
  return seconds and seconds .. (fraction .. ("0"):rep(9)):sub(1, 9) or time
end

--- Has the container this alias in any of its networks?
local function has_alias(inspected, alias)
  local settings = type(inspected.raw) == "table" and inspected.raw.NetworkSettings
  local networks = type(settings) == "table" and settings.Networks
  if type(networks) ~= "table" then return false end
  for _, network in pairs(networks) do
    local aliases = type(network) == "table" and network.Aliases
    if type(aliases) == "table" then
      for _, name in ipairs(aliases) do
        if name == alias then return true end
      end
    end
  end
  return false
end

--- An inspected container as an instance; nil where it lacks one of our labels.
---@return docker_watcher.instance?
function observe.instance(inspected)
  local labels = inspected.labels or {}
  local project, stage = labels[LABEL .. "project"], labels[LABEL .. "stage"]
  local tag, digest = labels[LABEL .. "tag"], labels[LABEL .. "digest"]
  local instance_id = labels[LABEL .. "instance-id"]
  if not (project and stage and tag and digest and instance_id) then return nil end
  return {
    id = inspected.id, name = inspected.name, project = project, stage = stage, tag = tag, digest = digest,
    instance_id = instance_id, state = inspected.state, health = inspected.health,
    restart_count = inspected.restart_count or 0, created = sortable(inspected.raw and inspected.raw.Created),
    ports = inspected.ports or {}, proven = has_alias(inspected, observe.alias(project, stage)),
  }
end

--- The name under which a stage is reached in its network.
function observe.alias(project, stage) return project .. "-" .. stage end

--- The instances of a stage (or, with neither given, of all stages), the newest first; nil, err.
---@param client any
---@param project string?
---@param stage string?
---@param options table?  ctx, timeout
---@return docker_watcher.instance[]? instances, docker_watcher.error? err
function observe.list(client, project, stage, options)
  local listed, err = client:list_containers {
    all = true, managed = true, project = project, stage = stage, ctx = options and options.ctx,
  }
  if not listed then return nil, err end
  local instances = {}
  for _, container in ipairs(listed) do
    local inspected
    inspected, err = client:inspect_container(container.id, options)
    if inspected then
      local instance = observe.instance(inspected)
      if instance and (project == nil or instance.project == project) and (stage == nil or instance.stage == stage) then
        instances[#instances + 1] = instance
      end
    elseif err.kind ~= "not_found" then -- gone in between is gone
      return nil, err
    end
  end
  table.sort(instances, function(a, b)
    if a.created ~= b.created then return a.created > b.created end
    return a.id < b.id
  end)
  return instances
end

--- The instance in service: the newest that is proven and runs.
---@param instances docker_watcher.instance[]  the newest first
---@return docker_watcher.instance?
function observe.serving(instances)
  for _, instance in ipairs(instances) do
    if instance.proven and instance.state == "running" then return instance end
  end
end

return observe
