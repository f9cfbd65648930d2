-- Build an image from a folder, and take a file out of it: what compilers in containers are for.
--     lua5.4 examples/build.lua ./app acme/app:1.4 /out/app ./bin
local docker = require "docker_watcher.docker"

local folder, tag, path, target = table.unpack(arg)
if not tag then error("usage: build.lua FOLDER TAG [PATH TARGET]", 0) end

local client <close> = assert(docker.connect {}) -- where the docker command would go
local built, err = client:build_image {
  context = folder, tag = tag, labels = { example = "build" },
  on_progress = function(event) io.stdout:write(event.stream or "") end,
}
if not built then
  io.stderr:write(err.output or "", tostring(err), "\n") -- the step that failed, and why
  os.exit(1, true)
end
print("image", built.id)

if path then
  local container = assert(client:create_container { image = tag, cmd = { "none" } }) -- it never runs
  local copied, problem = client:copy_out(container.id, path, target or ".")
  assert(client:remove_container(container.id))
  assert(copied, problem)
  print("copied", copied.files .. " files", copied.bytes .. " bytes")
end
