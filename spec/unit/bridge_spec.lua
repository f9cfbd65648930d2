-- src/bridge.c: the checks of arguments for methods of the client that are written in Lua. Their errors name the line
-- of whoever called the method, not a line of ours.

local core = require "docker_watcher.core"
local docker = require "docker_watcher.docker"

local spec = { tail = "integer", labels = "table", stdin = "string_or_function", blob = "bytes", name = "string" }

--- A method as one of lua/docker_watcher/docker/ would be.
local method = assert(load([[
  local core, spec = ...
  return function(id, options)
    core.check_id("paint", "container", id)
    options = core.check_options("paint", options, spec)
    if options.name == "" then core.misuse("paint: option 'name': it is empty") end
    return options
  end]], "@/usr/share/lua/5.4/docker_watcher/docker/paint.lua"))(core, spec)

local function message(fn)
  local ok, text = pcall(fn)
  assert.is_false(ok)
  return text
end

describe("check_options", function()
  it("gives the table back, and an empty one for nil", function()
    local options = { tail = 3, timeout = 1, ctx = docker.context {}, stdin = print, blob = "a\0b" }
    assert.equal(options, method("a", options))
    assert.same({}, method("a"))
  end)

  local cases = {
    { { tial = 1 }, "paint: unknown option 'tial' (did you mean 'tail'?)" },
    { { tiemout = 1 }, "paint: unknown option 'tiemout' (did you mean 'timeout'?)" },
    { { tail = 1.5 }, "paint: option 'tail': integer expected, got 1.5" },
    { { stdin = {} }, "paint: option 'stdin': string or function expected, got table" },
    { { name = "a\0b" }, "paint: option 'name': holds a NUL byte" },
    { { ctx = {} }, "paint: option 'ctx': context (made by docker.context) expected, got table" },
    { { "x" }, "paint: option names are strings, got a key of type number" },
    { 5, "paint: options table expected as argument 2, got number" },
  }
  for _, case in ipairs(cases) do
    it("refuses, at the caller's line: " .. case[2], function()
      local line = debug.getinfo(1, "l").currentline + 1
      local text = message(function() method("a", case[1]) end)
      assert.equal(("spec/unit/bridge_spec.lua:%d: %s"):format(line, case[2]), (text:gsub("^%./", "")))
    end)
  end

  it("says of itself when a method names a type that there is not", function()
    local function slip() core.check_options("paint", {}, { a = "strnig" }) end
    assert.matches("there is no type 'strnig'", message(slip))
  end)
end)

describe("check_id, check_image and misuse", function()
  it("check as the methods in C do, at the caller's line", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local text = message(function() method("a/b") end)
    assert.matches("bridge_spec.lua:" .. line .. ": paint: container: '/' cannot be", text)
    assert.matches("paint: option 'name': it is empty", message(function() method("a", { name = "" }) end))
    assert.equal("abc", core.check_id("paint", "container", { id = "abc" }))
    assert.equal("a/b:1", core.check_image("paint", "a/b:1"))
    assert.matches("paint: image 'A:B:C'", message(function() core.check_image("paint", "A:B:C") end))
  end)
end)

describe("data", function()
  it("is the table that went with connect", function()
    local data = {}
    local client <close> = core.connect({ host = "unix:///nonexistent.sock" }, data)
    assert.equal(data, core.data(client))
    assert.has_error(function() core.data(io.stdout) end)
  end)
end)
