--- client:build_image{ context = "app", tag = "acme/web:1.4" } -> { id=, warnings={}, output= } | nil, err
--
-- By the builder that is in every Engine, which the docker command calls the legacy one. BuildKit is another thing: it
-- wants a session of gRPC over an upgraded connection, which this client does not speak. Asked for it, by an option or
-- by a Dockerfile that needs it, build_image returns an error (kind "version") that names the docker command to run.
--
-- The context is sent while it is read, never whole in memory. The Engine answers 200 and then tells what it does; a
-- step that fails is told there, and becomes the error: kind "engine", with `step` and `output`, the text before it.

local build_options = require "docker_watcher.docker.build_options"
local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"

local build = {}

local OUTPUT_BYTES = 16 << 10 -- of the text that is kept for the result, or the error
local WARNINGS = 100

-- ── BuildKit ───────────────────────────────────────────────────────────────────────────────────────────────────────

local function quote(word)
  return word:find "^[%w_./:=@%%+-]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'"
end

--- What to run instead. Values of build arguments are left out: they may be secrets.
local function docker_command(options, tags)
  local words = { "docker", "buildx", "build" }
  local function add(...)
    for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  end
  for _, tag in ipairs(tags) do add("-t", tag) end
  local folder = type(options.context) == "string" and options.context or nil
  if options.dockerfile then
    local absolute = options.dockerfile:sub(1, 1) == "/" or not folder
    add("-f", absolute and options.dockerfile or folder .. "/" .. options.dockerfile)
  end
  if options.target then add("--target", options.target) end
  if options.platform then add("--platform", options.platform) end
  local names = {}
  for name in pairs(options.build_args or {}) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for _, name in ipairs(names) do add("--build-arg", name) end
  if options.secrets then words[#words + 1] = "--secret …" end
  if options.ssh then words[#words + 1] = "--ssh …" end
  if options.outputs then words[#words + 1] = "--output …" end
  add(folder or options.remote or "-")
  return table.concat(words, " ")
end

-- ── progress ───────────────────────────────────────────────────────────────────────────────────────────────────────

---@class docker_watcher.build_log  what is remembered of a build's output
local Log = {}
Log.__index = Log

local function new_log()
  return setmetatable({
    pieces = {}, bytes = 0, -- the last OUTPUT_BYTES of text, and a piece more
    step = nil,             -- "Step 2/3 : RUN make"
    id = nil,               -- of the image, once it is told
    warnings = {},
  }, Log)
end

function Log:add(text)
  self.pieces[#self.pieces + 1] = text
  self.bytes = self.bytes + #text
  while self.bytes - #self.pieces[1] > OUTPUT_BYTES do
    self.bytes = self.bytes - #table.remove(self.pieces, 1)
  end
  self.step = text:match "^(S[Tt][Ee][Pp] %d+/%d+ ?: [^\n]*)" or self.step -- Podman shouts
  self.short = text:match "^Successfully built (%x+)" or self.short
  local warning = text:match "^%s*%[Warning%]%s*(.-)%s*$"
  if warning and #self.warnings < WARNINGS then self.warnings[#self.warnings + 1] = warning end
end

function Log:output()
  local text = table.concat(self.pieces)
  return #text > OUTPUT_BYTES and text:sub(-OUTPUT_BYTES) or text
end

--- One value of the Engine's; answers what on_progress is told, or nil.
function Log:take(item)
  if type(item.stream) == "string" then
    self:add(item.stream)
    return { stream = item.stream }
  elseif type(item.aux) == "table" then
    if type(item.aux.ID) == "string" then self.id = item.aux.ID end
    return nil
  elseif type(item.status) == "string" then
    local detail = type(item.progressDetail) == "table" and item.progressDetail or {}
    return { id = item.id, status = item.status, current = detail.current, total = detail.total }
  end
end

--- Tells in a failure what the build had come to.
local function explain(err, log, subject)
  local prefix = ("build_image %s: "):format(subject)
  if log.step and err.message:sub(1, #prefix) == prefix then
    err.message = prefix .. log.step .. ": " .. err.message:sub(#prefix + 1)
  end
  err.step, err.output = log.step, log:output()
  return nil, err
end

--- No registry should tell passwords; none gets further than here.
local function mask(err, auth)
  for _, one in pairs(auth) do
    for _, name in ipairs { "password", "identitytoken", "registrytoken", "auth" } do
      local secret = one[name]
      while type(secret) == "string" and #secret > 3 do
        local first, last = err.message:find(secret, 1, true)
        if not first then break end
        err.message = err.message:sub(1, first - 1) .. "…" .. err.message:sub(last + 1)
      end
    end
  end
  return err
end

-- ── the build ──────────────────────────────────────────────────────────────────────────────────────────────────────

local function context_of(source, options)
  local context = require "docker_watcher.docker.build_context"
  if source == "folder" then return context.of_folder(options.context, options.dockerfile, options.dockerfile_text) end
  if source == "text" then return context.of_text(options.dockerfile_text) end
  return { reader = options.context, dockerfile = options.dockerfile }
end

--- What asks for BuildKit, for the message; nil where nothing does.
local function wants_buildkit(options, context)
  for _, name in ipairs { "buildkit", "secrets", "ssh", "outputs" } do
    if options[name] then return ("'%s' asks for"):format(name) end
  end
  if not context.text or options.buildkit == false then return nil end
  local found = require "docker_watcher.docker.build_context".needs_buildkit(context.text)
  return found and ("the Dockerfile (%s) needs"):format(found)
end

--- Which credentials go along: those given, none, or all that the docker command would send. What of these could not
--- be had matters only where the Engine then misses it: it is the second answer. nil, err: the call was cancelled.
local function credentials_of(client, options, given)
  if given or options.auth == false then return given or {} end
  local all, problem = require "docker_watcher.docker.credentials".find_all(client, options)
  if all then return all, problem and problem[1] end
  if problem.kind == "cancelled" then return nil, problem end
  return {}, problem
end

--- Reads the build's stream to its end. Answers nil, or err.
local function follow(stream, log, on_progress)
  local reading <close> = stream
  while true do
    local item, err = reading:read()
    if not item then return err end
    local event = log:take(item)
    if event and on_progress then on_progress(event) end
  end
end

--- Builds an image.
---@param client docker_watcher.Client
---@param options docker_watcher.BuildOptions
---@return { id: string, warnings: string[], output: string }? image, docker_watcher.error? err
function build.build_image(client, options)
  options = core.check_options("build_image", options, build_options.types, 1)
  local source, tags = build_options.source(options), build_options.tags(options)
  local params, given = build_options.query(options, tags), options.auth and build_options.auth(options.auth)
  local subject = tags[1] or source == "folder" and options.context or options.remote or "image"
  local started = core.loop.now()
  local context, err = context_of(source, options)
  if not context then return errors.about(err, "build_image", subject) end
  local packed <close> = context.packed -- luacheck: ignore
  local wanted = wants_buildkit(options, context)
  if wanted then
    err = errors.new("version", ("%s BuildKit, which this client does not speak; run: %s"):format(
      wanted, docker_command(options, tags)))
    return errors.about(err, "build_image", subject)
  end
  local auth, problem = credentials_of(client, options, given)
  if not auth then return errors.about(problem, "build_image", subject) end
  params.body, params.dockerfile = context.reader, context.dockerfile
  if next(auth) ~= nil then params["X-Registry-Config"] = auth end
  local log = new_log()
  local stream
  stream, err = core.invoke(client, "build_image", subject, "ImageBuild", params, {
    timeout = options.timeout and math.max(0, options.timeout - (core.loop.now() - started)), ctx = options.ctx,
    first_byte_timeout = options.first_byte_timeout, idle_timeout = options.idle_timeout,
  })
  if stream then err = follow(stream, log, options.on_progress) end
  local id = log.id or log.short
  if not err and not id then
    err = errors.new("protocol", "the Engine's reply has no image id")
    errors.about(err, "build_image", subject)
  end
  if not err then return { id = id, warnings = log.warnings, output = log:output() } end
  if problem and (err.kind == "unauthorized" or err.message:find("denied", 1, true)) then
    err.message = ("%s (credentials could not be had: %s)"):format(err.message, problem.message)
  end
  return explain(mask(err, auth), log, subject)
end

return build
