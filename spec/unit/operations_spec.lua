-- Each operation of the newest specification through client:call, with all its parameters, against a scripted server:
-- verb, path, query, headers, kind of body, kind of result. The facts come from the specification's file
-- (spec/support/specification.lua), not from src/ops.c.

local cjson = require "cjson"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"
local specification = require "spec.support.specification"

local NEWEST = "1.55"

-- Asked for, these say what to use instead.
local left_out = { Session = "docker buildx build", ContainerAttachWebsocket = "use ContainerAttach" }

-- Replies that the specification does not type, or not as they are: src/ops.c has the reasons.
local results = {
  ContainerExport = "bytes", ContainerArchive = "bytes", ContainerAttach = "two-way", ExecStart = "two-way",
  ContainerStats = "items", SystemEvents = "items", ImageBuild = "items", ImageCreate = "items", ImagePush = "items",
  ImageLoad = "items", PluginPull = "items", PluginPush = "items", PluginUpgrade = "items", PluginDelete = "true",
  ContainerArchiveInfo = "headers", SystemPingHead = "headers", SystemPing = "ping",
  ContainerLogs = "output", ServiceLogs = "output", TaskLogs = "output",
}
local by_reply = { object = "table", array = "table", string = "string", none = "true", binary = "bytes" }
local function result_of(operation)
  return results[operation.id] or by_reply[operation.reply]
end

-- A value for a parameter, and the texts that must be sent for it.
local function sample(name, kind)
  if name == "filters" then return { label = { "a=b&c" } }, { '{"label":["a=b&c"]}' } end
  if kind == "boolean" then return true, { "true" } end
  if kind == "integer" then return 7, { "7" } end
  if kind == "array" then return { "x y", "z" }, { "x y", "z" } end
  return "v-" .. name .. " &=%/é", { "v-" .. name .. " &=%/é" }
end

local function by_reference(path)
  return path:find "^/images/" or path:find "^/distribution/" or path:find "^/plugins/"
end

local function request_of(operation)
  local params, query, names = {}, {}, {}
  local value = by_reference(operation.path) and "reg.example:5000/a/b:1" or "some_id.1"
  local path = operation.path:gsub("{(.-)}", function(name)
    names[name] = true
    params[name] = value
    return value
  end)
  for name, kind in pairs(operation.types) do
    if not names[name] then params[name], query[name] = sample(name, kind) end
  end
  if operation.body == "object" then params.body = { Some = { "thing" } } end
  if operation.body == "array" then params.body = { "thing" } end
  if operation.body == "stream" then params.body = "an archive\0" end
  for _, name in ipairs(operation.header) do
    if name == "X-Registry-Config" then params[name] = { ["reg.example"] = { username = "a", password = "b" } } end
    if name == "Content-type" then params[name] = "application/x-tar; a=b" end
  end
  return params, "/v" .. NEWEST .. path, query
end

local function reply_to(operation)
  local kind = result_of(operation)
  if kind == "two-way" then
    return { raw = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
      .. "Upgrade: tcp\r\n\r\nout", after = "close" }
  end
  local bodies = { items = '{"a":1}\n{"a":2}', output = "\2\0\0\0\0\0\0\3err", bytes = "bytes", string = '"text"',
    table = operation.reply == "array" and '[{"a":1}]' or '{"a":1}', ping = "OK" }
  return { status = kind == "items" and 200 or operation.good[1], body = bodies[kind] or "",
    headers = { ["X-Some"] = "header" } }
end

local function drain(stream)
  assert.is_userdata(stream)
  local items = {}
  while true do
    local item, more = stream:read()
    if item == nil then
      assert.is_nil(more)
      return items
    end
    items[#items + 1] = item
    items.output = more or items.output
  end
end

local check = {
  table = function(operation, result)
    assert.same(operation.reply == "array" and { { a = 1 } } or { a = 1 }, result)
  end,
  string = function(_, result) assert.equal("text", result) end,
  ["true"] = function(_, result) assert.is_true(result) end,
  headers = function(_, result) assert.equal("header", result["x-some"]) end,
  ping = function(_, result) assert.is_table(result) end,
  items = function(_, result) assert.same({ { a = 1 }, { a = 2 } }, drain(result)) end,
  output = function(_, result) assert.same({ "err", output = "stderr" }, drain(result)) end,
  bytes = function(_, result) assert.same({ "bytes" }, drain(result)) end,
  ["two-way"] = function(_, result)
    assert.is_true(result:close_write())
    assert.same({ "out", output = "stdout" }, drain(result))
  end,
}

-- "/path?a=1&a=2&b=3" → "/path", { a = { "1", "2" }, b = { "3" } }
local function split(target)
  local path, text = target:match "^([^?]*)%??(.*)$"
  local query = {}
  local function plain(part) return (part:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)) end
  for name, value in text:gmatch "([^&=]+)=([^&]*)" do
    query[name] = query[name] or {}
    table.insert(query[name], plain(value))
  end
  return plain(path), query
end

local function check_body(operation, request)
  local kind = request.headers["content-type"]
  if operation.id == "ImageBuild" then
    assert.same({ "an archive\0", "application/x-tar; a=b" }, { request.body, kind })
  elseif operation.body == "stream" then
    assert.same({ "an archive\0", "application/x-tar" }, { request.body, kind })
  elseif operation.body == "none" then
    assert.same({ "" }, { request.body, kind })
  else
    assert.equal("application/json", kind)
    assert.same(operation.body == "array" and { "thing" } or { Some = { "thing" } }, cjson.decode(request.body))
  end
end

describe("client:call", function()
  local operations = specification.read()
  local client, server

  setup(function()
    local routes = {}
    for i, operation in ipairs(operations) do
      local _, path = request_of(operation)
      if operation.id == "SystemPing" then path = "/_ping" end
      routes[i] = { method = operation.verb, path = path, reply = reply_to(operation) }
    end
    server = scripted.start { api_version = NEWEST, routes = routes }
    client = assert(docker.connect { host = server.host, api_version = NEWEST, timeout = 20 })
  end)
  teardown(function()
    client:close()
    server:stop()
    env.cleanup()
  end)

  local function last_request()
    local requests = server:requests()
    return requests[#requests]
  end

  for _, operation in ipairs(operations) do
    local hint = left_out[operation.id]
    it((hint and "does not offer " or "reaches ") .. operation.id, function()
      local params, path, query = request_of(operation)
      if hint then
        assert.error_matches(function() client:call(operation.id, params) end, hint)
        return
      end
      local with_auth = false
      for _, name in ipairs(operation.header) do with_auth = with_auth or name == "X-Registry-Auth" end
      local options = with_auth and { auth = { username = "ann", password = "secret" } } or nil
      local result, err = client:call(operation.id, params, options)
      assert.is_truthy(result, tostring(err))
      check[result_of(operation)](operation, result)
      local request = last_request()
      if operation.id == "SystemPing" then -- _ping is asked for without version, and by HEAD
        assert.same({ "HEAD", "/_ping" }, { request.method, request.path })
        return
      end
      local sent_path, sent_query = split(request.path)
      assert.same({ operation.verb, path }, { request.method, sent_path })
      assert.same(query, sent_query)
      check_body(operation, request)
      if with_auth then assert.is_string(request.headers["x-registry-auth"]) end
      for _, name in ipairs(operation.header) do assert.is_string(request.headers[name:lower()]) end
    end)
  end

  it("sends an empty body as what it is: [] for plugins, {} else", function()
    for _, operation in ipairs(operations) do
      if operation.body == "object" or operation.body == "array" then
        local want = operation.body == "array" and "[]" or "{}"
        for _, body in ipairs { {}, false } do
          local params = request_of(operation)
          params.body = body or nil
          assert.is_truthy(client:call(operation.id, params))
          local sent = last_request().body
          assert.is_true(sent == want or (not body and operation.verb ~= "POST" and sent == ""), operation.id .. sent)
        end
      end
    end
  end)
end)
