--- One worker per stage: takes candidates, has them deployed one at a time, tries again where time may heal.
--
-- Of several candidates that came meanwhile only the last counts. A failure without a verdict is tried again after
-- FIRST * 2^(n-1) seconds, at most LAST, less up to a half by chance, or when a new candidate comes; a condemned digest
-- is not. Before its first deploy a worker puts its stage in order, however long the Engine is away.

local gate = require "docker_watcher.gate"
local ports = require "docker_watcher.ports"

local worker = {}

local FIRST, LAST = 0.5, 300

---@class docker_watcher.worker
local methods = {}
local meta = { __index = methods, __name = "docker_watcher.worker" }

---@param world table  stage, deployer, loop, log, slots (gate.slots: deploys at once); optional: random, on_outcome,
---  on_ready (function: the stage is in order, and what runs is known)
---@return docker_watcher.worker
function worker.new(world)
  return setmetatable({
    stage = world.stage,
    deployer = world.deployer,
    loop = world.loop,
    log = world.log,
    slots = world.slots,
    random = world.random or math.random,
    on_outcome = world.on_outcome or function() end,
    on_ready = world.on_ready or function() end,
    ready = false,    -- is the stage in order, and known what runs?
    latch = gate.latch(world.loop),
    candidate = nil,  -- the next to deploy
    last = nil,       -- the last outcome
    failures = 0,
    stopping = false,
    said = nil,       -- the outcome last logged, as text
    told = nil,       -- tag and digest that it was about
  }, meta)
end

--- Hands in a candidate; the last one handed in counts.
---@param candidate docker_watcher.candidate
function methods:submit(candidate)
  local waiting = self.candidate
  if waiting and waiting.tag == candidate.tag and waiting.digest == candidate.digest then return end
  self.candidate = candidate
  self.latch:set()
end

--- Ends the worker when what it is at is finished or undone.
function methods:stop()
  self.stopping = true
  self.latch:set()
end

local function delay(self)
  local seconds = math.min(LAST, FIRST * 2 ^ math.min(self.failures - 1, 20))
  return seconds * (1 - self.random() / 2)
end

--- Logs an outcome, but the same one only once; what follows from the last one by itself is no news either.
local function say(self, outcome)
  local fields = {
    project = outcome.project, stage = outcome.stage, tag = outcome.tag, digest = outcome.digest, step = outcome.step,
    cause = outcome.cause, container = outcome.name,
    ports = outcome.ports and ports.text(outcome.ports), reason = outcome.reason,
    error = outcome.error and tostring(outcome.error),
  }
  local text = table.concat({
    outcome.status, outcome.tag, outcome.digest, fields.error or "", fields.reason or "",
  }, " ")
  if text == self.said then return end
  local known = self.told == outcome.tag .. "@" .. outcome.digest
  self.said, self.told = text, outcome.tag .. "@" .. outcome.digest
  if known and (outcome.status == "unchanged" and not outcome.reason or outcome.status == "condemned") then return end
  if outcome.status == "deployed" then
    self.log:info("deployed", fields)
  elseif outcome.status == "unchanged" then
    self.log[outcome.reason and "warn" or "info"](self.log, outcome.reason and "left alone" or "up to date", fields)
  elseif outcome.status == "condemned" then
    self.log:warn("not tried again: this digest has failed", fields)
  elseif outcome.error and outcome.error.kind == "cancelled" then
    self.log:info("deploy undone: the watcher is being stopped", fields)
  else
    self.log:error(outcome.verdict and "deploy failed: this digest is not tried again"
      or "deploy failed: will try again", fields)
  end
end

--- Puts the stage in order; true, or nil where the worker is to end.
local function begin(self)
  while not self.stopping do
    local instances, err = self.deployer:reconcile(self.stage)
    if instances then
      self.failures, self.ready = 0, true
      self.on_ready()
      return true
    end
    self.failures = self.failures + 1
    if self.failures == 1 then
      self.log:warn("the stage cannot be looked at: will try again", {
        project = self.stage.project, stage = self.stage.stage, error = tostring(err),
      })
    end
    local _, cancelled = self.latch:wait(delay(self))
    if cancelled then return nil end
  end
end

--- Deploys the candidate at hand. Answers seconds to wait for before it is tried again; nil: no more tries.
local function deploy(self)
  local candidate, outcome
  do
    local turn <close>, cancelled = self.slots:acquire()
    if not turn then
      self.stopping = cancelled ~= nil
      return nil
    end
    if self.stopping then return nil end
    candidate = self.candidate -- a newer one may have come while we waited
    outcome = self.deployer:deploy(self.stage, candidate)
  end
  self.last = outcome
  say(self, outcome)
  self.on_outcome(outcome)
  if outcome.status == "failed" and not outcome.verdict then
    self.failures = self.failures + 1
    return delay(self)
  end
  self.failures = 0
  if self.candidate == candidate then self.candidate = nil end
end

--- The worker's task: returns when it was stopped.
function methods:run()
  if not begin(self) then return end
  local pause
  while not self.stopping do
    if self.candidate and not pause then
      pause = deploy(self)
    else
      local _, cancelled = self.latch:wait(pause)
      if cancelled then return end
      pause = nil
    end
  end
end

return worker
