-- Packaging: `luarocks make` and `make install` put the same, complete thing into an empty tree, without a network: the
-- module can be required there and the command answers. Both build what the tree has: a file that only one of the
-- two knows is found here.

local env = require "spec.support.env"

local rockspec_file = "rockspec/docker-watcher-scm-1.rockspec"

local function rockspec()
  local spec = {}
  assert(loadfile(rockspec_file, "t", spec))()
  return spec
end

local function files(command)
  local list = {}
  for name in env.run(command):gmatch("[^\n]+") do list[#list + 1] = name end
  return list
end

local function sorted(list)
  table.sort(list)
  return list
end

-- Runs Lua with nothing but an installed tree (and the system's libraries) on its paths, outside the checkout.
local function in_tree(tree, code)
  local paths = ("LUA_PATH_5_4=%s LUA_CPATH_5_4=%s"):format(
    env.quote(tree .. "/share/lua/5.4/?.lua;" .. tree .. "/share/lua/5.4/?/init.lua;;"),
    env.quote(tree .. "/lib/lua/5.4/?.so;;"))
  return env.run(("cd / && %s lua5.4 -e %s"):format(paths, env.quote(code)))
end

local where = [[
local docker = require "docker_watcher.docker"
assert(type(docker.connect) == "function")
assert(require "docker_watcher.tar".pack({ { name = "a", data = "" } }):read())
print(assert(package.searchpath("docker_watcher.docker", package.path)))
print(assert(package.searchpath("docker_watcher.core", package.cpath)))]]

local function check_tree(tree)
  assert.equal(
    ("%s/share/lua/5.4/docker_watcher/docker.lua\n%s/lib/lua/5.4/docker_watcher/core.so"):format(tree, tree),
    in_tree(tree, where))
  local help = env.sh(("cd / && env -u LUA_PATH -u LUA_CPATH %s/bin/docker-watcher --help"):format(env.quote(tree)))
  assert.same({ 0, "" }, { help.status, help.err })
  assert.matches("docker%-watcher", help.out)
end

describe("the rockspec #once", function()
  it("names the C sources that the Makefile builds", function()
    local modules = rockspec().build.modules
    local sources = { "src/core.c", table.unpack(modules["docker_watcher.native"].sources) }
    assert.same({ "src/core.c" }, modules["docker_watcher.core"].sources)
    assert.same(files("ls src/*.c | sort"), sorted(sources))
    assert.same(files("ls src/tar/*.c src/buf.c src/lx.c | sort"), sorted(modules["docker_watcher.tar"].sources))
  end)

  it("names every Lua module, each by its place", function()
    local wanted, named = {}, {}
    for _, path in ipairs(files("find lua -name '*.lua'")) do
      wanted[path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")] = path
    end
    for module, path in pairs(rockspec().build.modules) do
      if type(path) == "string" then named[module] = path end
    end
    assert.same(wanted, named)
  end)

  it("passes luarocks' own check", function()
    env.run("luarocks-5.4 lint " .. rockspec_file)
  end)
end)

describe("an empty tree #once", function()
  after_each(env.cleanup)

  it("gets all of it by luarocks make, without a network", function()
    local dir = env.tmpdir()
    -- Debian's packages provide what LuaRocks' server would.
    env.write_file(dir .. "/config.lua", [[
rocks_servers = {}
rocks_provided = { ["lua-cjson"] = "2.1.0-1", argparse = "0.7.1-1" }
]])
    -- A copy, since the build leaves object files beside the sources.
    env.run(("mkdir %s/copy && cp -r src lua rockspec %s/copy"):format(dir, dir))
    env.run(("cd %s/copy && HOME=%s LUAROCKS_CONFIG=%s/config.lua luarocks-5.4 --tree=%s/tree make %s"):format(
      dir, dir, dir, dir, rockspec_file))
    check_tree(dir .. "/tree")
  end)

  it("gets all of it by make install", function()
    local dir = env.tmpdir()
    env.run(("make --no-print-directory -s BUILD=build install PREFIX=%s/tree"):format(dir))
    check_tree(dir .. "/tree")
    -- It may be moved, and the command may be called through a link.
    env.run(("mv %s/tree %s/moved && ln -s %s/moved/bin/docker-watcher %s/dw"):format(dir, dir, dir, dir))
    check_tree(dir .. "/moved")
    assert.matches("docker%-watcher", env.run(dir .. "/dw --help"))
  end)
end)
