-- One client, and an Engine that is replaced by another one at the same address: a newer one that refuses the old API
-- versions, and back. Real Engines: Debian's 20.10 (1.41 at most) and 28.5 of Debian's next release, started with 1.44
-- at least. The address is a symbolic link that is moved from one socket to the other. Both are started here, whatever
-- engine the other specs run on.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"

-- tostring(client) says which version is spoken.
local function spoken(client) return tostring(client):match("API (1%.%d+)%)$") end

describe("an Engine that is replaced under a living client #once #matrix", function()
  local old, new, address, client

  -- From now on this engine answers at the address; the other one ends, and with it all connections.
  local function replace(by, ended)
    env.run(("ln -sfn %s %s.next && mv -T %s.next %s"):format(
      env.quote(by.host:match("^unix://(.*)")), address, address, address))
    if ended then ended:restart("--stop") end
  end

  before_each(function()
    old = env.start_engine()
    new = env.start_engine("--suite forky --min-api 1.44")
    address = env.tmpdir() .. "/docker.sock"
    for _, engine in ipairs { old, new } do
      env.run("DOCKER_HOST=" .. engine.host .. " spec/support/tinyimage --load web:1 --expose 80")
    end
    replace(old)
    client = assert(docker.connect { host = "unix://" .. address })
  end)
  after_each(function()
    client:close()
    env.cleanup()
  end)

  it("is followed to a new range of versions and back, with idle connections that died in between", function()
    assert(client:create_container { image = "web:1", name = "first" })
    assert(client:start_container("first"))
    assert.equal("1.41", spoken(client))
    -- Several idle connections, not just one.
    loop.run(function()
      for _ = 1, 5 do loop.spawn(function() assert(client:inspect_container("first")) end) end
    end)
    assert.is_true(client:connections() > 1)

    replace(new, old)
    -- The first thing that is asked may change something: it must be done, and once.
    local created = assert(client:create_container { image = "web:1", name = "second", ports = "exposed",
      healthcheck = { test = { "CMD", "true" }, start_interval = 1, start_period = 60, interval = 60 } })
    assert.equal("1.51", spoken(client))
    assert(client:start_container("second"))
    assert(client:wait_healthy("second", { timeout = 30 }))
    local names = {}
    for i, container in ipairs(assert(client:list_containers { all = true })) do names[i] = container.name end
    assert.same({ "second" }, names)
    assert.is_true(assert(client:inspect_container(created.id)).ports["80/tcp"][1].host_port > 0)
    assert(client:remove_container("second", { force = true }))

    old:restart() -- it had been stopped
    replace(old, new)
    assert.equal("exited", assert(client:inspect_container("first")).state)
    assert.equal("1.41", spoken(client))
    local result, err = client:create_container { image = "web:1", name = "third",
      healthcheck = { test = { "CMD", "true" }, start_interval = 1 } }
    assert.is_nil(result)
    assert.equal("version", err.kind)
    assert.matches("StartInterval needs API version 1.44", err.message)
    assert.equal(404, (env.engine("GET", "/containers/third/json", nil, old.host)))
    assert(client:start_container("first"))
  end)

  it("is followed by many calls at once, of which none is lost or done twice", function()
    assert(client:ping())
    for _, engine in ipairs { new, old } do
      replace(engine, engine == new and old or new) -- were it still there, calls could go there
      loop.run(function()
        for i = 1, 20 do
          loop.spawn(function() assert(client:create_container { image = "web:1", name = "many" .. i }) end)
        end
      end)
      local _, containers = env.engine("GET", "/containers/json?all=1", nil, engine.host)
      assert.equal(20, #containers)
      if engine == new then old:restart() end
    end
  end)

  it("leaves what it lacks refused, and is asked again each time", function()
    local function update() return client:call("VolumeUpdate", { name = "v", version = 1, body = { Spec = {} } }) end
    local value, err = update()
    assert.is_nil(value)
    assert.equal("version", err.kind)
    replace(new, old)
    value, err = update() -- the new one has it, and says what is wrong
    assert.is_nil(value)
    assert.not_equal("version", err.kind)
    assert.equal("1.51", spoken(client))
  end)

  it("fails in between as unreachable, and is there again as soon as there is one", function()
    assert(client:info())
    replace(new, old)
    new:restart("--stop")
    local value, err = client:info()
    assert.is_nil(value)
    assert.equal("unreachable", err.kind)
    new:restart()
    assert(client:info())
    assert.equal("1.51", spoken(client))
  end)
end)
