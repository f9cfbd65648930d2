--- docker-watcher status [FILE]: what runs now, by the labels of the engine's containers.

local json = require "docker_watcher.json"
local ports = require "docker_watcher.ports"
local status = require "docker_watcher.status"
local table_text = require "docker_watcher.cli.columns"

local command = { name = "status" }

function command.define(parser)
  local defined = parser:command("status", "Show what runs now, stage by stage.")
  defined:argument("file", "The configuration: its engine is asked, and its stages are shown also where nothing runs.")
    :args "?"
  defined:option("--engine", "The engine to ask: unix:///… or tcp://….")
  defined:flag("--json", "Print JSON instead of text.")
  defined:epilog [[
Examples:
  docker-watcher status                 all that the engine at DOCKER_HOST runs for watchers
  docker-watcher status shop.lua        the stages of a configuration
  docker-watcher status shop.lua --json the same for programs

Exit status: 0 done, 1 the engine does not answer, 78 mistakes in FILE.]]
  return defined
end

local function short(digest) return digest:match "^%w+:(%x%x%x%x%x%x%x%x%x%x%x%x)" or digest end

local function row_of(stage, instance)
  if not instance then
    return { stage.project, stage.stage, "-", "nothing runs", "", "", "" }
  end
  local state = instance.state .. (instance.health and instance.health ~= "none" and ", " .. instance.health or "")
  if instance.state == "running" and not instance.serving then state = state .. ", not in service" end
  if stage.configured == false then state = state .. ", not in the configuration" end
  return {
    stage.project, stage.stage, instance.tag, state, ports.text(instance.ports), instance.name,
    short(instance.digest),
  }
end

function command.run(args, world)
  local stages, engine
  if args.file then
    local config, err = world.load_config(args.file)
    if not config then return world.config_failed(args.file, err) end
    stages, engine = config.stages, config.engine
  end
  local client, reason = world.connect(args.engine or engine)
  if not client then return world.fail(reason) end
  local list, err = status.collect(client, stages)
  client:close()
  if not list then return world.fail(tostring(err)) end
  if args.json then
    world.print(json.encode { stages = list })
    return 0
  end
  local rows = { { "PROJECT", "STAGE", "TAG", "STATE", "PORTS", "CONTAINER", "DIGEST" } }
  for _, stage in ipairs(list) do
    for _, instance in ipairs(stage.instances) do rows[#rows + 1] = row_of(stage, instance) end
    if #stage.instances == 0 then rows[#rows + 1] = row_of(stage) end
  end
  if #rows == 1 then
    world.print "Nothing runs that a watcher has started. Start one with  docker-watcher run FILE"
  else
    world.print(table_text(rows))
  end
  return 0
end

return command
