-- src/ops.c: the table of Engine operations, row by row against an extract of the Engine API's specification
-- (spec/fixtures/engine-api-operations.txt, made by spec/support/spec-extract.py).

local core = require "docker_watcher.core"
local specification = require "spec.support.specification"

-- What the daemon does beyond its specification, or the project decided; src/ops.c has the reasons.
local beyond = {
  BuildPrune = { query = { "keep-storage" } },
  DistributionInspect = { header = { "X-Registry-Auth" } },
  GetPluginPrivileges = { header = { "X-Registry-Auth" } },
  PluginPush = { header = { "X-Registry-Auth" } },
  ExecStart = { good = { 101 } },
  PluginDelete = { reply = "empty" }, -- nothing is sent
  SystemPingHead = { reply = "empty" },
  PluginPull = { good = { 200 } },
  PluginUpgrade = { good = { 200 } },
}

-- Names that the specification types as an array in one place and as an object in another: an empty table is {}.
local ambiguous = { Config = true, Options = true }

local function with(list, more)
  local all = table.move(list, 1, #list, 1, {})
  table.move(more or {}, 1, #(more or {}), #all + 1, all)
  table.sort(all)
  return all
end

local specified, fields = specification.read()
local rows, by_id = core.operations(), {}
for _, row in ipairs(rows) do by_id[row.id] = row end

describe("the table of operations", function()
  it("has the specification's operations and no others, sorted", function()
    assert.is_true(#specified >= 108)
    local want, have = {}, {}
    for i, operation in ipairs(specified) do want[i] = operation.id end
    for i, row in ipairs(rows) do have[i] = row.id end
    table.sort(want)
    assert.same(want, have)
  end)

  for _, operation in ipairs(specified) do
    it("states the specification's facts about " .. operation.id, function()
      local row, more = by_id[operation.id], beyond[operation.id] or {}
      local body = (operation.body == "object" or operation.body == "array") and "json" or operation.body
      assert.same({ operation.verb, operation.path, body, operation.since },
        { row.verb, row.path, row.body, row.since })
      assert.same(with(operation.query, more.query), with(row.query))
      assert.same(with(operation.header, more.header), with(row.header))
      assert.same(with(operation.good, more.good), with(row.good))
      local replies = { object = "json items", array = "json", string = "text json", binary = "frames bytes",
        none = "empty progress bytes hijack", upgrade = "hijack" }
      local may_be = more.reply or replies[operation.reply]
      assert.truthy((" " .. may_be .. " "):find(" " .. row.reply .. " ", 1, true), row.reply)
    end)
  end

  it("goes beyond the specification only where it says so", function()
    for id, more in pairs(beyond) do
      local row = by_id[id]
      if more.reply then assert.equal(more.reply, row.reply) end
      for part, list in pairs { query = more.query, header = more.header, good = more.good } do
        local found = 0
        for _, have in ipairs(row[part]) do
          for _, one in ipairs(list) do found = found + (have == one and 1 or 0) end
        end
        assert.equal(#list, found, id)
      end
    end
  end)

  it("agrees with itself", function()
    local replies = { empty = 0, json = 0, text = 0, frames = 0, items = 0, progress = 0, bytes = 0, hijack = 0 }
    for _, row in ipairs(rows) do
      replies[row.reply] = replies[row.reply] + 1 -- an unknown kind is an error
      assert.matches("^/[%w/_{}]*$", row.path)
      if row.verb == "HEAD" then assert.equal("empty", row.reply) end
      if row.verb == "GET" then assert.equal("none", row.body) end
      if row.reply == "hijack" then assert.same({ 101, false }, { with(row.good)[1], row.idempotent }) end
      if row.body == "stream" then assert.is_false(row.idempotent, row.id) end
      if row.id:match("Create$") or row.id:match("Update$") and #row.query > 0 then
        assert.is_false(row.idempotent, row.id)
      end
      local minor = math.tointeger(row.since:match("^1%.(%d+)$"))
      assert.is_true(minor >= 41 and minor <= 55)
    end
    for kind, count in pairs(replies) do assert.is_true(count > 0, kind) end
  end)

  it("knows which replies are streams, and which connections become two-way", function()
    local have = { frames = {}, items = {}, progress = {}, bytes = {}, hijack = {}, text = {} }
    for _, row in ipairs(rows) do
      local list = have[row.reply]
      if list then list[#list + 1] = row.id end
    end
    assert.same({ "SystemPing" }, have.text)
    assert.same({ "ContainerAttach", "ContainerAttachWebsocket", "ExecStart", "Session" }, have.hijack)
    assert.same({ "ContainerLogs", "ServiceLogs", "TaskLogs" }, have.frames)
    assert.same({ "ContainerStats", "SystemEvents" }, have.items)
    assert.same({ "ImageBuild", "ImageCreate", "ImageLoad", "ImagePush", "PluginPull", "PluginPush", "PluginUpgrade" },
      have.progress)
    assert.same({ "ContainerArchive", "ContainerExport", "ImageGet", "ImageGetAll" }, have.bytes)
  end)

  it("repeats a POST only where that is harmless", function()
    local again = {}
    for _, row in ipairs(rows) do
      if row.verb == "POST" and row.idempotent then again[#again + 1] = row.id end
    end
    assert.same({ "ContainerResize", "ContainerStart", "ContainerStop", "ContainerUpdate", "ExecResize", "ImagePush",
      "ImageTag", "PluginSet", "SystemAuth" }, again)
  end)

  it("is made anew for each caller", function()
    core.operations()[1].query[1] = "spoilt"
    assert.are_not.equal("spoilt", core.operations()[1].query[1])
  end)
end)

describe("an empty table under a field's name", function()
  it("is an array where the specification has arrays only", function()
    local arrays = 0
    for _, field in ipairs(fields) do
      local array = field.kinds:find("array", 1, true) ~= nil
      if array and field.kinds:find("object", 1, true) then
        assert.is_true(ambiguous[field.name], field.name .. " is both")
        array = false
      end
      assert.equal(array, rows.is_array_field(field.name), field.name)
      arrays = arrays + (array and 1 or 0)
    end
    assert.is_true(arrays > 50)
  end)
  it("is an object under any other name", function()
    for _, name in ipairs { "", "C", "Cm", "Cmd2", "cmd", "Cmd\0", "Env\0x", "\0", "Labels", "HostConfig", "80/tcp",
      "PortBindings", "ZZZ", "AAA", "VolumesFromX", "Config", "Options" } do
      assert.is_false(rows.is_array_field(name), name)
    end
  end)
end)
