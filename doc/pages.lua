--- What the reference consists of: which files are read, and what they make: a page for each module, and for each class
--- that has methods. A table (a class without methods) is on the page of what stands before it.
--
--   pages.all() → { { kind = "module"|"class", name, text, items = { section, function and table entries } }, … }

local luals = require "doc.luals"

local pages = {}

--- In the reference's order. A file of _meta without a module goes on with classes of others.
pages.sources = {
  { "lua/docker_watcher/_meta/docker.lua", module = "docker_watcher.docker" },
  { "lua/docker_watcher/_meta/client.lua" },
  { "lua/docker_watcher/_meta/containers.lua" },
  { "lua/docker_watcher/_meta/images.lua" },
  { "lua/docker_watcher/_meta/networks.lua" },
  { "lua/docker_watcher/_meta/exec.lua" },
  { "lua/docker_watcher/_meta/events.lua" },
  { "lua/docker_watcher/_meta/stream.lua" },
  { "lua/docker_watcher/_meta/loop.lua", module = "docker_watcher.loop" },
  { "lua/docker_watcher/_meta/http.lua", module = "docker_watcher.http" },
  { "lua/docker_watcher/_meta/tar.lua", module = "docker_watcher.tar" },
  { "lua/docker_watcher/error.lua", module = "docker_watcher.error" },
  { "lua/docker_watcher/registry.lua", module = "docker_watcher.registry" },
  { "lua/docker_watcher/tags/init.lua", module = "docker_watcher.tags" },
  { "lua/docker_watcher/policies/init.lua", module = "docker_watcher.policies" },
}

--- Modules that are no part of what other programs may rely on: the command's own, and what the others are made of.
pages.internal = {
  "cli", "config", "core", "deployer", "docker", "duration", "gate", "json", "log", "main", "native", "nearest",
  "policies", "poller", "ports", "registry", "secret", "status", "tags", "watcher", "worker",
}

--- A class's name as pages and titles have it.
---@param class string  "docker_watcher.Client"
---@return string
function pages.short(class) return (class:gsub("^docker_watcher%.", "")) end

--- The tag and deploy policies as tables: their options come from the schema that also checks them.
local function add_policies(page)
  local module = require(page.name)
  local names = {}
  for name in pairs(module) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local fields = {}
    for option, rule in pairs(module[name].options) do
      local default = rule.default == "" and "none" or rule.default
      default = default ~= nil and ("; %s unless given"):format(default)
      fields[#fields + 1] = { name = option, type = rule.type, optional = rule.default ~= nil,
        text = rule.text .. (default or "") }
    end
    table.sort(fields, function(a, b) return a.name < b.name end)
    page.items[#page.items + 1] = { kind = "class", name = name, fields = fields,
      text = ("%s.%s { … }: its options."):format(pages.short(page.name), name) }
  end
end

--- What docker_watcher.error has as data.
local function add_kinds(page)
  local fields = {}
  for kind, meaning in pairs(require(page.name).kinds) do
    fields[#fields + 1] = { name = kind, type = "", text = meaning }
  end
  table.sort(fields, function(a, b) return a.name < b.name end)
  page.items[#page.items + 1] = { kind = "class", name = "kinds", fields = fields, text = "What err.kind may be." }
end

---@return table[]
function pages.all()
  local list, by_name = {}, {}
  local function page(kind, name, text)
    local found = by_name[kind .. name]
    if not found then
      found = { kind = kind, name = name, text = text, items = {} }
      by_name[kind .. name] = found
      list[#list + 1] = found
    end
    return found
  end
  for _, source in ipairs(pages.sources) do
    local entries, head = luals.read(source[1])
    local owners, with_methods = {}, {} -- the local's name → its page
    for _, entry in ipairs(entries) do
      if entry.kind == "function" and entry.method then with_methods[entry.owner] = true end
    end
    local here = source.module and page("module", source.module, head)
    for _, entry in ipairs(entries) do
      if entry.kind == "class" and entry.name == source.module and entry.of then
        owners[entry.of] = here
        here.fields = entry.fields
      elseif entry.kind == "class" and with_methods[entry.of or ""] then
        here = page("class", pages.short(entry.name), entry.text)
        owners[entry.of] = here
        if #entry.fields > 0 then here.fields = entry.fields end
      elseif entry.kind == "function" then
        here = owners[entry.owner] or page("module", assert(source.module, source[1]))
        here.items[#here.items + 1] = entry
      elseif entry.kind == "section" or entry.kind == "class" then
        here.items[#here.items + 1] = entry
      end
    end
    if source.module == "docker_watcher.error" then add_kinds(here) end
    if source.module == "docker_watcher.tags" or source.module == "docker_watcher.policies" then add_policies(here) end
  end
  return list
end

return pages
