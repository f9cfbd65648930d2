-- The reference (doc/, lua/docker_watcher/_meta) and the code tell of the same things: modules, functions, methods,
-- options. What is missing here is to be added to the file of lua/docker_watcher/_meta that tells of its like, or, for
-- modules written in Lua, above the function itself; doc/pages.lua lists the files.

local env = require "spec.support.env"
local luals = require "doc.luals"
local pages = require "doc.pages"

local core = require "docker_watcher.core"
local docker = require "docker_watcher.docker"

local all = pages.all()

local function find_page(kind, name)
  for _, page in ipairs(all) do
    if page.kind == kind and page.name == name then return page end
  end
  error(("there is no page for the %s %s: see doc/pages.lua"):format(kind, name), 2)
end

-- name → entry
local function functions_of(page)
  local list = {}
  for _, item in ipairs(page.items) do
    if item.kind == "function" then
      assert(not list[item.name], page.name .. ": twice: " .. item.name)
      list[item.name] = item
    end
  end
  return list
end

local function fields_of(page)
  local list = {}
  for _, field in ipairs(page.fields or {}) do list[field.name] = true end
  for _, item in ipairs(page.items) do
    if item.kind == "class" then list[pages.short(item.name)] = true end
  end
  return list
end

local classes = {} -- all that have an entry, by name
for _, page in ipairs(all) do
  for _, item in ipairs(page.items) do
    if item.kind == "class" then
      assert(not classes[item.name], "twice: " .. item.name)
      classes[item.name] = item
    end
  end
end

-- The names of a class's fields, with its parents'.
local function options_of(class, into)
  into = into or {}
  local entry = assert(classes[class], class .. " has no entry")
  for _, field in ipairs(entry.fields) do into[field.name] = true end
  if entry.parent then options_of(entry.parent, into) end
  return into
end

local function each_function(visit)
  for _, page in ipairs(all) do
    for _, entry in pairs(functions_of(page)) do visit(page, entry) end
  end
end

-- The metatables of our C types that have methods, by the names of their pages.
local types = {
  ["docker_watcher.client"] = "Client", ["docker_watcher.stream"] = "Stream", ["docker_watcher.context"] = "Context",
  ["docker_watcher.task"] = "Task", ["docker_watcher.signal"] = "SignalWatch", ["docker_watcher.http"] = "HttpClient",
  ["docker_watcher.tar.pack"] = "TarWriter", ["docker_watcher.tar.unpack"] = "TarReader",
}

-- Those that are written in Lua, in files of docker/: by their __name the page and the file.
local lua_types = {
  ["docker_watcher.events"] = { "EventStream", "events" }, ["docker_watcher.stats"] = { "StatsStream", "stats" },
  ["docker_watcher.process"] = { "Process", "exec" }, ["docker_watcher.archive"] = { "ContainerArchive", "copy" },
}

-- name of a class's page → its methods, as they are at run time.
local function living_classes()
  local found = {}
  for name, value in pairs(debug.getregistry()) do
    if type(name) == "string" and name:find "^docker_watcher%." and type(value) == "table" then
      if type(rawget(value, "__index")) == "table" then
        found[assert(types[name], "a type that this spec does not know: " .. name)] = value.__index
      end
    end
  end
  local tar = require "docker_watcher.tar"
  local entry = assert(tar.unpack(tar.pack { { name = "a", data = "b" } }):next())
  found.TarEntry = getmetatable(entry).__index
  for file in env.run("ls lua/docker_watcher/docker/*.lua"):gmatch "[^\n]+" do
    for name in env.read_file(file):gmatch '__name = "(docker_watcher%.[%w_.]+)"' do
      local class = assert(lua_types[name], "a type that this spec does not know: " .. name)
      found[class[1]] = require("docker_watcher.docker." .. class[2]).methods
    end
  end
  found.Registry = getmetatable(require "docker_watcher.registry".new { http = {}, now = os.time }).__index
  return found
end

describe("the reference", function()
  it("has a page for each module, or says that it is internal", function()
    local internal = {}
    for _, name in ipairs(pages.internal) do internal[name] = true end
    local documented = {}
    for _, source in ipairs(pages.sources) do
      if source.module then documented[pages.short(source.module)] = true end
    end
    local modules = env.run([[
      ls lua/docker_watcher | sed -n 's/[.]lua$//p'; ls lua/docker_watcher/*/init.lua | sed 's|.*/\(.*\)/init.lua|\1|'
      basename -s .so -a "$DW_BUILD"/docker_watcher/*.so]])
    for name in modules:gmatch "[^\n]+" do
      assert.is_true(documented[name] or internal[name] or false, name)
    end
  end)

  it("reads each file of _meta", function()
    local read = {}
    for _, source in ipairs(pages.sources) do read[source[1]] = true end
    for path in env.run("ls lua/docker_watcher/_meta/*.lua"):gmatch "[^\n]+" do
      assert.is_true(read[path] or false, path)
    end
  end)

  for _, page in ipairs(all) do
    if page.kind == "module" then
      it("has what " .. page.name .. " exports, and no more", function()
        local documented, data = functions_of(page), fields_of(page)
        for name, value in pairs(require(page.name)) do
          if type(value) == "function" then
            assert.is_truthy(documented[name], ("%s.%s is missing"):format(page.name, name))
          else
            assert.is_true(data[name] or false, ("%s.%s is missing"):format(page.name, name))
          end
        end
        for name in pairs(documented) do
          assert.equal("function", type(require(page.name)[name]), ("%s.%s is not there"):format(page.name, name))
        end
      end)
    end
  end

  it("has each method of each class, and no more", function()
    local living = living_classes()
    for name, methods in pairs(living) do
      local documented = functions_of(find_page("class", name))
      for method in pairs(methods) do
        assert.is_truthy(documented[method], ("%s:%s is missing"):format(name, method))
      end
      for method in pairs(documented) do
        assert.equal("function", type(methods[method]), ("%s:%s is not there"):format(name, method))
      end
    end
    for _, page in ipairs(all) do
      if page.kind == "class" then assert.is_truthy(living[page.name], "this spec looks at no " .. page.name) end
    end
  end)

  it("says of each function in a sentence what it does, and of each argument and result what it is", function()
    each_function(function(page, entry)
      local name = page.name .. " " .. entry.name
      assert.matches("^[%u`'\"0-9].-[.:?]", entry.text, name)
      local params = {}
      for _, param in ipairs(entry.params) do
        params[#params + 1] = param.name
        assert.is_true(param.type ~= "", name .. ": " .. param.name)
      end
      assert.equal(entry.names, table.concat(params, ", "), name)
      for _, result in ipairs(entry.returns) do assert.matches("^[%w_{(].*", result.type, name) end
    end)
  end)

  it("names classes that there are", function()
    local known = { ["docker_watcher.kind"] = true }
    for name in pairs(classes) do known[name] = true end
    for _, page in ipairs(all) do known["docker_watcher." .. page.name] = page.kind == "class" or nil end
    local function look(kind, where)
      for name in kind:gmatch "docker_watcher%.[%w_.]*%w" do
        assert.is_true(known[name] or false, where .. ": " .. name)
      end
    end
    each_function(function(page, entry)
      local where = page.name .. " " .. entry.name
      for _, part in ipairs(entry.params) do look(part.type, where) end
      for _, part in ipairs(entry.returns) do look(part.type, where) end
    end)
    for name, class in pairs(classes) do
      for _, field in ipairs(class.fields) do look(field.type, name) end
      if class.parent then look(class.parent, name) end
    end
  end)
end)

-- Options: those in the reference are those that the code takes.

-- The class of a function's options, and its place among the arguments.
local function options_class(entry)
  for place, param in ipairs(entry.params) do
    if param.name == "options" and param.type:find "^docker_watcher%." then return param.type, place end
  end
end

local SAMPLES = { string = "x", any = "x", ["function"] = print, table = {} }

local function sample(param)
  if param.name == "reader" then return function() end end
  return SAMPLES[param.type] or param.type:find "%[%]" and {} or "x"
end

describe("options", function()
  it("that the reference has are taken by the functions", function()
    local client <close> = assert(docker.connect { host = "unix:///nowhere.sock" })
    local objects = { Client = client, HttpClient = require "docker_watcher.http".client() }
    each_function(function(page, entry)
      local class, place = options_class(entry)
      if not class or page.name == "Registry" then return end -- its options are checked by values, not by names
      if page.name == "Process" then return end -- there is none without an Engine
      local object = page.kind == "class" and (objects[page.name] or error("no object of " .. page.name))
      local fn = object and object[entry.name] or require(page.name)[entry.name]
      for option in pairs(options_of(class)) do
        local arguments = {}
        if object then arguments[1] = object end
        for i = 1, place - 1 do arguments[#arguments + 1] = sample(entry.params[i]) end
        if entry.name == "call" then arguments[2] = option == "auth" and "ImagePush" or "ContainerAttach" end
        arguments[#arguments + 1] = { [option] = coroutine.create(print) } -- of no type that any option has
        local ok, err = pcall(fn, table.unpack(arguments))
        assert.is_false(not ok and tostring(err):find("unknown option", 1, true) ~= nil,
          ("%s %s: %s"):format(page.name, entry.name, tostring(err)))
      end
    end)
  end)

  -- function's name → { option = true }, from `known` in the C sources
  local function in_c()
    local found = {}
    for file in env.run("ls src/*.c src/tar/*.c"):gmatch "[^\n]+" do
      local source = env.read_file(file)
      for name, body in source:gmatch "\n[%w ]*int %w+_(%w[%w_]*)%(lua_State %*L%) (%b{})" do
        local known = body:match "struct lx_option known%[%] = (%b{})"
        for option in (known or ""):gmatch '{"([%w_]+)", LX_' do
          found[name] = found[name] or {}
          found[name][option] = true
        end
      end
    end
    return found
  end

  it("of functions in C are all in the reference", function()
    local known, seen = in_c(), 0
    each_function(function(_, entry)
      local class = options_class(entry)
      if not class or not known[entry.name] then return end
      seen = seen + 1
      local documented = options_of(class)
      for option in pairs(known[entry.name]) do
        assert.is_true(documented[option] or false, ("%s: option %s is missing"):format(entry.name, option))
      end
    end)
    assert.is_true(seen >= 10, seen .. " seen") -- or their sources look different now
  end)

  it("of methods in Lua are all in the reference", function()
    local client <close> = assert(docker.connect { host = "unix:///nowhere.sock" })
    local check, taken = core.check_options, {}
    core.check_options = function(op, options, known, ...) -- luacheck: ignore
      taken[op] = known
      return check(op, options, known, ...)
    end
    finally(function() core.check_options = check end) -- luacheck: ignore
    docker.connect {}
    local page = find_page("class", "Client")
    for name, entry in pairs(functions_of(page)) do
      local class, place = options_class(entry)
      if class and name ~= "call" then
        local arguments = { client }
        for i = 1, place - 1 do arguments[#arguments + 1] = sample(entry.params[i]) end
        arguments[#arguments + 1] = { timeout = 0 }
        pcall(client[name], table.unpack(arguments))
      end
    end
    taken.call = nil
    assert.is_truthy(taken.connect and taken.pull_image)
    for op, known in pairs(taken) do
      local entry = functions_of(page)[op] or functions_of(find_page("module", "docker_watcher.docker"))[op]
      if entry then
        local documented = options_of((options_class(entry)))
        for option in pairs(known) do assert.is_true(documented[option] or false, op .. ": option " .. option) end
      end
    end
  end)
end)

describe("what make doc makes", function()
  after_each(env.cleanup)

  it("has an entry for each function and table, and no dead link", function()
    local folder = env.tmpdir()
    env.run(require "doc.ldoc".write(folder))
    local anchors, texts = {}, {}
    for _, page in ipairs(all) do
      local file = (page.kind == "module" and "modules/" or "classes/") .. page.name .. ".html"
      texts[file] = env.read_file(folder .. "/" .. file)
      anchors[file] = {}
      for name in texts[file]:gmatch '<a name = "(.-)"' do anchors[file][name] = true end
      local prefix = page.kind == "class" and page.name or ""
      for _, item in ipairs(page.items) do
        local short = pages.short(item.name)
        local name = item.kind == "function" and (prefix ~= "" and prefix .. ":" or "") .. item.name
          or item.kind == "class" and (prefix ~= "" and prefix .. "." or "") .. short
        if name then assert.is_true(anchors[file][name] or false, file .. ": " .. name) end
      end
    end
    local links = 0
    for file, text in pairs(texts) do
      for target, anchor in text:gmatch 'href="%.%./([^"#]+)#([^"]+)"' do
        links = links + 1
        assert.is_true(anchors[target] and anchors[target][anchor] or false, ("%s: %s#%s"):format(file, target, anchor))
      end
    end
    assert.is_true(links > 50)
    assert.matches("CreateOptions", texts["classes/Client.html"])
  end)
end)

describe("doc.luals", function()
  after_each(env.cleanup)

  it("reads types with blanks in them, several results, and text before and behind", function()
    local path = env.tmpdir() .. "/a.lua"
    env.write_file(path, [[
--- Head.
---@meta _

--- What it is.
---@class a.B: a.C  ignored
--- before
---@field x? fun(a: string, b: { c: integer }): boolean, any
---@field y "a b"|string[]  behind
---  and below
local B = {}

--- Does it.
---
--- More.
---@param list table<string, { a: string }>  text
---@param more integer?  maybe
---@return { a: string }? one  the first
---@return any two, string? three  the third
function B:run(list, more) end
]])
    local entries, head = luals.read(path)
    assert.equal("Head.", head)
    assert.same({ kind = "class", name = "a.B", parent = "a.C", of = "B", text = "What it is.", fields = {
      { name = "x", optional = true, type = "fun(a: string, b: { c: integer }): boolean, any", text = "before" },
      { name = "y", optional = false, type = '"a b"|string[]', text = "behind\nand below" },
    } }, entries[1])
    assert.same({ kind = "function", owner = "B", method = true, name = "run", text = "Does it.\n\nMore.",
      names = "list, more",
      params = {
        { name = "list", optional = false, type = "table<string, { a: string }>", text = "text" },
        { name = "more", optional = true, type = "integer", text = "maybe" },
      },
      returns = {
        { name = "one", type = "{ a: string }?", text = "the first" },
        { name = "two", type = "any", text = "" },
        { name = "three", type = "string?", text = "the third" },
      },
    }, entries[2])
  end)
end)
