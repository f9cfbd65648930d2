--- Puts a stage in order: whatever an interrupted deploy left, afterwards at most one version runs, under its own name.
--
-- What tells how far a deploy had come is the Engine alone (see deployer/observe.lua): an instance that is proven was
-- taken into service; one that is not is a candidate whose deploy did not come to its end. So:
--
--   unproven, and something is or was in service  → it is removed; the poller finds the candidate again
--   unproven, healthy, and nothing else is there  → taken into service: it had passed, or has now
--   proven and running, but older than another    → the switch was done: it is stopped and removed (or kept, stopped)
--   proven, stopped, more than the policy keeps   → removed, while another one serves
--   in service under a temporary name             → renamed
--
-- A stage whose only instance was stopped is left alone: somebody did that. Without work there is no write.

local observe = require "docker_watcher.deployer.observe"

local recover = {}

local function remove(self, stage, instance, why, volumes)
  self.log:warn("removing a container: " .. why, {
    project = stage.project, stage = stage.stage, container = instance.name, tag = instance.tag,
  })
  local removed, err = self.client:remove_container(instance.id, { force = true, volumes = volumes })
  if removed or err.kind == "not_found" then return true end
  return nil, err
end

--- Would it pass as it stands? Running, never started again, and healthy as far as it has a health check.
local function is_well(instance)
  return instance.state == "running" and instance.restart_count == 0
    and (instance.health == nil or instance.health == "none" or instance.health == "healthy")
end

--- Takes an unproven instance into service.
local function adopt(self, stage, instance)
  self.log:info("taking a container into service that an interrupted run left", {
    project = stage.project, stage = stage.stage, container = instance.name, tag = instance.tag,
  })
  local left, err = self.client:disconnect_network(stage.network, instance.id)
  if not left and err.kind ~= "not_found" then return nil, err end
  local joined
  joined, err = self.client:connect_network(stage.network, instance.id, {
    aliases = { observe.alias(stage.project, stage.stage) },
  })
  if not joined then return nil, err end
  instance.proven = true
  return true
end

--- Candidates whose deploy did not come to its end.
local function clear_unproven(self, stage, instances)
  local any_proven = false
  for _, instance in ipairs(instances) do any_proven = any_proven or instance.proven end
  for _, instance in ipairs(instances) do
    if not instance.proven then
      local ok, err
      if not any_proven and is_well(instance) then
        any_proven = true
        ok, err = adopt(self, stage, instance)
      else
        instance.gone = true
        ok, err = remove(self, stage, instance, "it was never taken into service", true)
      end
      if not ok then return nil, err end
    end
  end
  return true
end

--- Proven instances besides the one in service.
local function clear_old(self, stage, instances, serving)
  local keep, kept = stage.policy.options and stage.policy.options.keep or 0, 0
  local name = self.docker.container_name(stage.project, stage.stage, serving.tag)
  for _, instance in ipairs(instances) do
    if instance ~= serving and not instance.gone then
      local ok, err = true, nil
      if instance.state == "running" or instance.state == "restarting" or instance.state == "paused" then
        ok, err = self.client:stop_container(instance.id, { stop_timeout = stage.container.stop_timeout })
        if not ok and err.kind ~= "not_found" then return nil, err end
        instance.state = "exited"
      end
      if kept < keep and instance.name ~= name then
        kept = kept + 1
      else
        instance.gone = true
        ok, err = remove(self, stage, instance, "another one serves in its place")
      end
      if not ok then return nil, err end
    end
  end
  return true
end

--- The name of the one in service.
local function settle_name(self, stage, serving)
  local name = self.docker.container_name(stage.project, stage.stage, serving.tag)
  if serving.name == name then return true end
  local renamed, err = self.client:call("ContainerRename", { id = serving.id, name = name })
  if renamed then
    serving.name = name
    return true
  end
  if err.kind == "conflict" then -- a stranger's: it stays his
    self.log:error("the name of a container is taken by one that is not ours", {
      project = stage.project, stage = stage.stage, container = serving.name, wanted = name,
    })
    return true
  end
  return nil, err
end

--- Puts a stage in order; answers what is left, the newest first; nil, err where the Engine did not let us.
---@param self docker_watcher.deployer
---@param stage docker_watcher.stage
---@return docker_watcher.instance[]? instances, docker_watcher.error? err
function recover.stage(self, stage)
  local instances, err = observe.list(self.client, stage.project, stage.stage)
  if not instances then return nil, err end
  local ok
  ok, err = clear_unproven(self, stage, instances)
  if not ok then return nil, err end
  local serving = observe.serving(instances)
  if serving then
    ok, err = clear_old(self, stage, instances, serving)
    if not ok then return nil, err end
    ok, err = settle_name(self, stage, serving)
    if not ok then return nil, err end
  end
  local left = {}
  for _, instance in ipairs(instances) do
    if not instance.gone then left[#left + 1] = instance end
  end
  return left
end

return recover
