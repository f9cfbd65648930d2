-- exec.lua CONTAINER COMMAND [ARGUMENT…]: runs a command in a container, with our own input and output.
local docker = require "docker_watcher.docker"
local container = assert(arg[1], "usage: exec.lua CONTAINER COMMAND [ARGUMENT…]")

local client <close> = assert(docker.connect {})
local process <close> = assert(client:exec_stream(container, table.move(arg, 2, #arg, 1, {}), {
  stdin = function() return io.read(4096) end,
}))
for chunk, output in process do io[output]:write(chunk) end
os.exit(assert(process:wait()).exit_code, true)
