--- docker_watcher.docker: the Docker client for Lua.
---
---     local docker = require "docker_watcher.docker"
---     local client <close> = assert(docker.connect{})
---     for _, c in ipairs(assert(client:list_containers{ all = true })) do print(c.name, c.state) end
---
--- Misuse (a wrong type, an unknown option, an empty id) raises at the caller's line. The world failing gives nil, err, where err is a
--- table with kind, message, op, subject, status and cause (docker_watcher.error lists the kinds). Times are seconds. Every operation takes
--- `timeout` and `ctx` among its options, blocks in plain Lua, and yields inside a task of docker_watcher.loop. The functions are the C
--- core's (src/client.c, images.c, containers.c, networks.c).
local core = require "docker_watcher.core"

--- @class docker_watcher.Context
--- @field cancel fun(self: docker_watcher.Context, reason: string?) ends all calls that it was given to, with kind "cancelled"
--- @field done fun(self: docker_watcher.Context): boolean, string? whether it was cancelled or its time is over, and why

--- @class docker_watcher.docker
local docker = {
  --- Makes a client; asks nothing of the Engine yet. Raises on misuse; nil, err where the host cannot be used.
  --- @type fun(options: { host: string?, tls: { ca: string?, cert: string?, key: string?, verify: boolean? }?, api_version: string?,
  ---   timeout: number?, connect_timeout: number? }?): docker_watcher.Client|nil, docker_watcher.Error?
  --- host: "unix:///path", "tcp://host:port"; else DOCKER_HOST, else unix:///var/run/docker.sock.
  --- api_version: "1.44" pins the version (as DOCKER_API_VERSION does); else it is negotiated.
  --- timeout: seconds for calls that give none themselves (60; pull, wait and logs have none).
  --- connect_timeout: seconds (10).
  connect = core.connect,

  --- A handle that cancels calls, or bounds them in time, together: pass it as the option `ctx`.
  --- @type fun(options: { timeout: number?, parent: docker_watcher.Context? }?): docker_watcher.Context
  context = core.context,

  --- The name that a managed container has at rest: "dw-{project}-{stage}-{tag-sanitized}".
  --- @type fun(project: string, stage: string, tag: string): string
  container_name = core.container_name,

  --- Takes an image reference apart, as distribution/reference does.
  --- @type fun(reference: string): { domain: string, path: string, familiar: string, tag: string?, digest: string? }|nil,
  ---   docker_watcher.Error?
  parse_reference = core.parse_reference,

  --- JSON's null inside arrays that are sent or received.
  null = core.null,

  --- Marks a table (or makes an empty one) that is sent as a JSON array even when it is empty.
  --- @type fun(t: table?): table
  array = core.array,
}

return docker
