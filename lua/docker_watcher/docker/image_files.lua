--- Images as files and elsewhere: save_image, load_image, import_image, push_image; search and image_history.
---
--- Nothing here is ever whole in memory: what is saved comes as a stream, what is loaded goes as one.
local core = require "docker_watcher.core"
local errors = require "docker_watcher.error"

local images = {}

local function about(op, subject, kind, text)
  return nil, errors.new(kind, ("%s %s: %s"):format(op, subject, text), { op = op, subject = subject })
end

--- Reads a stream of progress to its end, telling on_progress; the last value that `look` answered, or nil, err.
local function follow(stream, on_progress, look)
  local open <close> = stream
  local found
  while true do
    local item, err = open:read()
    if not item then
      if err then return nil, err end
      return found or {}
    end
    found = look(item, found) or found
    if on_progress then
      local detail = type(item.progressDetail) == "table" and item.progressDetail or {}
      on_progress { id = item.id, status = item.status or item.stream, current = detail.current, total = detail.total }
    end
  end
end

-- save --------------------------------------------------------------------------------------------------------------

local SAVE <const> = { platform = "string", path = "string", idle_timeout = "seconds", first_byte_timeout = "seconds" }

--- "linux/arm64/v8" as the Engine wants it where it takes a JSON object (API 1.48 and later).
local function platform_object(op, platform)
  if not platform then return nil end
  local os, architecture, variant = platform:match("^([%w._-]+)/([%w._-]+)$")
  if not os then os, architecture, variant = platform:match("^([%w._-]+)/([%w._-]+)/([%w._-]+)$") end
  if not os then core.misuse(("%s: option 'platform': \"os/architecture[/variant]\" expected"):format(op)) end
  return { os = os, architecture = architecture, variant = variant }
end

--- Writes a stream to a new file that takes the place of path only when it is complete.
local function to_file(stream, path, op, subject)
  local open <close> = stream
  local part = path .. ".part"
  local file, why = io.open(part, "wb")
  if not file then return about(op, subject, "invalid", "cannot write " .. tostring(why)) end
  local kept = false
  local whatever_happens <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    if io.type(file) == "file" then file:close() end
    if not kept then os.remove(part) end
  end })
  local size = 0
  local function failed(problem)
    return about(op, subject, "invalid", ("cannot write %s: %s"):format(part, tostring(problem)))
  end
  while true do
    local bytes, err = open:read()
    if err then return nil, err end
    if not bytes then break end
    local ok, problem = file:write(bytes)
    if not ok then return failed(problem) end
    size = size + #bytes
  end
  local ok, problem = file:close() -- the last bytes may be written here
  if not ok then return failed(problem) end
  kept, problem = os.rename(part, path)
  if not kept then return about(op, subject, "invalid", "cannot rename to " .. tostring(problem)) end
  return size
end

function images.save_image(client, names, options)
  local list = type(names) == "table" and names.id == nil and names or { names }
  if #list == 0 then core.misuse "save_image: no image is named" end
  local wanted = {}
  for i, name in ipairs(list) do wanted[i] = core.check_image("save_image", name) end
  options = core.check_options("save_image", options, SAVE)
  local subject = table.concat(wanted, " ")
  local one = #wanted == 1
  local stream, err = core.invoke(client, "save_image", subject, one and "ImageGet" or "ImageGetAll", {
    name = one and wanted[1] or nil, names = not one and wanted or nil,
    platform = platform_object("save_image", options.platform),
  }, {
    timeout = options.timeout, ctx = options.ctx, idle_timeout = options.idle_timeout,
    first_byte_timeout = options.first_byte_timeout,
  })
  if not stream then return nil, err end
  if not options.path then return stream, nil, nil, stream end
  local size, failure = to_file(stream, options.path, "save_image", subject)
  if not size then return nil, failure end
  return { path = options.path, size = size }
end

-- load and import ---------------------------------------------------------------------------------------------------

--- What is sent: bytes, a function, an object with read(), or { path = } for a file. Answers it, and what to close.
local function check_source(op, source)
  if type(source) == "table" and type(source.path) == "string" then
    local file, why = io.open(source.path, "rb")
    if not file then return about(op, source.path, "not_found", tostring(why)) end
    return function() return file:read(65536) end, file
  end
  local kind = type(source)
  if kind ~= "string" and kind ~= "function" and kind ~= "table" and kind ~= "userdata" then
    core.misuse(("%s: source: { path = }, string, function or an object with read() expected, got %s"):format(op, kind))
  end
  return source, nil
end

--- Sends a source with an operation and follows what the Engine says of it.
local function send(client, op, subject, operation, params, source, options, look)
  local body, file = check_source(op, source)
  if not body then return nil, file end
  local opened <close> = file -- luacheck: ignore
  params.body = body
  local stream, err = core.invoke(client, op, subject, operation, params, { timeout = options.timeout,
    ctx = options.ctx, idle_timeout = options.idle_timeout })
  if not stream then return nil, err end
  return follow(stream, options.on_progress, look)
end

function images.load_image(client, source, options)
  options = core.check_options("load_image", options, { on_progress = "function", platform = "string",
    idle_timeout = "seconds" })
  local platform = platform_object("load_image", options.platform)
  local found, err = send(client, "load_image", nil, "ImageLoad", { quiet = not options.on_progress,
    platform = platform and { platform } }, source, options, function(item, list)
    local name = type(item.stream) == "string" and item.stream:match("^Loaded image[^:]*: (%S+)")
    if not name then return list end
    list = list or {}
    list[#list + 1] = name
    return list
  end)
  if not found then return nil, err end
  return { images = found }
end

function images.import_image(client, source, options)
  options = core.check_options("import_image", options, { repository = "string", tag = "string", message = "string",
    platform = "string", changes = "string_or_table", on_progress = "function", idle_timeout = "seconds" })
  local changes = options.changes
  local found, err = send(client, "import_image", options.repository, "ImageCreate", {
    fromSrc = "-", repo = options.repository, tag = options.tag, message = options.message,
    platform = options.platform, changes = type(changes) == "table" and table.concat(changes, "\n") or changes,
  }, source, options, function(item)
    local id = type(item.status) == "string" and item.status:match("^(sha256:%x+)$")
    return id and { id = id }
  end)
  if not found then return nil, err end
  if not found.id then
    return about("import_image", options.repository or "image", "protocol", "the Engine named no image")
  end
  return found
end

-- push --------------------------------------------------------------------------------------------------------------

local PUSH <const> = { auth = "any", platform = "string", on_progress = "function", idle_timeout = "seconds" }

function images.push_image(client, image, tag, options)
  local name = core.check_image("push_image", image)
  options = core.check_options("push_image", options, PUSH, 3)
  if tag ~= nil and (type(tag) ~= "string" or tag == "") then core.misuse "push_image: tag: string expected" end
  local auth = options.auth
  if auth ~= nil and auth ~= false and type(auth) ~= "table" then
    core.misuse(("push_image: option 'auth': table or false expected, got %s"):format(type(auth)))
  end
  local platform = platform_object("push_image", options.platform)
  local reference, err = core.parse_reference(tag and name .. ":" .. tag or name)
  if not reference then core.misuse("push_image: " .. err.message) end
  if reference.digest then core.misuse "push_image: a digest cannot be pushed; name a tag" end
  local subject = reference.familiar .. ":" .. (reference.tag or "latest")
  local started, timeout = core.loop.now(), options.timeout
  local found
  if auth == nil then
    local credentials = require "docker_watcher.docker.credentials"
    found, err = credentials.find(client, reference.domain, options)
    if not found then return errors.about(err, "push_image", subject) end
    auth = found.auth
  end
  if timeout then timeout = math.max(0, timeout - (core.loop.now() - started)) end -- a helper may have taken some
  local stream
  stream, err = core.invoke(client, "push_image", subject, "ImagePush", {
    name = reference.familiar, tag = reference.tag or "latest", platform = platform,
  }, { auth = auth or nil, timeout = timeout, ctx = options.ctx, idle_timeout = options.idle_timeout })
  local pushed
  if stream then
    pushed, err = follow(stream, options.on_progress, function(item)
      local aux = type(item.aux) == "table" and item.aux
      if not aux or not aux.Digest then return nil end
      return { tag = aux.Tag, digest = aux.Digest, size = aux.Size }
    end)
  end
  if pushed then return pushed end
  if found then return require "docker_watcher.docker.credentials".explain(err, found) end
  return nil, err
end

-- search and history ------------------------------------------------------------------------------------------------

function images.search(client, term, options)
  if type(term) ~= "string" or term == "" then core.misuse "search: term: string expected" end
  options = core.check_options("search", options, { limit = "integer", official = "boolean", stars = "integer" })
  local filters
  if options.official ~= nil or options.stars then
    filters = { ["is-official"] = options.official ~= nil and { tostring(options.official) } or nil,
      stars = options.stars and { tostring(options.stars) } or nil }
  end
  local reply, err = core.invoke(client, "search", term, "ImageSearch", { term = term, limit = options.limit,
    filters = filters }, { timeout = options.timeout, ctx = options.ctx })
  if not reply then return nil, err end
  local list = {}
  for i, row in ipairs(reply) do
    list[i] = { name = row.name, description = row.description, stars = row.star_count, official = row.is_official }
  end
  return list
end

function images.image_history(client, image, options)
  local name = core.check_image("image_history", image)
  options = core.check_options("image_history", options, { platform = "string" })
  local reply, err = core.invoke(client, "image_history", name, "ImageHistory", { name = name,
    platform = platform_object("image_history", options.platform) }, { timeout = options.timeout, ctx = options.ctx })
  if not reply then return nil, err end
  local list = {}
  for i, row in ipairs(reply) do
    list[i] = { id = row.Id ~= "<missing>" and row.Id or nil, created = row.Created, created_by = row.CreatedBy,
      size = row.Size, comment = row.Comment ~= "" and row.Comment or nil, tags = row.Tags or {} }
  end
  return list
end

return images
