--- What runs now, by the labels of the Engine's containers, beside what the configuration wants. Plain data.

local json = require "docker_watcher.json"
local observe = require "docker_watcher.deployer.observe"

local status = {}

---@class docker_watcher.status_stage
---@field project string
---@field stage string
---@field configured boolean?  nil: no configuration was given
---@field image string?        as configured
---@field instances docker_watcher.instance[]  the newest first

local function plain(instance)
  return {
    id = instance.id, name = instance.name, tag = instance.tag, digest = instance.digest,
    instance_id = instance.instance_id, state = instance.state, health = instance.health,
    ports = instance.ports, serving = instance.proven and instance.state == "running",
  }
end

--- Stages by project and name: those of the configuration, and those that containers tell of; nil, err.
---@param client any
---@param stages docker_watcher.stage[]?
---@return docker_watcher.status_stage[]? stages, docker_watcher.error? err
function status.collect(client, stages)
  local instances, err = observe.list(client)
  if not instances then return nil, err end
  local by_key, list = {}, json.array {}
  local function stage_of(project, stage)
    local key = project .. "/" .. stage
    if not by_key[key] then
      by_key[key] = { project = project, stage = stage, instances = json.array {} }
      if stages then by_key[key].configured = false end
      list[#list + 1] = by_key[key]
    end
    return by_key[key]
  end
  for _, stage in ipairs(stages or {}) do
    local entry = stage_of(stage.project, stage.stage)
    entry.configured, entry.image = true, stage.image
  end
  for _, instance in ipairs(instances) do
    local entry = stage_of(instance.project, instance.stage)
    entry.instances[#entry.instances + 1] = plain(instance)
  end
  table.sort(list, function(a, b)
    if a.project ~= b.project then return a.project < b.project end
    return a.stage < b.stage
  end)
  return list
end

return status
