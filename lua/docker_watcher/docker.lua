--- docker_watcher.docker: the Docker client for Lua.
---
---     local docker = require "docker_watcher.docker"
---     local client <close> = assert(docker.connect{})
---     for _, c in ipairs(assert(client:list_containers{ all = true })) do print(c.name, c.state) end
---
--- Misuse (a wrong type, an unknown option, an empty id) raises at the caller's line. The world failing gives nil and
--- err, a docker_watcher.Error: kind, message, op, subject, status, cause. Times are seconds. Every operation takes
--- `timeout` (seconds, becomes a deadline) and `ctx` as options, blocks in plain Lua, and yields inside a task of
--- docker_watcher.loop.
---
--- Results of inspect_… and list_… are records: plain tables whose field `raw` holds all that the Engine said,
--- under its own names, made when it is first read (pairs() reads it; next() does not).
---
--- The functions are the C core's: src/client.c, images.c, pull.c, containers.c, container_*.c, networks.c, stream.c.
local core = require "docker_watcher.core"

--- Methods of the client that are written in Lua, over client:call: the file in docker/ that has them, read at the
--- first call.
local written_in_lua = {
  pull_image = "pull",
}
for name, file in pairs(written_in_lua) do
  core.client_methods[name] = function(...)
    local method = require("docker_watcher.docker." .. file)[name]
    core.client_methods[name] = method
    return method(...)
  end
end

--- @class docker_watcher.Context
--- @field cancel fun(self, reason: string?) ends all calls that it was given to, with kind "cancelled"
--- @field done fun(self): boolean, string? whether it was cancelled or its time is over, and why

--- @class docker_watcher.Stream the log of a container: for chunk, stream in client:logs(id) do … end
--- @field read fun(self): string|nil, "stdout"|"stderr"|docker_watcher.Error|nil  a chunk; nil at the end; nil, err
--- @field close fun(self) also by <close>, the collector, and the end of a for loop (which raises what read returns)

--- @class docker_watcher.Container  what inspect_container gives
--- @field id string
--- @field name string without "/"
--- @field image string as it was named at create
--- @field image_id string
--- @field state "created"|"running"|"paused"|"restarting"|"removing"|"exited"|"dead"
--- @field health "starting"|"healthy"|"unhealthy"|nil  while it runs and has a health check
--- @field exit_code integer
--- @field error string?  why it could not be started
--- @field created string RFC 3339; so are started_at and finished_at, which may be nil
--- @field restart_count integer
--- @field labels table<string, string>
--- @field env table<string, string>
--- @field ports table<string, { host_ip: string, host_port: integer }[]>  by "8080/tcp"
--- @field networks table<string, { id: string, ip: string?, gateway: string?, aliases: string[], mac: string? }>
--- @field raw table

--- @class docker_watcher.Client
--- The Engine:
--- @field ping fun(self, options: table?): { api_version: string, os: string, builder_version: string? }|nil, any
--- @field version fun(self, options: table?): table|nil, any
---   version, api_version, min_api_version, os, architecture, kernel_version, …
--- @field info fun(self, options: table?): table|nil, any
---   id, name, server_version, driver, cpus, memory, containers, …
--- @field call fun(self, operation_id: string, params: table?, options: table?): any, any
---   any operation with a JSON or empty reply, by the specification's operationId; path and query parameters by their
---   names there, `body` a table; `auth` among the options. Gives the reply as tables, text, or true.
--- @field connections fun(self): integer  connections open now
--- @field close fun(self)  also by <close> and the collector; calls of other tasks end with kind "cancelled"
--- Images:
--- @field pull_image fun(self, image: string, tag: string?, options: table?): table|nil, any
---   { id=, digest=, status="downloaded"|"up_to_date" }. Options: platform = "os/arch", on_progress = function(event)
---   with id, status, current, total; auth = { username=, password= } or { identitytoken= }, false for none. Without
---   auth the docker command's own credentials are used: config.json, credential helpers, DOCKER_AUTH_CONFIG.
--- @field inspect_image fun(self, image: any, options: table?): table|nil, any
---   id, tags, digests, ports = { { port=, protocol= }, … }, healthcheck = { test=, interval=, timeout=, start_period=,
---   retries= } or nil, labels, env, cmd, entrypoint, user, working_dir, volumes, os, architecture, size, created, raw
--- @field list_images fun(self, options: table?): table[]|nil, any  Options: all, labels, reference, dangling
--- @field tag_image fun(self, image: any, target: string, options: table?): true|nil, any
--- @field remove_image fun(self, image: any, options: { force: boolean?, no_prune: boolean? }?): table|nil, any
--- Containers:
--- @field create_container fun(self, options: table): { id: string, name: string, warnings: string[] }|nil, any
---   Options: image, name, project, stage, tag, digest, instance_id, env = {K=V}|{"K=V"}, labels, ports = "exposed" or
---   { ["8080/tcp"] = true|18080|{ host_ip=, host_port= } }, network, aliases, cmd, entrypoint, user, working_dir,
---   mounts, restart, healthcheck, memory, cpus, stop_timeout, init, read_only and more (src/container_body.c lists
---   them), raw = what the Engine takes and we have no name for.
--- @field start_container fun(self, id: any, options: table?): true|nil, any  true also where it runs already
--- @field stop_container fun(self, id: any, options: { stop_timeout: integer?, signal: string? }?): true|nil, any
--- @field restart_container fun(self, id: any, options: { stop_timeout: integer? }?): true|nil, any
--- @field remove_container fun(self, id: any, options: { force: boolean?, volumes: boolean? }?): true|nil, any
--- @field list_containers fun(self, options: table?): table[]|nil, any
---   Options: all, labels = {k=v|true}, status, name, managed = true, project, stage. Rows: id, name, image, image_id,
---   state, status, labels, ports, created, raw
--- @field inspect_container fun(self, id: any, options: table?): docker_watcher.Container|nil, any
--- @field wait_container fun(self, id: any, options: { condition: string? }?): { exit_code: integer }|nil, any
--- @field wait_healthy fun(self, id: any, options: table?): true|nil, any
---   The error has health, state, exit_code, probe (its last output) and log (the last lines).
--- @field logs fun(self, id: any, options: table?): docker_watcher.Stream|nil, any
---   Options: follow, stdout, stderr, tail, since, until_, timestamps
--- Networks:
--- @field ensure_network fun(self, name: string, options: table?): table|nil, any  id, name, created
--- @field connect_network fun(self, network: any, container: any, options: table?): true|nil, any
--- @field disconnect_network fun(self, network: any, container: any, options: table?): true|nil, any

--- @class docker_watcher.ConnectOptions
--- @field host string?  "unix:///path", "tcp://host:port", or "ssh://user@host:port": by the system's ssh with all of
---   its configuration, which has to log in without a question; Docker's client has to be installed over there
--- @field context string?  a context of the docker command, by its name. With neither host nor context it is as the
---   docker command does it: DOCKER_HOST, else DOCKER_CONTEXT, else currentContext in config.json, else
---   unix:///var/run/docker.sock
--- @field tls { ca: string?, cert: string?, key: string?, verify: boolean? }?  files. Else a context's own, or for a
---   tcp:// host that no context names those in DOCKER_CERT_PATH, if DOCKER_TLS_VERIFY or DOCKER_TLS is set
--- @field config_dir string?  where config.json and contexts are: else DOCKER_CONFIG, else ~/.docker
--- @field api_version string?  "1.44" pins the version, as DOCKER_API_VERSION does; else it is negotiated
--- @field timeout number?  seconds, for calls that give none themselves: 60; pull, wait and logs have none
--- @field connect_timeout number?  seconds: 10
--- @field helper_timeout number?  seconds for each run of a credential helper: 30

local CONNECT = {
  host = "string", context = "string", tls = "table", config_dir = "string", api_version = "string",
  timeout = "seconds", connect_timeout = "seconds", helper_timeout = "seconds", trace = "function",
}

local function connect(options)
  options = core.check_options("connect", options, CONNECT, 1)
  for _, name in ipairs { "host", "context", "config_dir" } do
    if options[name] == "" then core.misuse(("connect: option '%s': it is empty"):format(name)) end
  end
  if options.host and options.context then
    core.misuse "connect: 'host' and 'context' both say where the Engine is: give one of them"
  end
  local host, tls, source = options.host or os.getenv "DOCKER_HOST", options.tls, nil
  if options.context or not host or not host:find "^unix://" then -- a socket that is named needs no more
    local place, err = require "docker_watcher.docker.contexts".resolve(options)
    if not place then return require "docker_watcher.error".about(err, "connect") end
    host, tls, source = place.host, place.tls, place.source
  elseif not options.host then
    source = "DOCKER_HOST"
  end
  return core.connect({
    host = host, tls = tls, api_version = options.api_version, timeout = options.timeout,
    connect_timeout = options.connect_timeout, ctx = options.ctx,
  }, {
    source = not options.host and source or nil, config_dir = options.config_dir, trace = options.trace,
    helper_timeout = options.helper_timeout,
  })
end

--- @class docker_watcher.docker
local docker = {
  --- Makes a client; asks nothing of the Engine yet. Raises on misuse; nil, err where the host cannot be used.
  --- @type fun(options: docker_watcher.ConnectOptions?): docker_watcher.Client|nil, docker_watcher.Error?
  connect = connect,

  --- A handle that cancels calls, or bounds them in time, together: pass it as the option `ctx`.
  --- @type fun(options: { timeout: number?, parent: docker_watcher.Context? }?): docker_watcher.Context
  context = core.context,

  --- The name that a managed container has at rest: "dw-{project}-{stage}-{tag-sanitized}".
  --- @type fun(project: string, stage: string, tag: string): string
  container_name = core.container_name,

  --- Takes an image reference apart, as distribution/reference does: domain, path (with "library/"), familiar, tag,
  --- digest; nil, err (kind "invalid") where it is none.
  --- @type fun(reference: string): table|nil, docker_watcher.Error?
  parse_reference = core.parse_reference,

  --- JSON's null inside arrays that are sent or received.
  null = core.null,

  --- Marks a table (or makes an empty one) that is sent as a JSON array even when it is empty.
  --- @type fun(t: table?): table
  array = core.array,
}

return docker
