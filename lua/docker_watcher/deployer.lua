--- Executes plans: brings a candidate into service on the Engine, or leaves everything as it was.
--
-- What it promises: one step after the other, each journalled before and after; a failure plays the undos back, the
-- last one first, so that the old instance serves as if nothing had happened; what is deployed is a digest. A digest
-- that failed in health (or whose command the image lacks) is condemned and not tried again until tag or digest
-- changes; registry, pull and Engine failures give no verdict and may be tried again. Containers without all of our
-- labels are never touched, not even where they hold the name that we need.
--
-- Before each deploy, and at the start, it looks at what is there and finishes or removes what an interrupted run left
-- (deployer/recover.lua). It keeps no state that the Engine does not show, but for the verdicts.

local errors = require "docker_watcher.error"
local observe = require "docker_watcher.deployer.observe"
local recover = require "docker_watcher.deployer.recover"
local steps = require "docker_watcher.deployer.steps"

local deployer = {}

---@class docker_watcher.outcome
---@field status "deployed"|"unchanged"|"condemned"|"failed"
---@field project string
---@field stage string
---@field tag string
---@field digest string
---@field step string?     the step that failed
---@field cause string?    "registry"|"pull"|"create"|"start"|"health"|"route"|"policy"|"store"|"engine"
---@field verdict boolean? true: the digest is condemned
---@field undone boolean?  true: everything is as it was
---@field error docker_watcher.error?
---@field reason string?
---@field name string?     of the container in service
---@field ports table?

---@class docker_watcher.deployer
local methods = {}
local meta = { __index = methods, __name = "docker_watcher.deployer" }

local function random_id()
  local file <close> = assert(io.open("/dev/urandom", "rb"))
  return (file:read(6):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

---@param world table  client, docker (container_name, parse_reference), loop, log; optional: credentials
---  (function(domain) → table | nil), journal (function(record) → ok, err), new_id (function → text), wall (os.time),
---  ctx (docker.context: when it is cancelled, deploys are undone, or finished where they are past the switch)
---@return docker_watcher.deployer
function deployer.new(world)
  return setmetatable({
    client = world.client,
    docker = world.docker,
    loop = world.loop,
    log = world.log,
    credentials = world.credentials or function() end,
    journal = world.journal or function() return true end,
    new_id = world.new_id or random_id,
    wall = world.wall or os.time,
    ctx = world.ctx,
    verdicts = {}, -- "project/stage" → "tag@digest" → why it is condemned
    running = {},  -- "project/stage" → the instance in service when last looked at
  }, meta)
end

local function key_of(stage) return stage.project .. "/" .. stage.stage end

--- The tag that runs, as far as it is known; for tag policies.
---@return string?
function methods:current(project, stage)
  local serving = self.running[project .. "/" .. stage]
  return serving and serving.tag
end

--- Why this candidate is not tried again; nil where it may be.
---@return string?
function methods:verdict(candidate)
  local list = self.verdicts[key_of(candidate)]
  return list and list[candidate.tag .. "@" .. candidate.digest]
end

local function condemn(self, candidate, reason)
  local key = key_of(candidate)
  self.verdicts[key] = self.verdicts[key] or {}
  self.verdicts[key][candidate.tag .. "@" .. candidate.digest] = reason
end

--- Forgets the verdicts of a stage: someone asks for another try.
function methods:absolve(project, stage) self.verdicts[project .. "/" .. stage] = nil end

--- Looks at a stage and puts it in order; answers its instances, the newest first; nil, err.
---@param stage docker_watcher.stage
---@return docker_watcher.instance[]? instances, docker_watcher.error? err
function methods:reconcile(stage)
  local instances, err = recover.stage(self, stage)
  if not instances then return nil, err end
  self.running[key_of(stage)] = observe.serving(instances)
  return instances
end

-- ── one plan ───────────────────────────────────────────────────────────────────────────────────────────────────────

--- Writes to the journal; nil, err where it cannot be written.
local function note(self, job, phase, step, err)
  return self.journal {
    at = self.wall(), project = job.stage.project, stage = job.stage.stage, tag = job.candidate.tag,
    digest = job.candidate.digest, instance_id = job.new.instance_id, step = step and step.step, phase = phase,
    instance = step and (step.instance == "new" and job.new.id or step.instance), error = err and tostring(err),
  }
end

--- Plays the undos of done steps back, the last one first; true, or nil where one failed.
local function undo(self, job, done)
  local clean = true
  for i = #done, 1, -1 do
    local step = done[i]
    local play = steps[step.step].undo
    if play then
      note(self, job, "undo", step)
      local ok, err = play(job, step)
      if not ok then
        clean = nil
        self.log:error("undo failed: it will be put in order before the next deploy", {
          project = job.stage.project, stage = job.stage.stage, step = step.step, error = tostring(err),
        })
      end
    end
  end
  return clean
end

local function is_stopping(self) return self.ctx ~= nil and (self.ctx:done()) == true end

--- One step; true, or nil, err, cause, guilty.
local function execute(self, job, step)
  local kind = steps[step.step]
  if is_stopping(self) and not kind.finishes then
    return nil, errors.new("cancelled", "the watcher is being stopped", { op = step.step }), kind.cause, false
  end
  local noted, err = note(self, job, "before", step)
  if not noted then return nil, err, "store", false end
  local done, guilty
  done, err, guilty = kind.run(job, step)
  note(self, job, done and "after" or "failed", step, err)
  if done then return true end
  local cause = kind.cause
  if err.kind == "unreachable" or err.kind == "interrupted" or (cause == "health" and not guilty) then
    cause = "engine"
  end
  return nil, err, cause, guilty == true
end

local function outcome_of(job, fields)
  fields.project, fields.stage = job.stage.project, job.stage.stage
  fields.tag, fields.digest = job.candidate.tag, job.candidate.digest
  return fields
end

--- Runs a whole plan. Answers the outcome.
local function run_plan(self, job, plan)
  local done, committed = {}, false
  for _, step in ipairs(plan) do
    self.log:info("step " .. step.step, {
      project = job.stage.project, stage = job.stage.stage, tag = job.candidate.tag,
      instance = step.instance and step.instance ~= "new" and job.instances[step.instance].name or job.new.name,
    })
    done[#done + 1] = step -- also a step that fails may have done a part: its undo is safe either way
    local ok, err, cause, guilty = execute(self, job, step)
    if not ok then
      if committed then
        self.log:warn("the new instance serves, but an old one is not yet gone", {
          project = job.stage.project, stage = job.stage.stage, step = step.step, error = tostring(err),
        })
        return outcome_of(job, { status = "deployed", name = job.new.name, ports = job.new.ports, error = err })
      end
      local clean = undo(self, job, done)
      if guilty then condemn(self, job.candidate, tostring(err)) end
      return outcome_of(job, {
        status = "failed", step = step.step, cause = cause, verdict = guilty, undone = clean, error = err,
        name = job.new.name,
      })
    end
    committed = committed or steps[step.step].commits == true
  end
  return outcome_of(job, { status = "deployed", name = job.new.name, ports = job.new.ports })
end

--- Asks the policy, guarded; answers the plan, or nil, err.
local function make_plan(self, job, instances)
  local copies, by_id = {}, {}
  for i, instance in ipairs(instances) do
    by_id[instance.id], copies[i] = instance, {}
    for name, value in pairs(instance) do copies[i][name] = value end
  end
  local candidate = {}
  for name, value in pairs(job.candidate) do candidate[name] = value end
  local ok, plan = xpcall(job.stage.policy.plan, debug.traceback, {
    project = job.stage.project, stage = job.stage.stage, alias = job.alias, candidate = candidate,
    instances = copies, now = self.wall(),
  }, job.stage.policy.options)
  local reason
  if ok then ok, reason = steps.check(plan, by_id) else reason = tostring(plan) end
  if not ok then
    return nil, errors.new("invalid", ("policy %s of %s: %s"):format(job.stage.policy.name, key_of(job.stage), reason),
      { op = "plan", subject = key_of(job.stage) })
  end
  job.instances = by_id
  return plan
end

--- Brings a candidate into service, once. Never raises for what the world does.
---@param stage docker_watcher.stage
---@param candidate docker_watcher.candidate
---@return docker_watcher.outcome
function methods:deploy(stage, candidate)
  local job = {
    client = self.client, docker = self.docker, loop = self.loop, ctx = self.ctx, stage = stage, candidate = candidate,
    alias = observe.alias(stage.project, stage.stage), instances = {}, new = { instance_id = self.new_id() },
  }
  local reason = self:verdict(candidate)
  if reason then return outcome_of(job, { status = "condemned", reason = reason }) end

  local instances, err = self:reconcile(stage)
  if not instances then return outcome_of(job, { status = "failed", cause = "engine", undone = true, error = err }) end
  local serving = self.running[key_of(stage)]
  if serving and serving.digest == candidate.digest then
    return outcome_of(job, { status = "unchanged", name = serving.name, ports = serving.ports })
  elseif not serving and #instances > 0 and instances[1].digest == candidate.digest then
    return outcome_of(job, {
      status = "unchanged", name = instances[1].name,
      reason = ("%s has this digest and is %s: start it, or remove it"):format(instances[1].name, instances[1].state),
    })
  end

  local reference
  reference, err = self.docker.parse_reference(stage.image)
  if not reference then return outcome_of(job, { status = "failed", cause = "policy", undone = true, error = err }) end
  job.credentials = self.credentials(reference.domain)
  local plan
  plan, err = make_plan(self, job, instances)
  if not plan then return outcome_of(job, { status = "failed", cause = "policy", undone = true, error = err }) end
  local noted
  noted, err = note(self, job, "begin")
  if not noted then return outcome_of(job, { status = "failed", cause = "store", undone = true, error = err }) end

  local outcome = run_plan(self, job, plan)
  if outcome.status == "deployed" then
    -- names, and what is left of the old ones
    instances, err = self:reconcile(stage)
    local now = instances and self.running[key_of(stage)]
    if now then
      outcome.name, outcome.ports = now.name, now.ports
    else
      self.log:warn("deployed, but the stage could not be looked at", {
        project = stage.project, stage = stage.stage, error = tostring(err),
      })
    end
  end
  note(self, job, outcome.status, nil, outcome.error)
  return outcome
end

return deployer
