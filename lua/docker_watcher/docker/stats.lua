--- client:stats: what a container uses, with the figures that `docker stats` shows worked out of the Engine's counters.
local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"

local stats = {}

local function sum(list, field)
  local total = 0
  for _, entry in pairs(type(list) == "table" and list or {}) do total = total + (entry[field] or 0) end
  return total
end

--- Percent of one processor, so 200 for two that are busy; nil in the first record, which has nothing to compare with.
local function cpu_percent(raw)
  local now, before = raw.cpu_stats or {}, raw.precpu_stats or {}
  if not now.system_cpu_usage or not before.system_cpu_usage then return nil end
  local system = now.system_cpu_usage - before.system_cpu_usage
  local used = (now.cpu_usage or {}).total_usage - ((before.cpu_usage or {}).total_usage or 0)
  local cpus = now.online_cpus or #((now.cpu_usage or {}).percpu_usage or {})
  if system <= 0 or used < 0 then return 0.0 end
  return used / system * (cpus > 0 and cpus or 1) * 100
end

--- Without the cache that the kernel would give back: inactive_file (cgroup 2), total_inactive_file (cgroup 1).
local function memory_used(memory)
  local detail = memory.stats or {}
  local cache = detail.total_inactive_file or detail.inactive_file or 0
  local usage = memory.usage or 0
  return cache < usage and usage - cache or usage
end

--- Bytes read and written, of all devices.
local function block_io(raw)
  local read, written = 0, 0
  for _, entry in ipairs((raw.blkio_stats or {}).io_service_bytes_recursive or {}) do
    local op = tostring(entry.op):lower()
    if op == "read" then read = read + entry.value elseif op == "write" then written = written + entry.value end
  end
  return read, written
end

--- One record of the Engine in the shape of the contract. Pure.
---@param raw table
---@return table
function stats.shape(raw)
  local memory = raw.memory_stats or {}
  local used, limit = memory_used(memory), memory.limit or 0
  local read, written = block_io(raw)
  return {
    id = raw.id, name = raw.name and raw.name:gsub("^/", ""), read = raw.read,
    cpu_percent = cpu_percent(raw), memory = used, memory_limit = limit > 0 and limit or nil,
    memory_percent = limit > 0 and used / limit * 100 or nil, pids = (raw.pids_stats or {}).current,
    network_received = sum(raw.networks, "rx_bytes"), network_sent = sum(raw.networks, "tx_bytes"),
    block_read = read, block_written = written, raw = raw,
  }
end

local stream = {}
local meta = { __index = stream, __name = "docker_watcher.stats" }
stats.methods = stream

function stream:read()
  local raw, err = self.stream:read()
  if raw then return stats.shape(raw) end
  return nil, err
end

function stream:close() self.stream:close() end
meta.__close = stream.close

function meta:__call()
  local item, err = self:read()
  if not item and err then error(err, 0) end
  return item
end

function meta:__tostring() return ("docker stats (%s)"):format(tostring(self.stream)) end

local OPTIONS <const> = { stream = "boolean", one_shot = "boolean", idle_timeout = "seconds",
  first_byte_timeout = "seconds" }

function stats.stats(client, id, options)
  id = core.check_id("stats", "container", id)
  options = core.check_options("stats", options, OPTIONS)
  if options.one_shot and options.stream then
    core.misuse "stats: options 'stream' and 'one_shot': one of them"
  end
  local streams = options.stream ~= false and not options.one_shot
  local items, err = core.invoke(client, "stats", id, "ContainerStats", {
    id = id, stream = streams, ["one-shot"] = options.one_shot,
  }, {
    timeout = options.timeout, ctx = options.ctx, idle_timeout = options.idle_timeout,
    first_byte_timeout = options.first_byte_timeout,
  })
  if not items then return nil, err end
  if streams then
    local self = setmetatable({ stream = items }, meta)
    return self, nil, nil, self
  end
  local open <close> = items
  local raw, failure = open:read()
  if raw then return stats.shape(raw) end
  return nil, failure or errors.new("protocol", ("stats %s: the Engine's reply is empty"):format(id),
    { op = "stats", subject = id })
end

return stats
