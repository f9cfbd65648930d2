--- The client: one Engine, over connections that are kept and used again.
---@meta _

--- A client of one Engine, made by docker.connect.
---
--- A container, image or network is named by a string (its name, its id, or the beginning of that), or by any table
--- with a field `id`: what create_…, list_… and inspect_… gave. Results of inspect_… and list_… are records: plain
--- tables whose field `raw` holds all that the Engine said, under its own names, made when it is first read (pairs()
--- reads it, next() does not).
---
--- Besides the kinds of errors that an entry names, every operation may fail with `timeout`, `cancelled`,
--- `unreachable` (nobody answers there), `interrupted` (the connection ended in the middle), `protocol` (no Docker
--- Engine's answer), `too_large` (over one of our limits, which the message names), `version` (the Engine's API
--- lacks it), `invalid` (the Engine refused what it was asked) and `engine` (it failed inside).
---@class docker_watcher.Client
local Client = {}

--- @section Engine

--- Asks whether the Engine answers, and which newest API version it speaks.
---@param options? docker_watcher.CallOptions
---@return { api_version: string, os: string, builder_version: string? }? pong
---@return docker_watcher.error? err
function Client:ping(options) end

--- The Engine's versions.
---@param options? docker_watcher.CallOptions
---@return docker_watcher.Version? version
---@return docker_watcher.error? err
function Client:version(options) end

---@class docker_watcher.Version
---@field version string  of the Engine: "29.1.0"
---@field api_version string  the newest: "1.52"
---@field min_api_version string
---@field os string
---@field architecture string
---@field kernel_version string
---@field git_commit string
---@field go_version string
---@field build_time string
---@field raw table

--- The Engine's host, storage and counts.
---@param options? docker_watcher.CallOptions
---@return docker_watcher.Info? info
---@return docker_watcher.error? err
function Client:info(options) end

---@class docker_watcher.Info
---@field id string
---@field name string  of the host
---@field server_version string
---@field os string
---@field architecture string
---@field operating_system string
---@field kernel_version string
---@field driver string  of storage: "overlay2"
---@field root_dir string
---@field cpus integer
---@field memory integer  bytes
---@field containers integer
---@field containers_running integer
---@field containers_paused integer
---@field containers_stopped integer
---@field images integer
---@field live_restore boolean
---@field raw table

--- Any operation of the Engine, by the specification's operationId.
---
---     client:call("ContainerTop", { id = "web", ps_args = "aux" })
---
--- Names of parameters and fields are the Engine's, untouched. BuildKit's session (Session) and websockets
--- (ContainerAttachWebsocket) raise, and say what to use instead.
---@param operation_id string  "ContainerTop"; an unknown one raises and suggests the nearest
---@param params? table  path, query and header parameters by their names there; `body`: a table, or where the
---  operation takes bytes a string, a function that gives the next piece (nil at the end, or nil and an error), or an
---  object with read()
---@param options? docker_watcher.InvokeOptions
---@return any result  the reply's JSON as tables; true where it is empty; a docker_watcher.Stream of tables, of
---  bytes, or of chunk and "stdout" or "stderr", where the Engine sends one
---@return docker_watcher.error? err
function Client:call(operation_id, params, options) end

---@class docker_watcher.InvokeOptions: docker_watcher.StreamOptions
---@field auth? docker_watcher.Auth  where the operation takes X-Registry-Auth
---@field tty? boolean  logs, attach and exec: there is a TTY, so the bytes are not framed. From API 1.42 on the
---  Engine's Content-Type says so itself
---@field stdin? string|(fun(): string?, any)|{ read: function }  attach and exec: is written while the stream is read;
---  then our side of it is closed

--- The number of connections that are open now, idle ones too.
---@return integer
function Client:connections() end

--- Closes all connections; calls of other tasks end with kind "cancelled". Harmless when repeated.
function Client:close() end
