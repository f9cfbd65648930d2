--- The watcher: poller, deployer and a worker for each stage, wired together. It knows them all; they don't know each
-- other.
--
-- run() returns when stop() was called and every deploy under way is finished or undone. It never ends because an
-- engine or a registry is away: whoever needs them tries again.

local credentials = require "docker_watcher.docker.credentials"
local deployer = require "docker_watcher.deployer"
local gate = require "docker_watcher.gate"
local poller = require "docker_watcher.poller"
local registry = require "docker_watcher.registry"
local worker = require "docker_watcher.worker"

local watcher = {}

local DEPLOYS_AT_ONCE = 4
local FIRST, LAST = 0.25, 30 -- seconds between two tries to reach the Engine

---@class docker_watcher.watcher
local methods = {}
local meta = { __index = methods, __name = "docker_watcher.watcher" }

--- Wires everything. Makes no request.
---@param world table  config (config.load's), client (docker.connect's), docker, http, loop, log; optional: random,
---  wall, journal, sha256, on_outcome (function(outcome)), registry (instead of a client of our own)
---@return docker_watcher.watcher
function watcher.new(world)
  local config, loop, log = world.config, world.loop, world.log
  local ctx = world.docker.context {}
  local asked = world.registry or registry.new {
    parse_reference = world.docker.parse_reference, http = world.http, now = loop.now, wall = world.wall,
    settings = config.registries, sha256 = world.sha256,
    stored = function(domain, options) return credentials.find(world.client, domain, options) end,
  }
  local self = setmetatable({
    client = world.client,
    loop = loop,
    log = log,
    random = world.random or math.random,
    ctx = ctx,
    stages = config.stages,
    workers = {}, -- "project/stage" → worker
    order = {},   -- the workers in the order of the configuration
    tasks = {},
    halt = gate.latch(loop),
    stopping = false,
  }, meta)
  self.deployer = deployer.new {
    client = world.client, docker = world.docker, loop = loop, log = log, ctx = ctx, journal = world.journal,
    wall = world.wall, credentials = function(domain) return asked:credentials(domain) end,
  }
  local slots = gate.slots(loop, DEPLOYS_AT_ONCE)
  for i, stage in ipairs(config.stages) do
    local made = worker.new {
      stage = stage, deployer = self.deployer, loop = loop, log = log, slots = slots, random = world.random,
      on_outcome = world.on_outcome, on_ready = function() self.poller:look_now(stage.image) end,
    }
    self.workers[stage.project .. "/" .. stage.stage], self.order[i] = made, made
  end
  self.poller = poller.new {
    registry = asked, loop = loop, log = log, parse_reference = world.docker.parse_reference, stages = config.stages,
    poll = config.poll, random = world.random, wall = world.wall,
    ready = function(project, stage) return self.workers[project .. "/" .. stage].ready end,
    current = function(project, stage) return self.deployer:current(project, stage) end,
    emit = function(candidate) self.workers[candidate.project .. "/" .. candidate.stage]:submit(candidate) end,
  }
  return self
end

--- Waits until the Engine answers; true, or nil where the watcher is stopped meanwhile.
local function wait_for_engine(self)
  local tries = 0
  while not self.stopping do
    local answered, err = self.client:ping { ctx = self.ctx }
    if answered then
      if tries > 0 then self.log:info("the engine answers") end
      return true
    end
    if err.kind == "cancelled" then return nil end
    tries = tries + 1
    if tries == 1 then
      self.log:warn("the engine does not answer: will try again", { error = tostring(err), kind = err.kind })
    end
    local seconds = math.min(LAST, FIRST * 2 ^ math.min(tries - 1, 20)) * (1 - self.random() / 2)
    local _, cancelled = self.halt:wait(seconds)
    if cancelled then return nil end
  end
end

--- Watches until stop() is called. Call it inside a task of the loop.
function methods:run()
  self.log:info("watching", { stages = #self.stages })
  if wait_for_engine(self) then
    for i, stage_worker in ipairs(self.order) do
      self.tasks[i] = self.loop.spawn(function() stage_worker:run() end)
    end
    self.poller:start()
    while not self.stopping do
      local _, cancelled = self.halt:wait()
      if cancelled then self:stop() end
    end
    self.poller:stop()
    for _, task in ipairs(self.tasks) do task:join() end
  end
  self.log:info("stopped")
end

--- Ends run(): what is under way is finished where it is past the switch, else undone.
function methods:stop()
  if self.stopping then return end
  self.stopping = true
  self.log:info("stopping: deploys under way are finished or undone")
  self.ctx:cancel "the watcher is being stopped"
  for _, stage_worker in ipairs(self.order) do stage_worker:stop() end
  self.halt:set()
end

--- What it knows, as plain data, for `status`.
function methods:status()
  local stages = {}
  for i, stage_worker in ipairs(self.order) do
    stages[i] = {
      project = stage_worker.stage.project, stage = stage_worker.stage.stage, outcome = stage_worker.last,
      waiting = stage_worker.candidate ~= nil,
    }
  end
  return { stages = stages, repositories = self.poller:status() }
end

return watcher
