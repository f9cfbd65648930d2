-- top, changes, commit, stats, rename, pause, kill and the prunes on a real Engine.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"

local IDLE <const> = "echo new > /new; trap 'exit 0' TERM; while :; do sleep 0.1; done"

describe("of a running container", function()
  local client, id, name

  setup(function()
    client = assert(docker.connect { host = env.docker_host })
    name = env.name("more")
    id = assert(client:create_container { name = name, image = env.image, cmd = { "sh", "-c", IDLE } }).id
    assert(client:start_container(id))
    env.wait(10, "its first process", function() return client:exec(id, { "test", "-e", "/new" }).exit_code == 0 end)
  end)
  teardown(function()
    assert(client:remove_container(id, { force = true }))
    client:close()
  end)

  it("top lists the processes", function()
    local top = assert(client:top(id))
    local column
    for i, title in ipairs(top.titles) do
      if title == "CMD" or title == "COMMAND" then column = i end
    end
    assert.matches("sh %-c", top.processes[1][column])
    assert.is_truthy(assert(client:top(id, { ps_args = "-o pid,comm" })).titles[2]:find("COMMAND"))
  end)

  it("changes lists what differs from its image", function()
    local found
    for _, change in ipairs(assert(client:changes(id))) do
      if change.path == "/new" then found = change.kind end
    end
    assert.equal("added", found)
    local other = assert(client:create_container { image = env.image }).id
    local none = assert(client:changes(other))
    assert(client:remove_container(other))
    assert.same({}, none)
  end)

  it("stats streams records with figures worked out, or gives one", function()
    local seen = 0
    for record in client:stats(id, { timeout = 60 }) do
      seen = seen + 1
      assert.equal(name, record.name)
      assert.equal("integer", math.type(record.memory))
      if seen > 1 then
        assert.is_true(record.cpu_percent >= 0)
        break
      end
      assert.is_nil(record.cpu_percent)
    end
    assert.equal(2, seen)
    assert.is_number(assert(client:stats(id, { stream = false, timeout = 60 })).cpu_percent)
    local once = assert(client:stats(id, { one_shot = true, timeout = 60 }))
    assert.is_nil(once.cpu_percent)
    assert.same(once.raw.read, once.read)
  end)

  it("commit makes an image of it", function()
    local repository = env.name("dw-commit")
    local image = assert(client:commit(id, { repository = repository, tag = "x", message = "why", author = "me",
      changes = { "ENV A=b", "LABEL c=d" } }))
    env.dispose("image", repository .. ":x")
    local made = assert(client:inspect_image(image.id))
    assert.same({ repository .. ":x" }, made.tags)
    assert.equal("b", made.env.A)
    assert.equal("d", made.labels.c)
    local steps = assert(client:image_history(image.id))
    assert.equal("why", steps[1].comment)
    assert.same({ repository .. ":x" }, steps[1].tags)
    env.cleanup()
  end)

  it("pause, unpause, rename and kill do that, and say why they don't", function()
    assert.is_true(client:pause_container(id))
    local ok, err = client:pause_container(id)
    assert.is_nil(ok)
    assert.same({ "conflict", "pause_container", id }, { err.kind, err.op, err.subject })
    assert.equal("paused", assert(client:inspect_container(id)).state)
    assert.is_true(client:unpause_container(id))
    assert.is_true(client:rename_container(id, name .. "-b"))
    assert.equal(name .. "-b", assert(client:inspect_container(id)).name)
    ok, err = client:rename_container(env.name("gone"), "x-y")
    assert.is_nil(ok)
    assert.equal("not_found", err.kind)
    assert.is_true(client:rename_container(id, name))
    assert.is_true(client:kill_container(id, { signal = "SIGCONT" }))
    assert.equal("running", assert(client:inspect_container(id)).state)
  end)

  it("prune_containers leaves it alone, and takes what has ended", function()
    local label = env.name("dw-prune")
    local ended = assert(client:create_container { image = env.image, labels = { [label] = "yes" } }).id
    local pruned = assert(client:prune_containers { labels = { [label] = "no" } })
    assert.same({}, pruned.deleted)
    pruned = assert(client:prune_containers { labels = { [label] = "yes" } })
    assert.same({ ended }, pruned.deleted)
    assert.equal(0, pruned.space_reclaimed)
    assert.equal("running", assert(client:inspect_container(id)).state)
  end)

  it("prune_networks and prune_volumes take what nobody uses", function()
    local label = env.name("dw-prune")
    local network = assert(client:ensure_network(env.name("net"), { labels = { [label] = "1" } }))
    assert.same({ network.name }, assert(client:prune_networks { labels = { [label] = true } }).deleted)
    local volume = assert(client:call("VolumeCreate", { body = { Labels = { [label] = "1" } } })).Name
    assert.same({ volume }, assert(client:prune_volumes { labels = { [label] = true } }).deleted)
  end)

  it("system_df adds up what the Engine has", function()
    local usage = assert(client:system_df())
    assert.is_true(usage.images.count >= 1 and usage.images.size > 0 and usage.images.active >= 1)
    assert.is_true(usage.containers.count >= 1 and usage.containers.active >= 1)
    for _, kind in ipairs { "images", "containers", "volumes", "build_cache" } do
      for _, figure in ipairs { "count", "active", "size", "reclaimable" } do
        assert.equal("integer", math.type(usage[kind][figure]), kind .. " " .. figure)
      end
    end
  end)
end)
