-- An Engine that is killed while every kind of stream is under way: each ends as interrupted, never as if that had been
-- all, and the same client works again as soon as there is an Engine again.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"
local scripted = require "spec.support.scripted"

local DIGEST = "sha256:" .. ("5e"):rep(32)
local MANIFEST = {
  schemaVersion = 2, mediaType = "application/vnd.docker.distribution.manifest.v2+json",
  config = { mediaType = "application/vnd.docker.container.image.v1+json", size = 1000, digest = DIGEST },
  layers = { { mediaType = "application/vnd.docker.image.rootfs.diff.tar.gzip", size = 1000, digest = DIGEST } },
}

--- A registry that has a manifest, and gives or takes no blob: it never answers.
local function stalling_registry()
  local server = scripted.start { unix = false, api_version = false, routes = {
    { path = "/v2/", reply = { json = {} } },
    { prefix = "/v2/stalled/manifests/", reply = { json = MANIFEST, type = MANIFEST.mediaType } },
    { prefix = "/v2/stalled/blobs/", reply = { delay = 600 } },
  } }
  env.defer(function() server:stop() end)
  return server.host:match "^tcp://(.*)$"
end

--- The head of an archive's entry of a gibibyte: more than anybody will send.
local function entry_head(name)
  local head = string.pack("c100c8c8c8c12c12c8c1c100c6c2c247", name, "0000644", "0000000", "0000000", "10000000000",
    "00000000000", (" "):rep(8), "0", "", "ustar", "00", "")
  local sum = 0
  for i = 1, #head do sum = sum + head:byte(i) end
  return head:sub(1, 148) .. ("%06o\0 "):format(sum) .. head:sub(157)
end

--- Reads to the end; the error that was there.
local function drain(stream)
  while true do
    local item, detail = stream:read()
    if item == nil then return detail end
  end
end

describe("an Engine that is killed", function()
  local engine, client, results

  -- Everything is under way on one client when the Engine is killed; results[name] is what each ended with.
  setup(function()
    engine = env.start_engine()
    env.run(("DOCKER_HOST=%s spec/support/tinyimage --load dw-fault:1 --pad 20000"):format(engine.host))
    client = assert(docker.connect { host = engine.host })
    env.defer(function() client:close() end)
    results = {}
    local registry = stalling_registry()
    local function container(script, options)
      options = options or {}
      options.image, options.cmd = "dw-fault:1", { "sh", "-c", script }
      local id = assert(client:create_container(options)).id
      assert(client:start_container(id))
      return id
    end
    loop.run(function()
      local id = container("while :; do echo line; sleep 0.05; done", { open_stdin = true })
      local terminal = container("while :; do echo line; sleep 0.05; done", { tty = true })
      -- The Engine lets nobody else have a container that it packs or fills.
      local packed, filled = container "exec sleep 600", container "exec sleep 600"
      assert(client:tag_image("dw-fault:1", registry .. "/stalled:1"))
      local streams = {
        logs = client:logs(id, { follow = true }),
        ["logs of a terminal"] = client:logs(terminal, { follow = true }),
        events = client:events { reconnect = false },
        stats = client:stats(id),
        save_image = client:save_image "dw-fault:1",
        export = client:export(id),
        copy_out = client:copy_out(packed, "/"),
        exec_stream = client:exec_stream(id, { "sh", "-c", "echo line; exec sleep 600" }),
        attach = client:attach(id),
        ["attach to a terminal"] = client:attach(terminal),
      }
      for name, stream in pairs(streams) do
        if name ~= "events" then assert(stream:read()) end -- it is under way
      end
      local tasks, waiting = {}, 0
      local function under_way(name, fn)
        waiting = waiting + 1
        local told
        tasks[name] = loop.spawn(fn, function()
          if not told then waiting = waiting - 1 end
          told = true
        end)
      end
      under_way("exec", function(tell)
        return client:exec(id, { "cat" }, { stdin = function()
          tell()
          loop.sleep(0.02)
          return "x"
        end })
      end)
      for _, name in ipairs { "pull_image", "push_image" } do
        under_way(name, function(tell)
          return client[name](client, registry .. "/stalled", "1", { on_progress = tell })
        end)
      end
      local function upload(tell)
        local head = entry_head "Dockerfile"
        return function()
          if head then
            local bytes = head
            head = nil
            return bytes
          end
          tell()
          loop.sleep(0.02)
          return ("#"):rep(4096)
        end
      end
      under_way("build_image", function(tell) return client:build_image { context = upload(tell) } end)
      under_way("load_image", function(tell) return client:load_image(upload(tell)) end)
      under_way("copy_in", function(tell) return client:copy_in(filled, "/tmp", upload(tell)) end)
      under_way("wait_container", function(tell)
        tell()
        return client:wait_container(id)
      end)
      for _ = 1, 500 do
        if waiting == 0 then break end
        loop.sleep(0.02)
      end
      assert.equal(0, waiting)
      loop.sleep(0.1) -- the wait is sent
      env.run(("kill -9 %s"):format(env.read_file(engine.dir .. "/docker.pid"):match "%d+"))
      for name, stream in pairs(streams) do
        results[name] = drain(stream) or "a clean end"
        stream:close()
      end
      for name, task in pairs(tasks) do
        local value, err = task:join()
        results[name] = value == nil and err or "a result"
      end
    end)
    engine:restart "--kill"
  end)
  teardown(env.cleanup)

  for _, name in ipairs {
    "logs", "logs of a terminal", "events", "stats", "save_image", "export", "copy_out", "exec_stream", "attach",
    "attach to a terminal", "exec", "pull_image", "push_image", "build_image", "load_image", "copy_in",
    "wait_container",
  } do
    it("interrupts " .. name, function()
      local err = results[name]
      assert.equal("table", type(err), tostring(err))
      assert.equal("interrupted", err.kind, tostring(err))
    end)
  end

  it("is forgotten by the same client, once it is there again", function()
    local cmd = { "sh", "-c", "echo again; exec sleep 600" }
    local id = assert(client:create_container { image = "dw-fault:1", cmd = cmd }).id
    assert(client:start_container(id))
    local stream <close> = assert(client:logs(id, { follow = true, timeout = 30 }))
    assert.equal("again\n", (stream:read()))
    assert.equal("ok\n", assert(client:exec(id, { "echo", "ok" }, { timeout = 30 })).stdout)
    local archive <close> = assert(client:export(id))
    assert.is_string(archive:read())
    assert.is_number(assert(client:stats(id, { one_shot = true, timeout = 30 })).memory)
    assert(client:remove_container(id, { force = true }))
  end)
end)
