-- events on a real Engine: also one that is killed, restarted and that forgets.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local scripted = require "spec.support.scripted"

describe("events", function()
  after_each(env.cleanup)

  local function volume(client, name)
    assert(client:call("VolumeCreate", { body = { Name = name } }))
    return name
  end

  it("come as they happen, filtered, in the contract's shape", function()
    local client <close> = assert(docker.connect { host = env.docker_host })
    local name = env.name("ev")
    local stream <close> = assert(client:events { filters = { type = "volume" }, timeout = 30 })
    env.dispose("volume", volume(client, name))
    local event
    repeat event = assert(stream:read()) until event.id == name
    assert.same({ "volume", "create", "local" }, { event.type, event.action, event.scope })
    assert.equal("integer", math.type(event.time_nano))
    assert.is_true(math.abs(event.time - os.time()) < 3600)
    assert.equal(event.id, event.raw.Actor.ID)
  end)

  it("of the past come with since, and end at until_", function()
    local client <close> = assert(docker.connect { host = env.docker_host })
    local name, before = env.name("ev"), os.time() - 1
    env.dispose("volume", volume(client, name))
    local seen = {}
    local stream = client:events { since = before, until_ = os.time() + 2, filters = { volume = name }, timeout = 30 }
    for event in stream do seen[#seen + 1] = event.action end
    assert.same({ "create" }, seen)
  end)

  it("end at the deadline, at a cancel and at close", function()
    local client <close> = assert(docker.connect { host = env.docker_host })
    local stream <close> = assert(client:events { timeout = 0.3, filters = { volume = "none" } })
    local event, err = stream:read()
    assert.is_nil(event)
    assert.equal("timeout", err.kind)
    assert.same({ nil, err }, { stream:read() }) -- and again
    local ctx = docker.context {}
    local other <close> = assert(client:events { ctx = ctx, filters = { volume = "none" } })
    loop.run(function()
      loop.spawn(function()
        loop.sleep(0.1)
        ctx:cancel("enough")
      end)
      event, err = other:read()
    end)
    assert.is_nil(event)
    assert.equal("cancelled", err.kind)
    other:close()
    assert.has_error(function() other:read() end)
  end)

  it("go on after the Engine was killed, with a gap where it has forgotten", function()
    local engine = env.start_engine()
    local client <close> = assert(docker.connect { host = engine.host })
    local stream <close> = assert(client:events { filters = { type = "volume" }, timeout = 60 })
    volume(client, "first")
    assert.equal("first", assert(stream:read()).id)
    engine:restart("--kill")
    volume(client, "second")
    local gap = assert(stream:read())
    assert.equal("gap", gap.type)
    assert.equal("interrupted", gap.cause.kind)
    local event = assert(stream:read())
    assert.same({ "create", "second" }, { event.action, event.id })
  end)

  it("that a lost connection held back come once, and without a gap", function()
    -- A server between us and the Engine's words: the first connection is cut behind one event; the second tells that
    -- one again and a new one; the question whether the first is still kept is answered.
    local function raw(n)
      return ('{"Type":"volume","Action":"create","Actor":{"ID":"v%d","Attributes":{}},"scope":"local",'
        .. '"time":1700000000,"timeNano":17000000000000000%02d}\n'):format(n, n)
    end
    local stream_of = function(body, cut)
      return { type = "application/json", framing = "chunked", body = body, cut = cut }
    end
    local server <close> = scripted.start {
      routes = {
        { path = "/_ping", reply = { headers = { ["Api-Version"] = "1.41" }, body = "OK" } },
        { prefix = "/v1.41/events", replies = {
          stream_of(raw(1), #raw(1) + 200), stream_of(raw(1) .. raw(2)), stream_of(raw(1)), stream_of(raw(3)) } },
      },
    }
    local client <close> = assert(docker.connect { host = server.host })
    local stream <close> = assert(client:events { timeout = 20 })
    assert.equal("v1", assert(stream:read()).id)
    assert.equal("v2", assert(stream:read()).id)
    assert.matches("since=1699999999%.000000001", server:requests()[3].path)
  end)

  it("asked for from a time on are so again where the first connection brought none", function()
    local server <close> = scripted.start {
      routes = {
        { path = "/_ping", reply = { headers = { ["Api-Version"] = "1.41" }, body = "OK" } },
        { prefix = "/v1.41/events", replies = {
          { type = "application/json", framing = "chunked", body = "" },
          { type = "application/json", framing = "chunked", body = '{"Type":"volume","Action":"create",'
            .. '"Actor":{"ID":"v"},"time":1700000001,"timeNano":1700000001000000000}\n' },
        } },
      },
    }
    local client <close> = assert(docker.connect { host = server.host })
    local stream <close> = assert(client:events { since = 1700000000, timeout = 20 })
    assert.equal("gap", assert(stream:read()).type)
    assert.equal("v", assert(stream:read()).id)
    assert.matches("since=1700000000%.000000000", server:requests()[3].path)
  end)

  it("end as interrupted with reconnect = false", function()
    local engine = env.start_engine()
    local client <close> = assert(docker.connect { host = engine.host })
    local stream <close> = assert(client:events { reconnect = false, timeout = 60 })
    engine:restart("--stop")
    local event, err
    repeat event, err = stream:read() until not event
    assert.equal("interrupted", err.kind)
  end)
end)
