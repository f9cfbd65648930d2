--- docker_watcher.docker: the Docker client for Lua. What it offers is told in _meta/docker.lua, and what a client can
--- do in _meta/client.lua, images.lua, containers.lua, networks.lua and stream.lua.
---
--- The functions are the C core's: src/client.c, images.c, pull.c, containers.c, container_*.c, networks.c, stream.c.
local core = require "docker_watcher.core"

--- Methods of the client that are written in Lua, over client:call: the file in docker/ that has them, read at the
--- first call.
local written_in_lua = {
  build_image = "build",
  copy_in = "copy",
  copy_out = "copy",
  export = "copy",
  pull_image = "pull",
  stat_path = "copy",
  events = "events", stats = "stats",
  exec = "exec", exec_stream = "exec", attach = "exec",
  top = "container_more", changes = "container_more", commit = "container_more",
  rename_container = "container_more", pause_container = "container_more", unpause_container = "container_more",
  kill_container = "container_more", resize_container = "container_more",
  save_image = "image_files", load_image = "image_files", import_image = "image_files", push_image = "image_files",
  search = "image_files", image_history = "image_files",
  system_df = "prune", prune_containers = "prune", prune_images = "prune", prune_networks = "prune",
  prune_volumes = "prune", prune_build_cache = "prune",
}
for name, file in pairs(written_in_lua) do
  core.client_methods[name] = function(...)
    local method = require("docker_watcher.docker." .. file)[name]
    core.client_methods[name] = method
    return method(...)
  end
end

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

---@type docker_watcher.docker
local docker = {
  connect = connect,
  context = core.context,
  container_name = core.container_name,
  parse_reference = core.parse_reference,
  null = core.null,
  array = core.array,
}

return docker
