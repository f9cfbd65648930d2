-- demo.lua: what examples/demo asks the Engine, by our own client.
--     demo.lua ping | wait PROJECT TAG | refused PROJECT TAG LOG | cleanup PROJECT NETWORK REGISTRY
local docker = require "docker_watcher.docker"
local http = require "docker_watcher.http"
local loop = require "docker_watcher.loop"

local client <close> = assert(docker.connect {})
local actions = {}

-- Looks every 0.1 s, for a minute at most.
local function wait_for(what, check)
  local deadline = loop.now() + 60
  while loop.now() < deadline do
    local value = check()
    if value then return value end
    assert(loop.sleep(0.1))
  end
  io.stderr:write("waited a minute for: ", what, "\n")
  os.exit(1)
end

local function running(project)
  return assert(client:list_containers { project = project, stage = "production", status = "running" })
end

function actions.ping()
  local version, err = client:version()
  if not version then error(tostring(err), 0) end
  print(("Docker Engine %s, API %s"):format(version.version, version.api_version))
end

-- Until exactly one container runs, healthy, under the name of that version; then asks it for its page.
function actions.wait(project, tag)
  local name = docker.container_name(project, "production", tag)
  local container = wait_for(name .. " in service alone", function()
    local list = running(project)
    return #list == 1 and list[1].name == name and list[1].status:find("(healthy)", 1, true) and list[1]
  end)
  local binding = assert(client:inspect_container(container.id)).ports["8080/tcp"][1]
  local host = binding.host_ip == "0.0.0.0" and "127.0.0.1" or binding.host_ip
  local page = assert(http.request { url = ("http://%s:%d/"):format(host, binding.host_port) }).body:gsub("%s+$", "")
  print(("In service: %s, on host port %d. It answers: %s"):format(name, binding.host_port, page))
end

-- Until the watcher has said that it gave the version up, and its container is gone.
function actions.refused(project, tag, log)
  wait_for(tag .. " given up", function()
    local file <close> = assert(io.open(log))
    for line in file:lines() do
      if line:find("deploy failed", 1, true) and line:find(tag, 1, true) then
        return #assert(client:list_containers { all = true, project = project }) == 1
      end
    end
  end)
  print(tag .. " was tried, found unhealthy, and removed; the version before it never stopped serving.")
end

function actions.cleanup(project, network, registry)
  for _, container in ipairs(assert(client:list_containers { all = true, project = project })) do
    assert(client:remove_container(container.id, { force = true, volumes = true }))
  end
  client:call("NetworkDelete", { id = network }) -- may not be there yet
  for _, image in ipairs(assert(client:list_images {})) do
    for _, reference in ipairs(image.digests) do
      if reference:find(registry, 1, true) == 1 then client:remove_image(image.id, { force = true }) end
    end
  end
end

local action = assert(actions[arg[1]], "usage: demo.lua ping|wait|refused|cleanup …")
loop.run(function() action(table.unpack(arg, 2)) end)
