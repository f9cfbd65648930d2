--- docker-watcher check FILE: is the configuration good? Says file and line of every mistake.

local duration = require "docker_watcher.duration"
local json = require "docker_watcher.json"
local table_text = require "docker_watcher.cli.columns"

local check = { name = "check" }

function check.define(parser)
  local command = parser:command("check", "Check a configuration: says file and line of every mistake.")
  command:argument("file", "The configuration, a Lua file.")
  command:flag("--json", "Print JSON instead of text.")
  command:epilog [[
Examples:
  docker-watcher check shop.lua          is it good? what would be watched?
  docker-watcher check shop.lua --json   the same for programs

Exit status: 0 good, 78 mistakes. Registries and the engine are not asked.]]
  return command
end

local function describe(stage)
  return {
    project = stage.project, stage = stage.stage, image = stage.image, tags = stage.tags.name,
    range = stage.tags.options and stage.tags.options.range, policy = stage.policy.name, network = stage.network,
  }
end

function check.run(args, world)
  local config, err = world.load_config(args.file)
  if args.json then
    local mistakes = json.array {}
    for i, mistake in ipairs(err and err.mistakes or {}) do mistakes[i] = mistake end
    if err and #mistakes == 0 then mistakes[1] = { file = args.file, line = 0, message = err.message, path = "" } end
    local stages = json.array {}
    for i, stage in ipairs(config and config.stages or {}) do stages[i] = describe(stage) end
    world.print(json.encode { file = args.file, good = config ~= nil, mistakes = mistakes, stages = stages })
    return config and 0 or 78
  end
  if not config then return world.config_failed(args.file, err) end
  local rows = { { "PROJECT", "STAGE", "IMAGE", "TAGS", "POLICY", "NETWORK" } }
  for _, stage in ipairs(config.stages) do
    local d = describe(stage)
    local tags = d.range and d.tags .. " " .. d.range or d.tags
    rows[#rows + 1] = { d.project, d.stage, d.image, tags, d.policy, d.network }
  end
  world.print(("%s is good: %d stage%s, looked at every %s"):format(args.file, #config.stages,
    #config.stages == 1 and "" or "s", duration.format(config.poll.every)))
  world.print(table_text(rows))
  return 0
end

return check
