--- docker_watcher.docker: the Docker client for Lua.
---
---     local docker = require "docker_watcher.docker"
---     local client <close> = assert(docker.connect {})
---     for _, c in ipairs(assert(client:list_containers { all = true })) do print(c.name, c.state) end
---
--- Misuse (a wrong type, an unknown option, an empty id) raises at the caller's line and names the argument. The
--- world failing gives nil and err, a docker_watcher.error. Times are seconds, sizes bytes. Every operation takes
--- `timeout` and `ctx`, blocks in plain Lua, and yields inside a task of docker_watcher.loop.
---@meta _

--- What `require "docker_watcher.docker"` gives.
---@class docker_watcher.docker
---@field null userdata  JSON's null inside arrays that are sent or received
local docker = {}

--- Makes a client of one Engine.
---
--- Nothing is asked of the Engine yet. The client is closed by close(), a `<close>` variable, or the collector.
---@param options? docker_watcher.ConnectOptions
---@return docker_watcher.Client? client
---@return docker_watcher.error? err  the place found outside the program (DOCKER_HOST, a context) cannot be used:
---  invalid, not_found, forbidden
function docker.connect(options) end

---@class docker_watcher.ConnectOptions
--- "unix:///path", "tcp://host:port", "https://host:port", or "ssh://user@host:port": by the system's ssh with all of
--- its configuration, which has to log in without a question; Docker's client has to be installed over there
---@field host? string
--- a context of the docker command, by its name. With neither host nor context it is as the docker command does it:
--- DOCKER_HOST, else DOCKER_CONTEXT, else currentContext in config.json, else unix:///var/run/docker.sock
---@field context? string
--- else a context's own, or for a tcp:// host that no context names those in DOCKER_CERT_PATH, if DOCKER_TLS_VERIFY
--- or DOCKER_TLS is set
---@field tls? docker_watcher.TlsOptions
---@field config_dir? string  where config.json and contexts are: else DOCKER_CONFIG, else ~/.docker
---@field api_version? string  "1.44" pins the version, as DOCKER_API_VERSION does; else it is negotiated
---@field timeout? number  seconds, for calls that give none themselves: 60. Pulls, waits and streams have none
---@field connect_timeout? number  seconds: 10
---@field helper_timeout? number  seconds for each run of a credential helper: 30
--- is called with what each request did, once it has ended, a stream's when it has ended or is closed. It cannot yield;
--- what it raises is a warning (`warn`) and changes nothing
---@field trace? fun(event: docker_watcher.TraceEvent)

---@class docker_watcher.TraceEvent
---@field method string
---@field path string  with the query; "…" where there may be a secret
---@field status? integer  HTTP's; nil where no reply came
---@field seconds number  from its start to its end
---@field bytes integer  of the reply's body
---@field sent integer  of the request's body
---@field retry integer  times that it had to be sent again: its connection was dead, or the API version refused
---@field op string  what was called: "inspect_image"
---@field error? docker_watcher.kind  how it failed

---@class docker_watcher.TlsOptions
---@field ca? string  file of the CAs that the server's certificate is checked against; else the system's
---@field cert? string  file of the client's certificate
---@field key? string  file of its key
---@field verify? boolean  false: the server's certificate is not checked; true

--- Options that every operation takes.
---@class docker_watcher.CallOptions
---@field timeout? number  seconds for all of it (for streams: their whole life); err has kind "timeout" then
---@field ctx? docker_watcher.Context  cancels it, or bounds it in time, together with others

--- Options that every operation takes whose result is a stream.
---@class docker_watcher.StreamOptions: docker_watcher.CallOptions
---@field first_byte_timeout? number  seconds until the reply begins, behind an upload: from its end. By default, where
---  the Engine answers at once (logs, events, stats, archives of a container, attach, exec), the client's `timeout`
---@field idle_timeout? number  seconds between two pieces of it, while it is read; of an upload, between two steps

--- Makes a handle that cancels calls, or bounds them in time, together: pass it as the option `ctx`.
---@param options? docker_watcher.ContextOptions
---@return docker_watcher.Context
function docker.context(options) end

---@class docker_watcher.ContextOptions
---@field timeout? number  seconds from now
---@field parent? docker_watcher.Context  it ends with this one

--- The name that a managed container has at rest: "dw-{project}-{stage}-{tag-sanitized}".
---
--- Two tags never share a name: where anything was changed or cut, a part of the tag's SHA-256 follows. Raises where
--- project or stage do not match `^[a-z0-9][a-z0-9_-]*$`.
---@param project string
---@param stage string
---@param tag string
---@return string
function docker.container_name(project, stage, tag) end

--- Takes an image reference apart, as the docker command does.
---@param reference string  "ubuntu", "ghcr.io/acme/web:1.4", "web@sha256:…"
---@return docker_watcher.Reference? reference
---@return docker_watcher.error? err  invalid: it is none
function docker.parse_reference(reference) end

---@class docker_watcher.Reference
---@field domain string  "docker.io"
---@field path string  "library/ubuntu"
---@field familiar string  as people write it: "ubuntu"
---@field tag? string
---@field digest? string  "sha256:…"

--- Marks a table, or makes an empty one, that is sent as a JSON array even when it is empty.
---@param t? table
---@return table t
function docker.array(t) end

--- Cancels calls, or bounds them in time, together: made by docker.context, given to calls as their option `ctx`.
---@class docker_watcher.Context
local Context = {}

--- Ends all calls that it was given to, and all that it will be given to, with kind "cancelled"; its children too.
---@param reason? string  told by the errors
function Context:cancel(reason) end

--- Tells whether it was cancelled or its time is over.
---@return boolean done
---@return string? reason  the one given to cancel, "cancelled", or "timeout"
function Context:done() end
