--- client:events{}: what happens in the Engine, as a stream that survives lost connections and restarts.
---
--- The Engine keeps its last 256 events and repeats them on request. So after a reconnection we ask for everything
--- since the newest event that we had (and a second before it: events may overtake each other by a hair), drop what
--- was delivered already, and ask whether the newest one is still kept. If it is, nothing was lost; if not (more than
--- 256 events meanwhile, or the Engine was restarted), or if there was none yet, an item of type "gap" says so before
--- anything else: whoever keeps a picture of the Engine should then look at it anew.
local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"
local loop = require "docker_watcher.loop"

local events = {}

--- Events whose keys are remembered: more than the Engine repeats.
local REMEMBERED <const> = 512
local OVERLAP <const> = 1000000000 -- nanoseconds
--- Seconds between attempts to reconnect: doubled from one to the next. Slept in slices, so that a cancelled context
--- ends it soon.
local BACKOFF <const> = { first = 0.1, longest = 5, slice = 0.05 }
--- Failures that another attempt may mend.
local passing <const> = { unreachable = true, interrupted = true, engine = true, stream = true, protocol = true,
  timeout = true, rate_limited = true }

local function nanoseconds(text_or_seconds)
  return math.floor(text_or_seconds * 1e9 + 0.5)
end
--- Unix nanoseconds as the Engine takes them: "1700000000.000000001".
local function engine_time(nano)
  return ("%d.%09d"):format(nano // 1000000000, nano % 1000000000)
end

--- One event in the shape of the contract; nil where it has no time. From API 1.52 on the Engine leaves status, id and
--- from away, so we never read them.
local function shape(raw)
  local actor = type(raw.Actor) == "table" and raw.Actor or {}
  local nano = raw.timeNano
  if math.type(nano) ~= "integer" then
    if math.type(raw.time) ~= "integer" then return nil end
    nano = raw.time * 1000000000
  end
  return {
    type = raw.Type, action = raw.Action, id = actor.ID, attributes = actor.Attributes or {}, scope = raw.scope,
    time = nano / 1e9, time_nano = nano, raw = raw,
  }
end

--- Methods, and apart from them what the metatable has.
local stream = {}
local meta = { __index = stream, __name = "docker_watcher.events" }
events.methods = stream

local function open(self, since, until_)
  return core.invoke(self.client, "events", nil, "SystemEvents", {
    since = since and engine_time(since), ["until"] = until_ and engine_time(until_), filters = self.filters,
  }, { ctx = self.ctx, idle_timeout = self.idle_timeout, first_byte_timeout = self.first_byte_timeout })
end

local function key_of(event)
  return ("%d %s %s %s"):format(event.time_nano, event.type, event.action, event.id)
end

--- Was it delivered already? Remembers it.
local function is_known(self, event)
  local key = key_of(event)
  if self.keys[key] then return true end
  local at = self.next_key
  if self.ring[at] then self.keys[self.ring[at]] = nil end
  self.ring[at], self.keys[key] = key, true
  self.next_key = at % REMEMBERED + 1
  return false
end

--- Is the newest event that we had still among those that the Engine keeps?
local function is_continuous(self)
  if not self.newest then return false end
  local past, err = open(self, self.newest, self.newest)
  if not past then return nil, err end
  local found = false
  local asked <close> = past
  while true do
    local raw, failure = asked:read()
    if not raw then
      if failure then return nil, failure end
      return found
    end
    local event = shape(raw)
    found = found or event and self.keys[key_of(event)] == true
  end
end

local function cancelled(self, cause)
  local _, reason = self.ctx:done()
  local kind = reason == "timeout" and "timeout" or "cancelled"
  return errors.new(kind, "events: " .. (reason or kind), { op = "events", cause = cause })
end

local function was_closed(cause)
  return errors.new("cancelled", "events: the stream was closed", { op = "events", cause = cause })
end

--- true, or nil, err when the context ended first.
local function pause(self, seconds, cause)
  local until_ = loop.now() + seconds
  while not self.closed do
    if self.ctx:done() then return nil, cancelled(self, cause) end
    local left = until_ - loop.now()
    if left <= 0 then return true end
    local slept, err = loop.sleep(math.min(left, BACKOFF.slice))
    if not slept then return nil, err end
  end
  return nil, was_closed(cause)
end

--- Connects again: true and perhaps a gap to deliver, or nil, err.
local function reconnect(self, cause)
  local last = cause
  while true do
    if self.backoff then -- the last connection brought nothing
      local ok, ended = pause(self, self.backoff * (0.75 + math.random() / 2), last)
      if not ok then return nil, ended end
    end
    self.backoff = math.min(2 * (self.backoff or BACKOFF.first / 2), BACKOFF.longest)
    local since = self.newest and self.newest - OVERLAP or self.since
    local connection, err = open(self, since, self.until_)
    if connection then
      local continuous, failure
      self.stream = connection
      if not self.closed then continuous, failure = is_continuous(self) end
      if self.closed then -- by another task, meanwhile
        connection:close()
        return nil, was_closed(cause)
      elseif continuous ~= nil then
        if continuous then return true end
        return true, { type = "gap", since = self.newest and self.newest / 1e9, time_nano = self.newest, cause = cause }
      end
      err = failure
      connection:close()
      self.stream = nil
    end
    if not passing[err.kind] or self.ctx:done() then return nil, err end
    last = err
  end
end

--- The next event, or a gap; nil at the end (only with `until_`); nil, err.
function stream:read()
  if self.closed then core.misuse("events: the stream is closed") end
  while true do
    if self.ended then return nil, self.failure end
    local raw, err = self.stream:read()
    local event = raw and shape(raw)
    if raw and not event then
      err = errors.new("protocol", "events: the Engine sent an event without a time", { op = "events" })
    end
    if event then
      if not is_known(self, event) then
        self.backoff = nil
        self.newest = math.max(self.newest or event.time_nano, event.time_nano)
        return event
      end
    elseif self.until_ and not err then
      self.ended = true
    elseif not self.reconnects or (err and not passing[err.kind]) or self.ctx:done() then
      self.ended = true
      if not err then
        err = self.ctx:done() and cancelled(self)
          or errors.new("interrupted", "events: the Engine ended the stream", { op = "events" })
      end
      self.failure = err
    else
      self.stream:close()
      local ok, gap = reconnect(self, err)
      if not ok then
        self.ended, self.failure = true, gap
      elseif gap then
        return gap
      end
    end
  end
end

--- Harmless when repeated.
function stream:close()
  self.closed = true
  if self.stream then self.stream:close() end
end
meta.__close, meta.__gc = stream.close, stream.close

function meta:__tostring()
  return ("docker events (%s)"):format(self.closed and "closed" or self.ended and "ended" or "open")
end

--- For a for loop: a failure is raised, since the loop would take nil for the end.
function meta:__call()
  local event, err = self:read()
  if not event and err then error(err, 0) end
  return event
end

local known = { since = "number", until_ = "number", filters = "table", reconnect = "boolean",
  idle_timeout = "seconds", first_byte_timeout = "seconds" }

function events.events(client, options)
  options = core.check_options("events", options, known, 1)
  local filters
  for name, value in pairs(options.filters or {}) do
    if type(name) ~= "string" or type(value) ~= "string" and type(value) ~= "table" then
      core.misuse("events: option 'filters': { name = \"value\" } or { name = { \"value\", … } } expected")
    end
    filters = filters or {}
    filters[name] = type(value) == "string" and { value } or value
  end
  local self = setmetatable({
    client = client, filters = filters, since = options.since and nanoseconds(options.since),
    until_ = options.until_ and nanoseconds(options.until_),
    ctx = core.context { timeout = options.timeout, parent = options.ctx }, reconnects = options.reconnect ~= false,
    idle_timeout = options.idle_timeout, first_byte_timeout = options.first_byte_timeout,
    keys = {}, ring = {}, next_key = 1,
    backoff = nil, -- seconds before the next attempt to reconnect; nil: the connection has brought something
  }, meta)
  local err
  self.stream, err = open(self, self.since, self.until_)
  if not self.stream then return nil, err end
  return self, nil, nil, self
end

return events
