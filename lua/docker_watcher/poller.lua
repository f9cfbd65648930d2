--- Asks the registries, again and again, which tag each stage should run, and hands out candidates.
--
-- What it promises: one listing for all stages that watch a repository, one HEAD for each tag that was chosen; at most
-- `in_flight` requests to one registry at a time; looks spread over the interval, with jitter; after a failure the
-- whole registry is left alone for a while, longer each time, and the others are not affected. A failed look says
-- nothing: no candidate comes of it, and the last known state stays. It decides nothing: that is the deployer's.
--
-- Retries, in seconds: after the n-th failure in a row FIRST * 2^(n-1), at most LAST, less up to a half by chance;
-- longer where the registry asks for it by Retry-After.

local gate = require "docker_watcher.gate"

local poller = {}

local FIRST, LAST = 1, 900
local IN_FLIGHT = 2

--- Errors that time may heal; all others wait for the next look as usual.
local TEMPORARY = { rate_limited = true, unreachable = true, timeout = true, interrupted = true }

---@class docker_watcher.candidate
---@field project string
---@field stage string
---@field image string
---@field tag string
---@field digest string
---@field seen_at integer  seconds since 1970
---@field reason string    why this tag

---@class docker_watcher.poller
local methods = {}
local meta = { __index = methods, __name = "docker_watcher.poller" }

--- One repository with the stages that watch it, and one registry with its troubles.
local function group(self, stages)
  for _, stage in ipairs(stages) do
    local reference = assert(self.parse_reference(stage.image))
    local name = reference.domain .. "/" .. reference.path
    local host = self.hosts[reference.domain]
    if not host then
      host = { name = reference.domain, slots = gate.slots(self.loop, self.in_flight), failures = 0, not_before = 0 }
      self.hosts[reference.domain] = host
    end
    local repository = self.repositories[name]
    if not repository then
      repository = {
        name = name, image = stage.image, host = host, stages = {}, latch = gate.latch(self.loop),
        looked_at = nil, -- seconds since 1970, of the last look that succeeded
        tags = nil,      -- how many there were
        problem = nil,   -- what the last look failed with, as text
      }
      self.repositories[name] = repository
      self.order[#self.order + 1] = repository
    end
    repository.stages[#repository.stages + 1] = stage
  end
end

---@param world table  registry, loop, log, parse_reference, stages (the configuration's), poll { every, jitter },
---  emit (function(candidate)), current (function(project, stage) → tag | nil: what runs now); optional: ready
---  (function(project, stage): is it known what runs? look_now tells that it has become so), random, wall (os.time),
---  in_flight
---@return docker_watcher.poller
function poller.new(world)
  local self = setmetatable({
    registry = world.registry,
    loop = world.loop,
    log = world.log,
    parse_reference = world.parse_reference,
    every = world.poll.every,
    jitter = world.poll.jitter,
    emit = world.emit,
    current = world.current,
    ready = world.ready or function() return true end,
    random = world.random or math.random,
    wall = world.wall or os.time,
    in_flight = world.in_flight or IN_FLIGHT,
    hosts = {},        -- domain → slots and troubles
    repositories = {}, -- "domain/path" → repository
    order = {},        -- the repositories in the order of the configuration
    tasks = {},
    said = {},         -- "project/stage" → what was last logged about it
  }, meta)
  group(self, world.stages)
  return self
end

--- Logs a change in what there is to say about a repository or stage, once.
local function say(self, key, level, message, fields)
  local text = fields.error or fields.reason or ""
  if self.said[key] == message .. text then return end
  self.said[key] = message .. text
  self.log[level](self.log, message, fields)
end

-- ── troubles of a registry ─────────────────────────────────────────────────────────────────────────────────────────

--- Notes a temporary failure; of several at once only the first counts.
local function back_off(self, host, err)
  local now = self.loop.now()
  if now < host.not_before then return end
  host.failures = host.failures + 1
  local delay = math.min(LAST, FIRST * 2 ^ math.min(host.failures - 1, 20))
  delay = delay * (1 - self.random() / 2)
  if err.retry_after then delay = math.max(delay, math.min(err.retry_after, LAST)) end
  host.not_before = now + delay
end

--- Waits until the registry may be asked again; nil, err when cancelled.
local function wait_for_host(self, host)
  while true do
    local left = host.not_before - self.loop.now()
    if left <= 0 then return true end
    local ok, err = self.loop.sleep(left)
    if not ok then return nil, err end
  end
end

-- ── one look ───────────────────────────────────────────────────────────────────────────────────────────────────────

--- The stages of which it is known what runs. For the others no tag is chosen: without the running one a policy could
-- not see that it goes backwards.
local function ready_stages(self, repository)
  local list = {}
  for _, stage in ipairs(repository.stages) do
    if self.ready(stage.project, stage.stage) then list[#list + 1] = stage end
  end
  return list
end

--- Asks a stage's tag policy, guarded. Answers the tag and the reason; nil and the reason where there is none.
local function choose(self, stage, tags)
  local copy = table.move(tags, 1, #tags, 1, {})
  local state = { current = self.current(stage.project, stage.stage) }
  local ok, tag, reason = xpcall(stage.tags.choose, debug.traceback, copy, state)
  if not ok then return nil, ("the tag policy failed: %s"):format(tostring(tag)), true end
  if tag == nil then return nil, reason ~= nil and tostring(reason) or "the tag policy chose none" end
  for _, known in ipairs(tags) do
    if known == tag then return tag, reason ~= nil and tostring(reason) or "chosen by the tag policy" end
  end
  return nil, ("the tag policy chose '%s', which the registry does not list"):format(tostring(tag)), true
end

--- Lists and resolves, with a turn at the registry in hand. Answers candidates; nil, err.
local function ask(self, repository)
  local tags, err = self.registry:tags(repository.image)
  if not tags then return nil, err end
  repository.tags = #tags
  local candidates, digests = {}, {}
  for _, stage in ipairs(ready_stages(self, repository)) do
    local key = stage.project .. "/" .. stage.stage
    local tag, reason, wrong = choose(self, stage, tags)
    if tag and not digests[tag] then
      local manifest
      manifest, err = self.registry:head(repository.image, tag)
      if manifest then
        digests[tag] = manifest.digest
      elseif TEMPORARY[err.kind] or err.kind == "cancelled" then
        return nil, err
      else -- a matter of this tag; the other stages' may be well
        tag, reason, wrong = nil, tostring(err), true
      end
    end
    if tag then
      candidates[#candidates + 1] = {
        project = stage.project, stage = stage.stage, image = stage.image, tag = tag, digest = digests[tag],
        seen_at = self.wall(), reason = reason,
      }
    else
      say(self, key, wrong and "error" or "info", "no tag to run", {
        project = stage.project, stage = stage.stage, image = stage.image, reason = reason,
      })
    end
  end
  return candidates
end

--- One look at a repository. Answers true, or nil, err.
local function look(self, repository)
  local host = repository.host
  local candidates, err
  do
    local turn <close>, cancelled = host.slots:acquire()
    if not turn then return nil, cancelled end
    local ok
    ok, err = wait_for_host(self, host)
    if not ok then return nil, err end
    candidates, err = ask(self, repository)
  end
  if not candidates then
    if err.kind == "cancelled" then return nil, err end
    if TEMPORARY[err.kind] then back_off(self, host, err) end
    repository.problem = tostring(err)
    say(self, repository.name, "warn", "registry: the look failed", {
      image = repository.image, error = tostring(err), kind = err.kind,
    })
    return nil, err
  end
  host.failures, host.not_before = 0, 0
  if repository.problem then
    self.log:info("registry: answers again", { image = repository.image })
    repository.problem, self.said[repository.name] = nil, nil
  end
  repository.looked_at = self.wall()
  for _, candidate in ipairs(candidates) do
    self.said[candidate.project .. "/" .. candidate.stage] = nil
    self.emit(candidate)
  end
  return true
end

--- Seconds until the next look.
local function pause(self, repository, first, err)
  if err and TEMPORARY[err.kind] then
    return math.max(0, repository.host.not_before - self.loop.now()) + self.random() * FIRST
  end
  if first then return self.every * self.random() end -- the phase: from here on looks are spread
  return self.every * (1 + self.jitter * (2 * self.random() - 1))
end

-- ── life ───────────────────────────────────────────────────────────────────────────────────────────────────────────

--- Starts a task for each repository. The first look is at once, as far as the registries' slots let it.
function methods:start()
  for i, repository in ipairs(self.order) do
    self.tasks[i] = self.loop.spawn(function()
      local first = true
      while #ready_stages(self, repository) == 0 do
        local _, cancelled = repository.latch:wait()
        if cancelled then return end
      end
      while true do
        local _, err = look(self, repository)
        if err and err.kind == "cancelled" then return end
        local _, cancelled = repository.latch:wait(pause(self, repository, first, err))
        if cancelled then return end
        first = false
      end
    end)
  end
end

--- Ends all looks, also those under way.
function methods:stop()
  for _, task in ipairs(self.tasks) do task:cancel() end
end

--- Asks for a look now at all repositories of this image; several requests before it begins are one.
---@param image string
---@return boolean known
function methods:look_now(image)
  local reference = self.parse_reference(image)
  local repository = reference and self.repositories[reference.domain .. "/" .. reference.path]
  if not repository then return false end
  repository.latch:set()
  return true
end

--- What it knows, as plain data: { { image =, looked_at =, tags =, problem =, wait = seconds | nil }, … }.
function methods:status()
  local list, now = {}, self.loop.now()
  for i, repository in ipairs(self.order) do
    local left = repository.host.not_before - now
    list[i] = {
      image = repository.image, looked_at = repository.looked_at, tags = repository.tags,
      problem = repository.problem, wait = left > 0 and left or nil,
    }
  end
  return list
end

return poller
