--- The operator's file: loaded, judged as a whole, and turned into plain settings.
--
-- What it promises: nothing outside the file's own environment is touched; every mistake is listed with file and line,
-- not only the first; what comes out has all defaults filled in, periods in seconds, secrets as opaque values. What it
-- refuses: bytecode, unknown keys, names that could clash, secrets that are not there.

local errors = require "docker_watcher.error"
local fields = require "docker_watcher.config.fields"
local lines = require "docker_watcher.config.lines"
local nearest = require "docker_watcher.nearest"
local sandbox = require "docker_watcher.config.sandbox"
local schema = require "docker_watcher.config.schema"
local secret = require "docker_watcher.secret"

local config = {}

local LARGEST = 4 * 1024 * 1024 -- bytes of a configuration

---@class docker_watcher.mistake
---@field file string
---@field line integer
---@field path string   "projects.shop.image"; "" where it concerns no key
---@field message string

---@class docker_watcher.stage  one stage, as poller and deployer want it
---@field project string
---@field stage string
---@field image string
---@field tags { name: string, options: table?, choose: fun(tags: string[], state: table): string?, string? }
---@field policy { name: string, options: table, plan: fun(state: table, options: table): table[] }
---@field network string
---@field container table  options of create_container; env may hold secrets

---@class docker_watcher.config
---@field path string
---@field engine string?
---@field poll { every: number, jitter: number }
---@field registries table<string, { username: any, password: any, insecure: boolean? }>
---@field stages docker_watcher.stage[]  sorted by project and stage

-- ── mistakes ───────────────────────────────────────────────────────────────────────────────────────────────────────

local function by_place(a, b)
  if a.file ~= b.file then return a.file < b.file end
  if a.line ~= b.line then return a.line < b.line end
  if a.path ~= b.path then return a.path < b.path end
  return a.message < b.message
end

local function failure(path, mistakes)
  table.sort(mistakes, by_place)
  local texts = {}
  for i, mistake in ipairs(mistakes) do
    texts[i] = ("%s:%d: %s"):format(mistake.file, mistake.line, mistake.message)
  end
  return nil, errors.new("invalid", table.concat(texts, "\n"), { op = "config", subject = path, mistakes = mistakes })
end

-- ── choices: tags.semver { … } ─────────────────────────────────────────────────────────────────────────────────────

--- Judges a choice among modules (each with name, options and new); answers what module.new made, and the options.
local function judge(choice, modules, word, path, report)
  local module = modules[choice.name]
  if not module then
    local near = type(choice.name) == "string" and nearest.find(choice.name, modules)
    report(path, ("there is no %s.%s%s"):format(word, tostring(choice.name),
      near and (" (did you mean %s.%s?)"):format(word, near) or ""))
    return nil
  end
  local field = { type = "table", fields = module.options }
  local clean, given = true, choice.options
  if given == nil then given = {} end
  local options = schema.check(given, field, path, function(...)
    clean = false
    report(...)
  end)
  if not clean then return nil end
  local made, reason, option = module.new(options)
  if not made then
    report(option and schema.step(path, option) or path, reason)
    return nil
  end
  return made, options
end

--- A checker that takes a choice of this family, or whatever `otherwise` makes of another value.
local function acceptor(family, otherwise)
  return function(value)
    if sandbox.is_choice(value, family) then return value end
    local kept = otherwise(value)
    if kept then return kept end
    if type(value) == "function" then
      return nil, ("call it with its options, as %s.NAME { … }"):format(family)
    end
    return nil, family == "tags" and 'tags.semver { range = "…" } or a function expected'
      or "policies.blue_green { … } or a table with a function `plan` expected"
  end
end

local function own_tags(value)
  return type(value) == "function" and { name = "function", choose = value } or nil
end

local function own_policy(value)
  if type(value) == "table" and getmetatable(value) == nil and type(value.plan) == "function" then
    return { name = type(value.name) == "string" and value.name or "own", options = {}, plan = value.plan }
  end
end

-- ── stages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

--- What a stage runs with: its own settings over its project's; env and labels are merged.
local function inherit(project, stage)
  local settings = {}
  for _, name in ipairs(fields.inherited()) do
    settings[name] = stage[name]
    if settings[name] == nil then settings[name] = project[name] end
  end
  for _, name in ipairs { "env", "labels" } do
    local merged = {}
    for key, value in pairs(project[name] or {}) do merged[key] = value end
    for key, value in pairs(stage[name] or {}) do merged[key] = value end
    settings[name] = merged
  end
  return settings
end

--- Does any port ask for one certain port of the host? Two containers cannot have it at once.
local function fixed_port(ports)
  if type(ports) ~= "table" then return nil end
  for port, bound in pairs(ports) do
    if math.type(bound) == "integer" or (type(bound) == "table" and bound.host_port) then return port end
  end
end

local function make_stage(names, settings, checked, modules, path, report, has_image)
  local tags, policy = checked.tags, checked.policy
  if sandbox.is_choice(tags, "tags") then
    local choose, options = judge(tags, modules.tags, "tags", schema.step(path, "tags"), report)
    tags = { name = tags.name, options = options, choose = choose }
  end
  if policy == nil then policy = { family = "policies", name = "blue_green" } end
  if not policy.plan then
    local plan, options = judge(policy, modules.policies, "policies", schema.step(path, "policy"), report)
    policy = { name = policy.name, options = options, plan = plan }
  end
  if not has_image then
    report(path, ("stage '%s' has no image: write image = \"…\" in it or in its project"):format(names.stage))
  end
  local port = fixed_port(settings.ports)
  if port and policy.name == "blue_green" then
    report(schema.step(path, checked.ports and "ports" or "policy"),
      ("port %s is bound to one port of the host, and blue_green runs old and new side by side: write \"exposed\", or "
        .. "[\"%s\"] = true, and let a proxy find the port"):format(port, port))
  end
  local container = {}
  for name, value in pairs(settings) do
    if name ~= "image" and name ~= "network" then container[name] = value end
  end
  container.restart = container.restart or "unless-stopped"
  return {
    project = names.project, stage = names.stage, image = settings.image, tags = tags, policy = policy,
    network = settings.network or "dw-" .. names.project, container = container,
  }
end

--- Two stages clash where a tag could make their containers' names equal: dw-a-b + c-1.0 and dw-a + b-c + 1.0.
local function check_clashes(stages, report)
  for i, a in ipairs(stages) do
    for j, b in ipairs(stages) do
      local short, long = a.project .. "-" .. a.stage, b.project .. "-" .. b.stage
      if i ~= j and (long:sub(1, #short + 1) == short .. "-" or (long == short and i < j)) then
        report({ "projects", b.project, "stages", b.stage },
          ("stage %s of %s and stage %s of %s could name containers alike (dw-%s-…): rename one, as '%s'"):format(
            b.stage, b.project, a.stage, a.project, short, (b.stage:gsub("%-", "_"))))
      end
    end
  end
end

local function sorted(t)
  local keys = {}
  for key in pairs(t or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- ── loading ────────────────────────────────────────────────────────────────────────────────────────────────────────

local function read_source(path)
  local file, reason = io.open(path, "rb")
  if not file then
    return nil, errors.new("not_found", ("%s: cannot be read: %s"):format(path, (reason:gsub("^.-: ", ""))),
      { op = "config", subject = path })
  end
  local source = file:read(LARGEST + 1)
  file:close()
  if source == nil then source = "" end
  if #source > LARGEST then
    return nil, errors.new("too_large", ("%s: has more than %d bytes"):format(path, LARGEST),
      { op = "config", subject = path })
  end
  return source
end

--- "shop.lua:3: unexpected symbol" → file, 3, "unexpected symbol"
local function split_message(path, message)
  message = tostring(message)
  local first = message:match "^[^\n]*"
  local file, line, text = first:match "^(.-):(%d+): (.*)$"
  return file or path, math.tointeger(tonumber(line)) or 1, text or first
end

--- Runs the file in its environment; reports what went wrong.
local function run(source, path, env, report)
  local chunk, reason = load(source, "@" .. path, "t", env)
  local ok, result
  if chunk then
    ok, result = pcall(chunk)
  else
    result = reason
  end
  if ok and type(result) == "table" then return result end
  if ok then
    report(path, 1, ("the file must return a table, and returned %s: end it with  return { projects = { … } }"):format(
      result == nil and "nothing" or "a " .. type(result)))
  else
    report(split_message(path, result))
  end
end

local function absolute(folder, path)
  return path:sub(1, 1) == "/" and path or folder .. "/" .. path
end

--- Loads and judges a file.
---@param path string
---@param world { tags: table, policies: table, parse_reference: function, getenv: function?, file_mode: function? }
---  tags and policies: modules by name; parse_reference: docker.parse_reference
---@return docker_watcher.config? loaded, docker_watcher.error? err  err.mistakes lists all of them
function config.load(path, world)
  local source, err = read_source(path)
  if not source then return nil, err end
  local folder = path:match "^(.*)/[^/]*$" or "."
  local getenv = world.getenv or os.getenv

  local mistakes = {}
  local function report_line(file, line, message, key)
    mistakes[#mistakes + 1] = { file = file, line = line, path = key or "", message = message }
  end
  local env, secrets = sandbox.new({ folder = folder, getenv = getenv }, report_line)
  local result = run(source, path, env, report_line)
  if not result then return failure(path, mistakes) end

  local places = lines.read(source)
  local function report(where, message)
    local text = schema.path_text(where)
    report_line(path, (places:find(where)), (text ~= "" and text .. ": " or "") .. message, text)
  end
  local checked = schema.check(result, fields.new {
    parse_reference = world.parse_reference,
    accept_tags = acceptor("tags", own_tags),
    accept_policy = acceptor("policies", own_policy),
  }, {}, report) or {}

  local stages = {}
  for _, project_name in ipairs(sorted(checked.projects)) do
    local project = checked.projects[project_name]
    for _, stage_name in ipairs(sorted(project and project.stages)) do
      local stage = project.stages[stage_name]
      if stage and stage.tags then
        local given = result.projects[project_name] -- an image that was given and is wrong was reported as that
        stages[#stages + 1] = make_stage({ project = project_name, stage = stage_name }, inherit(project, stage), stage,
          world, { "projects", project_name, "stages", stage_name }, report,
          given.image ~= nil or given.stages[stage_name].image ~= nil)
      end
    end
    if project and project.stages and next(project.stages) == nil then
      report({ "projects", project_name, "stages" }, "a project needs at least one stage")
    end
  end
  if checked.projects and next(checked.projects) == nil and next(result.projects) == nil then
    report({ "projects" }, "there is no project in it: nothing to watch")
  end
  check_clashes(stages, report)
  for _, host in ipairs(sorted(checked.registries)) do
    local registry = checked.registries[host]
    if registry and (registry.username == nil) ~= (registry.password == nil) then
      report({ "registries", host }, ("username and password belong together, and %s is missing"):format(
        registry.username == nil and "username" or "password"))
    end
  end

  local secrets_dir = checked.secrets_dir and absolute(folder, checked.secrets_dir)
  for _, asked in ipairs(secrets) do
    local value, reason = secret.look_up(asked.name, secrets_dir, getenv, world.file_mode or secret.file_mode)
    if value then
      secret.fill(asked.value, value)
    else
      report_line(asked.file, asked.line, reason)
    end
  end

  if #mistakes > 0 then return failure(path, mistakes) end
  return {
    path = path, engine = checked.engine, poll = checked.poll, registries = checked.registries, stages = stages,
  }
end

return config
