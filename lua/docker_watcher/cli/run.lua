--- docker-watcher run FILE: watch and deploy until told to stop.

local log = require "docker_watcher.log"
local watcher = require "docker_watcher.watcher"

local run = { name = "run" }

function run.define(parser)
  local command = parser:command("run", "Watch registries and deploy new tags, until told to stop.")
  command:argument("file", "The configuration, a Lua file.")
  command:option("--engine", "The engine, instead of the configuration's: unix:///… or tcp://….")
  command:option("--log", "The log's form; default: text on a terminal, JSON lines elsewhere.")
    :choices { "text", "json" }
  command:option("--log-level", "What is logged: debug, info, warn or error."):default "info"
    :choices { "debug", "info", "warn", "error" }
  command:epilog [[
Examples:
  docker-watcher run shop.lua
  docker-watcher run shop.lua --log json --log-level warn

Without `engine` in FILE and --engine it goes where the docker command goes: to
DOCKER_HOST, the current context, or the local socket. A registry's credentials are
those in `registries` of FILE, else the docker command's own: config.json, its
credential helpers, DOCKER_AUTH_CONFIG.

SIGINT (Ctrl-C) and SIGTERM stop it: a deploy under way is finished where the new
instance is in service already, else undone. A second one stops it at once; the next
start then puts in order what was left.

Exit status: 0 stopped, 1 failed, 78 mistakes in FILE.]]
  return command
end

function run.run(args, world)
  local config, err = world.load_config(args.file)
  if not config then return world.config_failed(args.file, err) end
  local client, reason = world.connect(args.engine or config.engine)
  if not client then return world.fail(reason) end
  local terminal = world.is_terminal()
  local logger = log.new {
    write = world.write, format = args.log or (terminal and "text" or "json"), level = args.log_level,
    colour = terminal and world.getenv "NO_COLOR" == nil, now = os.time,
  }
  local made = watcher.new {
    config = config, client = client, docker = world.docker, http = world.http, loop = world.loop, log = logger,
  }
  local loop, handles, told = world.loop, {}, 0
  local _, failed = loop.run(function()
    for _, name in ipairs { "SIGINT", "SIGTERM" } do
      handles[#handles + 1] = loop.signal(name, function()
        told = told + 1
        if told > 1 then
          logger:warn("told to stop a second time: stopping at once", { signal = name })
          world.exit(1)
        end
        logger:info("told to stop", { signal = name })
        made:stop()
      end)
    end
    made:run()
    for _, handle in ipairs(handles) do handle:close() end
    return true
  end)
  client:close()
  if failed then return world.fail(tostring(failed)) end
  return 0
end

return run
