--- system_df and the prunes: what takes space in the Engine, and what of it nobody uses.
---
--- A prune removes only what the Engine itself calls unused, and tells what it removed. There is no prune of
--- everything: each kind of thing is its own decision.
local core = require "docker_watcher.core"

local prune = {}

local function limits(options)
  return { timeout = options.timeout, ctx = options.ctx }
end

-- system_df ---------------------------------------------------------------------------------------------------------

--- Totals of the lists of API versions up to 1.51, as `docker system df` makes them.
local function from_lists(reply)
  local function total(list, size, is_active)
    local result = { count = 0, active = 0, size = 0, reclaimable = 0 }
    for _, item in ipairs(type(list) == "table" and list or {}) do
      local bytes = math.max(size(item) or 0, 0) -- -1: not known
      result.count = result.count + 1
      result.size = result.size + bytes
      if is_active(item) then result.active = result.active + 1 else result.reclaimable = result.reclaimable + bytes end
    end
    return result
  end
  local busy <const> = { running = true, paused = true, restarting = true }
  local images = total(reply.Images, function(i) return i.Size - math.max(i.SharedSize or 0, 0) end,
    function(i) return (i.Containers or 0) > 0 end)
  if reply.LayersSize then -- layers that images share count once
    images.reclaimable = math.min(images.reclaimable, reply.LayersSize)
    images.size = reply.LayersSize
  end
  return {
    images = images,
    containers = total(reply.Containers, function(c) return c.SizeRw end, function(c) return busy[c.State] end),
    volumes = total(reply.Volumes, function(v) return (v.UsageData or {}).Size end,
      function(v) return ((v.UsageData or {}).RefCount or 0) > 0 end),
    build_cache = total(reply.BuildCache, function(b) return b.Shared and 0 or b.Size end,
      function(b) return b.InUse end),
  }
end

--- API 1.52 and later: the totals are the Engine's.
local function from_usage(usage)
  usage = usage or {}
  return { count = usage.TotalCount or 0, active = usage.ActiveCount or 0, size = usage.TotalSize or 0,
    reclaimable = usage.Reclaimable or 0 }
end

--- Either reply in the shape of the contract. Pure.
---@param reply table
---@return table
function prune.shape_usage(reply)
  local usage
  if reply.ImageUsage or reply.ContainerUsage or reply.VolumeUsage or reply.BuildCacheUsage then
    usage = {
      images = from_usage(reply.ImageUsage), containers = from_usage(reply.ContainerUsage),
      volumes = from_usage(reply.VolumeUsage), build_cache = from_usage(reply.BuildCacheUsage),
    }
  else
    usage = from_lists(reply)
  end
  usage.raw = reply
  return usage
end

function prune.system_df(client, options)
  options = core.check_options("system_df", options, {}, 1)
  local reply, err = core.invoke(client, "system_df", nil, "SystemDataUsage", {}, limits(options))
  if not reply then return nil, err end
  return prune.shape_usage(reply)
end

-- prunes ------------------------------------------------------------------------------------------------------------

--- labels = { k = v|true } and until_ → the Engine's filters.
local function filters_of(op, options)
  local filters
  local function add(name, value)
    filters = filters or {}
    filters[name] = filters[name] or {}
    table.insert(filters[name], value)
  end
  for key, value in pairs(options.labels or {}) do
    if type(key) ~= "string" or key == "" or key:find("=", 1, true) or type(value) ~= "string" and value ~= true then
      core.misuse(("%s: option 'labels': { name = \"value\"|true } expected, at %s"):format(op, tostring(key)))
    end
    add("label", value == true and key or key .. "=" .. value)
  end
  if options.until_ then add("until", tostring(options.until_)) end
  if options.dangling ~= nil then add("dangling", tostring(options.dangling)) end
  return filters, add
end

--- One kind of prune: the operation, where the reply has the names, and its options beside labels and until_.
local function pruner(op, operation, field, known, more)
  known.labels, known.until_ = "table", "number_or_string"
  return function(client, options)
    options = core.check_options(op, options, known, 1)
    local params = {}
    params.filters = filters_of(op, options)
    if more then more(params, options, client) end
    local reply, err = core.invoke(client, op, nil, operation, params, limits(options))
    if not reply then return nil, err end
    local deleted = {}
    for _, item in ipairs(type(reply[field]) == "table" and reply[field] or {}) do
      deleted[#deleted + 1] = type(item) == "table" and (item.Deleted or item.Untagged) or item
    end
    return { deleted = deleted, space_reclaimed = reply.SpaceReclaimed or 0, raw = reply }
  end
end

prune.prune_containers = pruner("prune_containers", "ContainerPrune", "ContainersDeleted", {})
prune.prune_images = pruner("prune_images", "ImagePrune", "ImagesDeleted", { dangling = "boolean" })
prune.prune_networks = pruner("prune_networks", "NetworkPrune", "NetworksDeleted", {})
prune.prune_volumes = pruner("prune_volumes", "VolumePrune", "VolumesDeleted", { all = "boolean" },
  function(params, options)
    if not options.all then return end
    params.filters = params.filters or {}
    params.filters.all = { "true" } -- API 1.42 and later; before, all is what it does
  end)
prune.prune_build_cache = pruner("prune_build_cache", "BuildPrune", "CachesDeleted", { all = "boolean",
  keep_storage = "integer" }, function(params, options)
  params.all = options.all
  params["keep-storage"] = options.keep_storage
end)

return prune
