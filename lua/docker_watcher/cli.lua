--- The command: docker-watcher run | check | status. One file per subcommand under cli/.
--
-- main() answers the exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration. What it needs of the world
-- (streams, engine, loop) comes as an argument, so that specs can hand in their own.

local argparse = require "argparse"
local config = require "docker_watcher.config"
local policies = require "docker_watcher.policies"
local tags = require "docker_watcher.tags"

local cli = {}

local COMMANDS = {
  (require "docker_watcher.cli.run"), (require "docker_watcher.cli.check"), (require "docker_watcher.cli.status"),
}

local USAGE, BAD_CONFIG = 2, 78

--- Everything real, where the caller gave nothing else.
local function complete(world)
  local full = {}
  for key, value in pairs(world or {}) do full[key] = value end
  full.docker = full.docker or require "docker_watcher.docker"
  full.http = full.http or require "docker_watcher.http"
  full.loop = full.loop or require "docker_watcher.loop"
  full.getenv = full.getenv or os.getenv
  full.exit = full.exit or function(status) os.exit(status, false) end
  full.write = full.write or function(text)
    io.stdout:write(text)
    io.stdout:flush()
  end
  full.complain = full.complain or function(text) io.stderr:write(text) end
  full.is_terminal = full.is_terminal or function() return os.execute "test -t 1" == true end

  function full.print(text) full.write(text .. "\n") end

  --- One sentence on standard error; answers the status for "failed".
  function full.fail(text)
    full.complain("docker-watcher: " .. text .. "\n")
    return 1
  end

  function full.load_config(path)
    return config.load(path, {
      tags = tags, policies = policies, parse_reference = full.docker.parse_reference, getenv = full.getenv,
    })
  end

  --- Lists the mistakes of a configuration; answers its status.
  function full.config_failed(path, err)
    full.complain(tostring(err.message) .. "\n")
    if err.mistakes then
      full.complain(("docker-watcher: %d mistake%s in %s: nothing was started. examples/shop.lua shows a good one\n")
        :format(#err.mistakes, #err.mistakes == 1 and "" or "s", path))
    end
    return BAD_CONFIG
  end

  --- A client; nil and a sentence where the engine's address is none. Makes no request.
  function full.connect(engine)
    local ok, client, err = pcall(full.docker.connect, { host = engine })
    if not ok then return nil, (tostring(client):gsub("^.-:%d+: ", "")) end
    if not client then return nil, tostring(err) end
    return client
  end
  return full
end

--- The parser, and a table whose field `text` is set when help was asked for. Help ends the parsing by an error, since
-- what the rest of the line lacks does not matter then.
local function make_parser()
  local parser = argparse("docker-watcher",
    "Watches image registries and deploys new tags as containers on a Docker Engine.")
    :add_help(false):require_command(true):command_target "command"
  local help = {}
  local function help_flag(of)
    of:flag("-h --help", "Show this help and exit."):action(function()
      help.text = of:get_help()
      error("help", 0)
    end)
  end
  help_flag(parser)
  for _, command in ipairs(COMMANDS) do
    help_flag(command.define(parser):add_help(false))
  end
  parser:epilog [[
Begin with:
  docker-watcher check shop.lua    is my configuration good?
  docker-watcher run shop.lua      watch and deploy
  docker-watcher status shop.lua   what runs now?
  docker-watcher run --help        more about one command]]
  return parser, help
end

--- Runs the command line; answers the exit status.
---@param argv string[]
---@param world table?  docker, http, loop, write, complain, getenv, is_terminal, exit: instead of the real ones
---@return integer
function cli.main(argv, world)
  world = complete(world)
  local parser, help = make_parser()
  local fine, parsed, args = pcall(parser.pparse, parser, argv)
  if help.text then
    world.print(help.text)
    return 0
  elseif not fine then
    error(parsed, 0)
  elseif not parsed then
    world.complain(("docker-watcher: %s\nTry  docker-watcher --help\n"):format(tostring(args)))
    return USAGE
  end
  for _, command in ipairs(COMMANDS) do
    if command.name == args.command then return command.run(args, world) end
  end
  error("no such command: " .. tostring(args.command)) -- the parser knows only those of the list
end

return cli
