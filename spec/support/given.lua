--- What specs of the client begin with: a client, containers, a server that answers as a scenario says. All of it is
--- taken away again by env.cleanup.
---
---   local client
---   before_each(function() client = given.client() end)
---   after_each(env.cleanup)
---   …
---   local c = given.running(client, { cmd = { "sleep", "9" } })
---   given.failure("conflict", client:remove_container(c.id))

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

local given = {}

--- A client of the engine of the tests, or of the host in options.
---@param options? docker_watcher.ConnectOptions
---@return docker_watcher.Client
function given.client(options)
  options = options or {}
  options.host = options.host or env.docker_host
  local client = assert(docker.connect(options))
  env.defer(function() client:close() end)
  return client
end

--- A container, not started; of env.image unless the options name another.
---@param client docker_watcher.Client
---@param options? docker_watcher.CreateOptions
function given.container(client, options)
  options = options or {}
  options.image = options.image or env.image
  local container = assert(client:create_container(options))
  env.dispose("container", container.id)
  return container
end

--- A container that was started.
---@param client docker_watcher.Client
---@param options? docker_watcher.CreateOptions
function given.running(client, options)
  local container = given.container(client, options)
  assert(client:start_container(container.id))
  return container
end

--- scripted.start.
---@return scripted.server
function given.server(scenario)
  local server = scripted.start(scenario)
  env.defer(function() server:stop() end)
  return server
end

--- An operation's results are nil and an error of that kind. Answers the error.
---@return docker_watcher.error
function given.failure(kind, result, err)
  if result ~= nil then error(("an error of kind %s expected, got %s"):format(kind, tostring(result)), 2) end
  if err.kind ~= kind then error(("an error of kind %s expected, got %s: %s"):format(kind, err.kind, err), 2) end
  return err
end

--- A frame of a container's output, as the Engine sends it.
---@param stream 0|1|2|3
---@param text string
---@return string
function given.frame(stream, text) return string.pack(">I1xxxs4", stream, text) end

return given
