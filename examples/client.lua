-- The Docker client in twenty lines: pull an image, run a container, read its log, remove it.
--     lua5.4 examples/client.lua docker.io/library/nginx 1.27-alpine
local docker = require "docker_watcher.docker"

local client <close> = assert(docker.connect {}) -- where the docker command would go
local image, tag = assert(arg[1], "usage: client.lua IMAGE TAG"), arg[2] or "latest"

local pulled = assert(client:pull_image(image, tag, {
  on_progress = function(event) print("pull", event.id or "", event.status) end,
}))
print("image", pulled.status, pulled.digest)

local container = assert(client:create_container {
  image = image .. ":" .. tag, ports = "exposed", labels = { example = "client" },
})
local ok, err = client:start_container(container.id)
if ok then
  assert(client:wait_healthy(container.id, { timeout = 30 }))
  for port, bindings in pairs(assert(client:inspect_container(container.id)).ports) do
    print("port", port, bindings[1] and bindings[1].host_port)
  end
  client:stop_container(container.id, { stop_timeout = 2 })
  for chunk, stream in client:logs(container.id, { tail = 5 }) do print("log", stream, (chunk:gsub("%s+$", ""))) end
end
assert(client:remove_container(container.id, { force = true })) -- also where it did not start
assert(ok, err)
