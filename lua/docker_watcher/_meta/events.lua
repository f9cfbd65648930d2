--- What happens in the Engine, and what it uses: events, stats, disk space.
---@meta _

---@class docker_watcher.Client
local Client = {}

--- @section Events and figures

--- What happens in the Engine, as a stream that reconnects by itself.
---
---     for event in client:events { filters = { type = "container" } } do print(event.action, event.id) end
---
--- After a lost connection, or an Engine's restart, it goes on from the last event, and none is delivered twice. Where
--- some may have been lost (the Engine keeps 256), an item { type = "gap" } comes first: look at the Engine anew then.
--- There is no default timeout.
---@param options? docker_watcher.EventsOptions
---@return docker_watcher.EventStream? stream  of docker_watcher.Event
---@return docker_watcher.error? err
function Client:events(options) end

---@class docker_watcher.EventsOptions: docker_watcher.StreamOptions
---@field since? number  seconds since 1970: what the Engine remembers from then on comes first
---@field until_? number  seconds since 1970: the stream ends there
---@field filters? table<string, string|string[]>  { type = "container", event = { "start", "die" }, label = "a=b" }
---@field reconnect? boolean  true; false: it ends with its connection, as interrupted

---@class docker_watcher.Event
---@field type string  "container", "image", "network", "volume", …; "gap" where events may have been lost
---@field action string  "start", "die", "health_status: healthy", …
---@field id string
---@field attributes table<string, string>  labels, and "name", "image", "exitCode", …
---@field scope? string
---@field time number  seconds since 1970
---@field time_nano integer  nanoseconds since 1970
---@field since? number  of a gap: the time of the last event before it
---@field cause? docker_watcher.error  of a gap: why the connection was lost
---@field raw table  what the Engine said

--- A stream of events. A for loop closes it at its end and raises what read() would return as err; `<close>` and the
--- collector close it too.
---@class docker_watcher.EventStream
---@overload fun(): any
local EventStream = {}

--- The next event; waits for it, over reconnections too.
---@return docker_watcher.Event? event  nil at the end (of `until_`), and nil with err
---@return docker_watcher.error? err  cancelled, timeout, and what no reconnection mends
function EventStream:read() end

--- Closes it. Harmless when repeated.
function EventStream:close() end

--- What a container uses.
---
---     for s in client:stats("web") do print(s.cpu_percent, s.memory) end
---
---@param id any
---@param options? docker_watcher.StatsOptions
---@return docker_watcher.StatsStream|docker_watcher.Stats? stats  a stream of one a second; with stream = false or
---  one_shot the record itself
---@return docker_watcher.error? err  not_found
function Client:stats(id, options) end

---@class docker_watcher.StatsOptions: docker_watcher.StreamOptions
---@field stream? boolean  true; false: one record, which takes the Engine a second or two
---@field one_shot? boolean  one record at once, without cpu_percent

---@class docker_watcher.Stats
---@field id? string
---@field name? string
---@field read string  RFC 3339, when
---@field cpu_percent? number  of one processor: 200 is two; nil in a stream's first record
---@field memory integer  bytes, without what the kernel could give back
---@field memory_limit? integer  bytes
---@field memory_percent? number  of the limit
---@field pids? integer  processes and threads
---@field network_received integer  bytes, of all interfaces
---@field network_sent integer  bytes
---@field block_read integer  bytes, of all devices
---@field block_written integer  bytes
---@field raw table  what the Engine said

--- A stream of records. A for loop closes it at its end and raises what read() would return as err.
---@class docker_watcher.StatsStream
---@overload fun(): any
local StatsStream = {}

--- The next record.
---@return docker_watcher.Stats? stats  nil at the end (the container was removed), and nil with err
---@return docker_watcher.error? err
function StatsStream:read() end

--- Closes it. Harmless when repeated.
function StatsStream:close() end

--- What takes space on the Engine's disk.
---@param options? docker_watcher.CallOptions
---@return docker_watcher.DiskUsage? usage
---@return docker_watcher.error? err
function Client:system_df(options) end

---@class docker_watcher.DiskUsage
---@field images { count: integer, active: integer, size: integer, reclaimable: integer }  sizes in bytes
---@field containers { count: integer, active: integer, size: integer, reclaimable: integer }
---@field volumes { count: integer, active: integer, size: integer, reclaimable: integer }
---@field build_cache { count: integer, active: integer, size: integer, reclaimable: integer }
---@field raw table  what the Engine said

--- @section Prunes

--- Removes containers that have ended, or were never started.
---@param options? docker_watcher.PruneOptions
---@return docker_watcher.Pruned? pruned
---@return docker_watcher.error? err  conflict (another prune is running)
function Client:prune_containers(options) end

---@class docker_watcher.PruneOptions: docker_watcher.CallOptions
---@field labels? table<string, string|true>  only what has these
---@field until_? number|string  only what was made before: seconds since 1970, or "24h"

---@class docker_watcher.Pruned
---@field deleted string[]  ids or names
---@field space_reclaimed integer  bytes
---@field raw table  what the Engine said

--- Removes images that no tag names and no container uses; with dangling = false all that no container uses.
---@param options? docker_watcher.PruneImagesOptions
---@return docker_watcher.Pruned? pruned
---@return docker_watcher.error? err
function Client:prune_images(options) end

---@class docker_watcher.PruneImagesOptions: docker_watcher.PruneOptions
---@field dangling? boolean  true

--- Removes networks that no container is on.
---@param options? docker_watcher.PruneOptions
---@return docker_watcher.Pruned? pruned
---@return docker_watcher.error? err
function Client:prune_networks(options) end

--- Removes anonymous volumes that no container uses.
---@param options? docker_watcher.PruneVolumesOptions
---@return docker_watcher.Pruned? pruned
---@return docker_watcher.error? err
function Client:prune_volumes(options) end

---@class docker_watcher.PruneVolumesOptions: docker_watcher.PruneOptions
---@field all? boolean  named ones too; before API 1.42 they always go

--- Removes what the builder kept.
---@param options? docker_watcher.PruneBuildOptions
---@return docker_watcher.Pruned? pruned
---@return docker_watcher.error? err
function Client:prune_build_cache(options) end

---@class docker_watcher.PruneBuildOptions: docker_watcher.PruneOptions
---@field all? boolean  also what could still be used
---@field keep_storage? integer  bytes that may stay
