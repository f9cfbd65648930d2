-- ensure_network, connect_network, disconnect_network: on the real Engine, with races that are real; what other
-- versions of it answer, and duplicates that others made, come from a scripted server.

local cjson = require "cjson"
local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local given = require "spec.support.given"
local scripted = require "spec.support.scripted"

local failed = given.failure

local RACERS = 20

describe("networks", function()
  local client

  before_each(function() client = given.client() end)
  after_each(env.cleanup)

  local function new_name() return env.dispose("network", env.name("dw-networks")) end

  local function networks(name)
    local found = {}
    local _, all = env.engine("GET", "/networks")
    for _, network in ipairs(all) do
      if network.Name == name then found[#found + 1] = network end
    end
    return found
  end

  local function inspect(name)
    local status, network = env.engine("GET", "/networks/" .. name)
    assert.equal(200, status)
    return network
  end

  describe("ensure_network", function()
    it("makes a network once", function()
      local name = new_name()
      local first = assert(client:ensure_network(name, { labels = { team = "web" } }))
      local network = inspect(name)
      assert.same({ id = network.Id, name = name, created = true }, first)
      assert.same({ team = "web" }, network.Labels)
      assert.equal("bridge", network.Driver)
      first.created = false
      assert.same(first, client:ensure_network(name))
      assert.same(first, client:ensure_network(name, { internal = true })) -- as it is
      assert.is_false(inspect(name).Internal)
    end)

    it("passes its options on", function()
      local name = new_name()
      assert(client:ensure_network(name, { driver = "bridge", internal = true, attachable = true,
        subnet = "10.213.77.0/24", gateway = "10.213.77.9", ip_range = "10.213.77.128/25",
        options = { ["com.docker.network.driver.mtu"] = "1400" } }))
      local network = inspect(name)
      assert.is_true(network.Internal)
      assert.is_true(network.Attachable)
      assert.same({ { Subnet = "10.213.77.0/24", Gateway = "10.213.77.9", IPRange = "10.213.77.128/25" } },
        network.IPAM.Config)
      assert.equal("1400", network.Options["com.docker.network.driver.mtu"])
    end)

    it("takes the predefined networks as they are", function()
      for _, name in ipairs { "bridge", "host", "none" } do
        local result = assert(client:ensure_network(name))
        assert.is_false(result.created)
        assert.equal(inspect(name).Id, result.id)
      end
    end)

    it("isn't misled by names that hold or resemble the name (semantics 30)", function()
      local name = new_name()
      local dotted = env.dispose("network", name:gsub("%-", ".", 1))
      for _, other in ipairs { name .. "-2", "my-" .. name } do
        assert.equal(201, (env.engine("POST", "/networks/create", { Name = env.dispose("network", other) })))
      end
      assert.is_true(client:ensure_network(name).created)
      assert.is_true(client:ensure_network(dotted).created) -- as a pattern it would fit the one before
      assert.is_false(client:ensure_network(dotted).created)
    end)

    local function check_race(name, results)
      local created = 0
      local left = networks(name)
      assert.equal(1, #left)
      assert.equal(RACERS, #results)
      for _, result in ipairs(results) do
        assert.equal(left[1].Id, result.id)
        if result.created then created = created + 1 end
      end
      assert.equal(1, created)
    end

    it("makes one network, and tells everybody of it, where 20 tasks race (semantics 32)", function()
      for _ = 1, 3 do
        local name, results = new_name(), {}
        loop.run(function()
          for _ = 1, RACERS do
            loop.spawn(function()
              local result = assert(client:ensure_network(name))
              results[#results + 1] = result
            end)
          end
        end)
        check_race(name, results)
      end
    end)

    it("makes one network where 20 processes race (semantics 32)", function()
      local name, results, pipes = new_name(), {}, {}
      local code = [[
        local client = require("docker_watcher.docker").connect {}
        client:ping()
        io.write("ready\n"):flush()
        local go = arg[1]
        repeat local f = io.open(go) until f
        local result = assert(client:ensure_network(arg[2]))
        print(result.id, result.created)
      ]]
      local dir = env.tmpdir()
      env.write_file(dir .. "/race.lua", code)
      for i = 1, RACERS do
        pipes[i] = assert(io.popen(("%s %s/race.lua %s/go %s"):format(env.lua, dir, dir, name)))
      end
      for i = 1, RACERS do assert.equal("ready", pipes[i]:read("l")) end
      env.write_file(dir .. "/go", "")
      for i = 1, RACERS do
        local id, created = pipes[i]:read("a"):match("^(%x+)\t(%a+)\n$")
        results[i] = { id = id, created = created == "true" }
        assert.is_true(pipes[i]:close())
      end
      check_race(name, results)
    end)

    it("says what the Engine says where it can't be made", function()
      local err = failed("forbidden", client:ensure_network("default"))
      assert.equal("default", err.subject)
      assert.matches("^ensure_network default: ", tostring(err))
      err = failed("not_found", client:ensure_network(new_name(), { driver = "no-such-driver" }))
      assert.matches("no%-such%-driver", tostring(err))
    end)
  end)

  describe("ensure_network with a scripted Engine", function()
    local server

    -- lists: what GET /networks answers in turn; create: replies of POST.
    local function start(version, lists, create)
      local base = "/v1." .. version
      local replies = {}
      for i, list in ipairs(lists) do
        replies[i] = { body = #list > 0 and cjson.encode(list) or "[]", type = "application/json" }
      end
      server = scripted.start {
        api_version = "1." .. version,
        routes = {
          { method = "GET", path = base .. "/networks", replies = replies },
          { method = "GET", path = base .. "/info", reply = { json = { ID = "E:1" } } },
          { method = "POST", path = base .. "/networks/create", replies = create },
          { method = "DELETE", prefix = base .. "/networks/", reply = { status = 204 } },
        },
      }
      env.defer(function() server:stop() end)
      client:close()
      client = assert(docker.connect { host = server.host })
    end

    local function asked()
      local list = {}
      for _, request in ipairs(server:requests()) do
        local path = request.path:match("^/v1%.%d+(/[^?]*)")
        if path then list[#list + 1] = request.method .. " " .. path end
      end
      return list
    end

    local function body()
      for _, request in ipairs(server:requests()) do
        if request.method == "POST" then return cjson.decode(request.body) end
      end
    end

    local function network(id, created)
      return { Name = "net", Id = id, Created = created or "2024-01-01T00:00:00Z" }
    end
    local made = { status = 201, json = { Id = "own" } }
    local exists = { status = 409, json = { message = "network with name net already exists" } }

    it("trusts the Engine since 1.44: a 201 is the end, a 409 is looked up (semantics 32)", function()
      start(44, { {} }, { made })
      assert.same({ id = "own", name = "net", created = true }, client:ensure_network("net"))
      assert.same({ "GET /networks", "POST /networks/create" }, asked())
      assert.same({ Name = "net", CheckDuplicate = true }, body())
      start(55, { {}, { network("other") } }, { exists })
      assert.same({ id = "other", name = "net", created = false }, client:ensure_network("net"))
    end)

    it("looks for an anchored name, and at what it got (semantics 30)", function()
      start(55, { { { Name = "net-2", Id = "x" }, { Name = "my.net", Id = "y" } } }, { made })
      assert.is_true(client:ensure_network("net").created)
      local filter = server:requests()[2].path:match("filters=(.*)"):gsub("%%(%x%x)", function(x)
        return string.char(tonumber(x, 16))
      end)
      assert.equal('{"name":["^net$"]}', filter)
      client:ensure_network("a.b")
      filter = server:requests()[4].path:match("filters=(.*)"):gsub("%%(%x%x)", function(x)
        return string.char(tonumber(x, 16))
      end)
      assert.equal('{"name":["^a\\\\.b$"]}', filter)
    end)

    it("chooses the bridge's name before 1.44, by Engine and network, unless the caller does (semantics 32)", function()
      local function sent(name, options)
        start(41, { {} }, { made })
        assert(client:ensure_network(name, options))
        return body()
      end
      local key = "com.docker.network.bridge.name"
      local first = sent("net")
      assert.is_true(first.CheckDuplicate)
      assert.matches("^br%-%x%x%x%x%x%x%x%x%x%x%x%x$", first.Options[key])
      assert.same(first, sent("net"))
      assert.not_equal(first.Options[key], sent("net2").Options[key])
      assert.same({ [key] = first.Options[key], a = "b" }, sent("net", { options = { a = "b" } }).Options)
      assert.same({ [key] = "mine" }, sent("net", { options = { [key] = "mine" } }).Options)
      assert.is_nil(sent("net", { driver = "macvlan" }).Options)
    end)

    it("waits for the winner, who is still making it (semantics 32)", function()
      start(41, { {}, {}, {}, { network("other") } }, { { status = 403, json = { message = "cannot create network own "
        .. "(br-x): conflicts with network other (br-x): networks have same bridge name" } } })
      assert.same({ id = "other", name = "net", created = false }, client:ensure_network("net"))
      local count = 0
      for _, request in ipairs(asked()) do if request:find("POST", 1, true) then count = count + 1 end end
      assert.equal(3, count) -- the winner may have failed
    end)

    it("makes it where the winner failed", function()
      start(41, { {}, {}, { network("own") } }, { exists, made })
      assert.same({ id = "own", name = "net", created = true }, client:ensure_network("net"))
    end)

    it("takes the oldest, and removes its own where others made one meanwhile (semantics 32)", function()
      local function choose(...)
        start(41, { {}, { ... } }, { made })
        local result = assert(client:ensure_network("net"))
        local last = asked()[#asked()]
        assert.equal(result.created and "GET /networks" or "DELETE /networks/own", last)
        return result.id
      end
      assert.equal("old", choose(network("own"), network("old", "2023-12-31T23:59:59.999999999Z")))
      assert.equal("own", choose(network("own"), network("old", "2024-01-01T00:00:00.000000001Z")))
      assert.equal("old", choose(network("own", "2024-01-01T00:00:00.123Z"), network("old", "2024-01-01T00:00:00.12Z")))
      assert.equal("old", choose(network("own"), network("old", "2024-01-01T00:59:59+01:00")))
      assert.equal("own", choose(network("own"), network("old", "2023-12-31T23:59:59-00:30")))
      assert.equal("a", choose(network("own"), network("z"), network("a")))
      assert.equal("own", choose(network("own"), network("z"), { Name = "net-2", Id = "a", Created = "2020" }))
      assert.equal("own", choose(network("own"), network("a", "gibberish")))
      assert.equal("own", choose())
    end)

    it("ends with the caller's time where a name is taken by nobody, and says so", function()
      start(44, { {} }, { exists })
      assert.matches("time", tostring(failed("timeout", client:ensure_network("net", { timeout = 0.2 }))))
    end)

    it("says protocol for what is no answer", function()
      start(44, { {} }, { { status = 201, json = { Warning = "" } } })
      failed("protocol", client:ensure_network("net"))
      server:stop()
      server = scripted.start { routes = { { reply = { json = { message = "x" } } } } }
      client:close()
      client = assert(docker.connect { host = server.host, api_version = "1.44" })
      failed("protocol", client:ensure_network("net"))
      failed("protocol", client:connect_network("net", "web"))
    end)
  end)

  describe("connect_network and disconnect_network", function()
    local function container(running)
      local name = env.dispose("container", env.name("dw-networks"))
      local status, made = env.engine("POST", "/containers/create?name=" .. name, { Image = env.image })
      assert.equal(201, status)
      if running then assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start"))) end
      return name, made.Id
    end

    local function endpoint(name, network)
      local _, inspected = env.engine("GET", "/containers/" .. name .. "/json")
      return inspected.NetworkSettings.Networks[network]
    end

    it("connect and disconnect a running container; the second time is a conflict (semantics 33)", function()
      local network, name = new_name(), container(true)
      assert(client:ensure_network(network))
      assert.is_true(client:connect_network(network, name, { aliases = { "api", "db" } }))
      local aliases = {}
      for _, alias in ipairs(endpoint(name, network).Aliases) do aliases[alias] = true end
      assert.is_true(aliases.api and aliases.db)
      local err = failed("conflict", client:connect_network(network, name))
      assert.equal(403, err.status)
      assert.equal(network, err.subject)
      assert.matches("already exists in network", tostring(err))
      assert.is_true(client:disconnect_network(network, name))
      assert.is_nil(endpoint(name, network))
      err = failed("conflict", client:disconnect_network(network, name))
      assert.matches("is not connected to", tostring(err))
    end)

    it("take ids and tables with one, and give the address that is wanted", function()
      local network, name, id = new_name(), container(true)
      local made = assert(client:ensure_network(network, { subnet = "10.213.78.0/24" }))
      assert.is_true(client:connect_network(made, { id = id }, { ipv4 = "10.213.78.77" }))
      assert.equal("10.213.78.77", endpoint(name, network).IPAddress)
      assert.is_true(client:disconnect_network(made.id, id, { force = true }))
    end)

    it("connect a container that does not run yet", function()
      local network, name = new_name(), container()
      assert(client:ensure_network(network))
      assert.is_true(client:connect_network(network, name))
      assert.is_table(endpoint(name, network))
      assert.is_true(client:disconnect_network(network, name))
      assert.is_nil(endpoint(name, network))
    end)

    it("say not_found for a network or container that is not there, also where the container does not run", function()
      local network, name = new_name(), container()
      assert.matches(network, tostring(failed("not_found", client:connect_network(network, name))), 1, true)
      assert(client:ensure_network(network))
      local err = failed("not_found", client:connect_network(network, "no-such-container"))
      assert.matches("no-such-container", tostring(err), 1, true)
      failed("not_found", client:disconnect_network(network .. "-none", (container(true))))
    end)

    it("say invalid for an address outside of the network", function()
      local network, name = new_name(), container(true)
      assert(client:ensure_network(network))
      failed("invalid", client:connect_network(network, name, { ipv4 = "192.0.2.1" }))
    end)
  end)

  for want, call in pairs {
    ["ensure_network: name: string expected, got nil"] = { "ensure_network" },
    ["ensure_network: name: string expected, got table"] = { "ensure_network", { id = "x" } },
    ["ensure_network: name: the id or name is empty"] = { "ensure_network", "" },
    ["ensure_network: name: '/' cannot be"] = { "ensure_network", "a/b" },
    ["ensure_network: name: byte 10 cannot be"] = { "ensure_network", "a\n" },
    ["ensure_network: unknown option 'lables' %(did you mean 'labels'%?%)"] =
      { "ensure_network", "a", { lables = {} } },
    ["ensure_network: option 'labels': 'a': string expected, got number"] =
      { "ensure_network", "a", { labels = { a = 1 } } },
    ["ensure_network: option 'labels': keys are strings, got number"] = { "ensure_network", "a", { labels = { "a" } } },
    ["ensure_network: option 'options': 'a': string expected, got boolean"] =
      { "ensure_network", "a", { options = { a = true } } },
    ["connect_network: network: '%.%.' is no id"] = { "connect_network", "..", "a" },
    ["connect_network: container: string expected, got nil"] = { "connect_network", "a" },
    ["connect_network: option 'aliases': item 2: string expected, got number"] =
      { "connect_network", "a", "b", { aliases = { "x", 1 } } },
    ["connect_network: option 'ipv4': string expected"] = { "connect_network", "a", "b", { ipv4 = 1 } },
    ["disconnect_network: container: the id or name is empty"] = { "disconnect_network", "a", "" },
    ["disconnect_network: unknown option 'aliases'"] = { "disconnect_network", "a", "b", { aliases = {} } },
  } do
    it("raise misuse: " .. want, function()
      local ok, message = pcall(function() client[call[1]](client, table.unpack(call, 2, 4)) end)
      assert.is_false(ok)
      assert.matches("^spec/engine/networks_spec%.lua:%d+: " .. want, message)
    end)
  end
end)
