--- The steps that plans are made of: how each is done, how it is undone, and whose fault its failure is.
--
-- A step is { run = function(job, step) → true | nil, err [, guilty], undo = function(job, step) | nil, cause = …,
-- finishes = true where a stop of the watcher must not cut it short }. `guilty` says that the image itself failed:
-- then, and only then, its digest is condemned. Each step is safe to repeat.
--
-- A job is one run of a plan: client, docker, loop, stage, candidate, alias, credentials, ctx, instances (by id), new.

local errors = require "docker_watcher.error"
local secret = require "docker_watcher.secret"

local steps = {}

--- Options of an Engine call that belongs to the job: it ends with the job.
local function within(job, options)
  options = options or {}
  options.ctx = job.ctx
  return options
end

--- repo@sha256:…: what is deployed is a digest, never a tag that may move meanwhile.
function steps.image(job) return job.candidate.image .. "@" .. job.candidate.digest end

local function id_of(job, step) return step.instance == "new" and job.new.id or step.instance end

-- ── pull ───────────────────────────────────────────────────────────────────────────────────────────────────────────

steps.pull = {
  cause = "pull",
  run = function(job)
    local pulled, err = job.client:pull_image(steps.image(job), nil, within(job, { auth = job.credentials }))
    if not pulled then return nil, err end
    return true -- the Engine has verified the digest: it is what was asked for
  end,
}

-- ── create ─────────────────────────────────────────────────────────────────────────────────────────────────────────

--- The options of create_container for the job's candidate.
local function container_options(job, name)
  local options = {}
  for key, value in pairs(job.stage.container) do options[key] = value end
  options.env = {}
  for key, value in pairs(job.stage.container.env or {}) do options.env[key] = secret.open(value) end
  options.image, options.name = steps.image(job), name
  options.project, options.stage, options.network = job.stage.project, job.stage.stage, job.stage.network
  options.tag, options.digest, options.instance_id = job.candidate.tag, job.candidate.digest, job.new.instance_id
  return within(job, options)
end

steps.create = {
  cause = "create",
  run = function(job)
    local network, err = job.client:ensure_network(job.stage.network, within(job, {
      labels = { ["docker-watcher.project"] = job.stage.project },
    }))
    if not network then return nil, err end
    job.new.name = job.docker.container_name(job.stage.project, job.stage.stage, job.candidate.tag)
    local name = nil -- the client's own choice, the same
    for _, old in pairs(job.instances) do
      if old.name == job.new.name then name = job.new.name .. ".next-" .. job.new.instance_id end
    end
    local created
    created, err = job.client:create_container(container_options(job, name))
    if not created then return nil, err end
    job.new.id, job.new.name = created.id, created.name or name or job.new.name
    return true
  end,
  undo = function(job)
    if not job.new.id then return true end
    local removed, err = job.client:remove_container(job.new.id, { force = true, volumes = true })
    if removed or err.kind == "not_found" then
      job.new.id = nil
      return true
    end
    return nil, err
  end,
}

-- ── start ──────────────────────────────────────────────────────────────────────────────────────────────────────────

steps.start = {
  cause = "start",
  run = function(job, step)
    local started, err = job.client:start_container(id_of(job, step), within(job))
    if started then return true end
    -- A command that is not in the image is refused as invalid; a port that is taken is not the image's fault.
    return nil, err, err.kind == "invalid"
  end,
}

-- ── wait_healthy ───────────────────────────────────────────────────────────────────────────────────────────────────

local SIGNALLED = { [137] = true, [143] = true } -- what SIGKILL and SIGTERM leave as exit status

--- Did somebody end it from outside? An Engine that shuts down does, and operators do: that says nothing of the image.
--- Out of memory does not count: that is the image's own.
local function was_killed(inspected)
  local state = type(inspected.raw) == "table" and inspected.raw.State
  return inspected.state == "exited" and SIGNALLED[inspected.exit_code] == true
    and not (type(state) == "table" and state.OOMKilled == true)
end

--- A wait failed: if the Engine still answers for the container, it is the container that failed.
local function judge(job, id, err)
  if err.kind == "cancelled" then return nil, err, false end
  local inspected = job.client:inspect_container(id, within(job))
  return nil, err, inspected ~= nil and not was_killed(inspected)
end

--- Did it stay up? A container that ends or is started again meanwhile did not, whatever its health check says.
local function stay_up(job, id, seconds)
  local ended, err = job.client:wait_container(id, within(job, { condition = "not-running", timeout = seconds }))
  if not ended and err.kind ~= "timeout" then return judge(job, id, err) end
  local inspected
  inspected, err = job.client:inspect_container(id, within(job))
  if not inspected then return nil, err, false end
  local reason
  if ended then
    reason = ("it ended with status %s"):format(tostring(ended.exit_code))
  elseif inspected.state ~= "running" then
    reason = ("it is %s"):format(tostring(inspected.state))
  elseif (inspected.restart_count or 0) > 0 then
    reason = ("it was started again %d times"):format(inspected.restart_count)
  elseif inspected.health == "unhealthy" then
    reason = "it became unhealthy"
  else
    return true
  end
  return nil, errors.new("engine", ("%s did not stay up for %g seconds: %s"):format(job.new.name, seconds, reason),
    { op = "wait_healthy", subject = job.new.name }), not was_killed(inspected)
end

steps.wait_healthy = {
  cause = "health",
  run = function(job, step)
    local id = id_of(job, step)
    local healthy, err = job.client:wait_healthy(id, within(job, { timeout = step.timeout }))
    if not healthy then return judge(job, id, err) end
    if step.stay_up and step.stay_up > 0 then return stay_up(job, id, step.stay_up) end
    return true
  end,
}

-- ── switch ─────────────────────────────────────────────────────────────────────────────────────────────────────────

steps.switch = {
  cause = "route",
  finishes = true,
  run = function(job, step)
    local id, network = id_of(job, step), job.stage.network
    local left, err = job.client:disconnect_network(network, id)
    if not left and err.kind ~= "not_found" then return nil, err end
    local joined
    joined, err = job.client:connect_network(network, id, { aliases = { job.alias } })
    if not joined then return nil, err end
    local inspected
    inspected, err = job.client:inspect_container(id)
    if not inspected then return nil, err end
    job.new.ports = inspected.ports
    if inspected.state ~= "running" then
      return nil, errors.new("engine", ("%s ended when it was taken into service"):format(job.new.name),
        { op = "switch", subject = job.new.name })
    end
    return true
  end,
}

-- ── the old ones ───────────────────────────────────────────────────────────────────────────────────────────────────

steps.stop = {
  cause = "engine",
  finishes = true,
  run = function(job, step)
    local stopped, err = job.client:stop_container(id_of(job, step), {
      stop_timeout = job.stage.container.stop_timeout,
    })
    if stopped or err.kind == "not_found" then return true end
    return nil, err
  end,
  undo = function(job, step)
    local started, err = job.client:start_container(id_of(job, step))
    if started or err.kind == "not_found" then return true end
    return nil, err
  end,
}

-- Its anonymous volumes stay: they may hold what nobody has elsewhere.
steps.remove = {
  cause = "engine",
  finishes = true,
  commits = true, -- what is removed cannot come back: from here on a failure is not undone, but finished later
  run = function(job, step)
    local removed, err = job.client:remove_container(id_of(job, step), { force = true })
    if removed or err.kind == "not_found" then return true end
    return nil, err
  end,
}

steps.sleep = {
  cause = "engine",
  run = function(job, step) return job.loop.sleep(step.seconds) end,
}

--- Is this list a plan? Policies are operators' code: what they answer is checked before anything is done.
---@param plan any
---@param instances table<string, docker_watcher.instance>
---@return boolean? ok, string? reason
function steps.check(plan, instances)
  if type(plan) ~= "table" then return nil, ("a list of steps expected, got a %s"):format(type(plan)) end
  local created = false
  for i, step in ipairs(plan) do
    local word = type(step) == "table" and step.step
    if type(word) ~= "string" or type(steps[word]) ~= "table" then
      return nil, ("step %d: there is no step '%s'"):format(i, tostring(word))
    end
    if word == "create" then
      if created then return nil, ("step %d: a plan creates one instance at most"):format(i) end
      created = true
    end
    local instance = step.instance
    if word ~= "pull" and word ~= "create" and word ~= "sleep" then
      if instance == "new" and not created then
        return nil, ("step %d: %s of the new instance before it is created"):format(i, word)
      elseif instance ~= "new" and not instances[instance] then
        return nil, ("step %d: %s of '%s', which is no instance of this stage"):format(i, word, tostring(instance))
      end
    end
    for _, name in ipairs { "timeout", "stay_up", "seconds" } do
      local value = step[name]
      if value ~= nil and (type(value) ~= "number" or not (value >= 0 and value <= 86400)) then
        return nil, ("step %d: %s: seconds from 0 to 86400 expected"):format(i, name)
      end
    end
    if word == "sleep" and step.seconds == nil then return nil, ("step %d: sleep needs seconds"):format(i) end
  end
  return true
end

return steps
