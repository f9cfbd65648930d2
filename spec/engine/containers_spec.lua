-- start, stop, restart, remove, list, inspect on a real Engine; what that Engine is too new, too old or too quick for
-- comes from a scripted one.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local given = require "spec.support.given"
local scripted = require "spec.support.scripted"

local fails = given.failure

-- It ignores SIGTERM: process 1 has no default handlers.
local STUBBORN <const> = { "sleep", "3600" }

describe("containers:", function()
  local client

  before_each(function() client = given.client() end)
  after_each(env.cleanup)

  local function create(options) return given.container(client, options) end
  local function start(options) return given.running(client, options) end

  local function state(c)
    local _, body = env.engine("GET", "/containers/" .. c.id .. "/json")
    return body.State
  end

  describe("start, stop, restart", function()
    it("304 on start is success (semantics 18)", function()
      local c = start()
      assert.is_true(client:start_container(c.id))
      assert.equal("running", state(c).Status)
    end)

    it("304 on stop is success (semantics 18)", function()
      local c = start()
      assert.is_true(client:stop_container(c.id))
      assert.equal("exited", state(c).Status)
      assert.is_true(client:stop_container(c.id))
      assert.is_true(client:stop_container(create().id)) -- never started
    end)

    it("a container object will do in place of an id", function()
      local c = create()
      assert.is_true(client:start_container(c))
      assert.equal(c.id, assert(client:inspect_container(c)).id)
      assert.is_true(client:stop_container(client:list_containers { name = c.name }[1]))
    end)

    it("a missing container is not_found, and the message names it", function()
      local err = fails("not_found", client:start_container("nobody-here"))
      assert.truthy(err.message:find("nobody-here", 1, true))
      assert.equal("nobody-here", err.subject)
      assert.equal("start_container", err.op)
      fails("not_found", client:stop_container("nobody-here"))
      fails("not_found", client:restart_container("nobody-here"))
    end)

    it("starting what is paused is a conflict (semantics 22)", function()
      local c = start()
      assert.equal(204, (env.engine("POST", "/containers/" .. c.id .. "/pause")))
      fails("conflict", client:start_container(c.id))
      assert.equal(204, (env.engine("POST", "/containers/" .. c.id .. "/unpause")))
    end)

    it("stop_timeout = 0 kills at once (semantics 25)", function()
      local c = start { cmd = STUBBORN }
      assert.is_true(client:stop_container(c.id, { stop_timeout = 0 }))
      assert.equal(137, state(c).ExitCode)
    end)

    it("the deadline allows for stop_timeout (semantics 25)", function()
      local c = start { cmd = STUBBORN }
      assert.is_true(client:stop_container(c.id, { stop_timeout = 1, timeout = 0.9 })) -- takes a second
      assert.equal(137, state(c).ExitCode)
    end)

    it("stop_timeout is sent as t, in seconds; -1 too, and without it nothing is (semantics 25)", function()
      local server <close> = scripted.start { routes = { { method = "POST", prefix = "/", reply = { status = 204 } } } }
      local other <close> = docker.connect { host = server.host }
      assert(other:stop_container("a", { stop_timeout = 7 }))
      assert(other:stop_container("a", { stop_timeout = -1 }))
      assert(other:stop_container("a"))
      assert(other:restart_container("a", { stop_timeout = 0 }))
      local paths = {}
      for _, request in ipairs(server:requests()) do
        if request.method == "POST" then paths[#paths + 1] = request.path end
      end
      assert.same({ "/v1.41/containers/a/stop?t=7", "/v1.41/containers/a/stop?t=-1", "/v1.41/containers/a/stop",
        "/v1.41/containers/a/restart?t=0" }, paths)
    end)

    it("stopping goes on in the Engine after the client has gone away (semantics 26)", function()
      local c = start { cmd = STUBBORN }
      local ctx = docker.context { timeout = 0.2 }
      fails("timeout", client:stop_container(c.id, { stop_timeout = 1, ctx = ctx }))
      assert.equal(137, assert(client:wait_container(c.id, { timeout = 30 })).exit_code)
    end)

    it("signal needs 1.42: kind version, and nothing is stopped (version gates)", function()
      local server <close> = scripted.start { routes = {} }
      local other <close> = docker.connect { host = server.host }
      for _, method in ipairs { "stop_container", "restart_container" } do
        local err = fails("version", other[method](other, "a", { signal = "SIGINT" }))
        assert.truthy(err.message:find("1.42", 1, true) and err.message:find("1.41", 1, true), err.message)
      end
      for _, request in ipairs(server:requests()) do assert.equal("/_ping", request.path) end
    end)

    it("signal is sent from 1.42 on", function()
      local server <close> = scripted.start {
        api_version = "1.42",
        routes = { { path = "/v1.42/containers/a/stop", query = "signal=SIGINT", reply = { status = 204 } } },
      }
      local other <close> = docker.connect { host = server.host }
      assert.is_true(other:stop_container("a", { signal = "SIGINT" }))
    end)

    it("restart starts it anew", function()
      local c = start()
      local before = state(c).StartedAt
      assert.is_true(client:restart_container(c.id, { stop_timeout = 1 }))
      assert.equal("running", state(c).Status)
      assert.not_equal(before, state(c).StartedAt)
    end)
  end)

  describe("remove", function()
    it("removes; a second time it is not_found", function()
      local c = create()
      assert.is_true(client:remove_container(c.id))
      fails("not_found", client:remove_container(c.id))
    end)

    it("a running container is a conflict, unless forced (semantics 21)", function()
      local c = start()
      fails("conflict", client:remove_container(c.id))
      assert.equal("running", state(c).Status)
      assert.is_true(client:remove_container(c.id, { force = true }))
      assert.equal(404, (env.engine("GET", "/containers/" .. c.id .. "/json")))
    end)

    it("volumes = true takes its anonymous volumes along", function()
      local function volume_of(c)
        local _, body = env.engine("GET", "/containers/" .. c.id .. "/json")
        return body.Mounts[1].Name
      end
      local keeps, takes = create { volumes = { "/data" } }, create { volumes = { "/data" } }
      local kept, taken = env.dispose("volume", volume_of(keeps)), env.dispose("volume", volume_of(takes))
      assert.is_true(client:remove_container(keeps.id))
      assert.is_true(client:remove_container(takes.id, { volumes = true }))
      assert.equal(200, (env.engine("GET", "/volumes/" .. kept)))
      assert.equal(404, (env.engine("GET", "/volumes/" .. taken)))
    end)

    local progress = { status = 409, json = { message = "removal of container a is already in progress" } }

    it("409 \"already in progress\" is success, once it is gone (semantics 21)", function()
      local server <close> = scripted.start { routes = {
        { method = "DELETE", path = "/v1.41/containers/a", reply = progress },
        { method = "POST", path = "/v1.41/containers/a/wait", query = "condition=removed",
          reply = { json = { StatusCode = 0 } } },
      } }
      local other <close> = docker.connect { host = server.host }
      assert.is_true(other:remove_container("a"))
      local requests = server:requests()
      assert.equal("/v1.41/containers/a/wait?condition=removed", requests[#requests].path)
    end)

    it("… and so is 404 after it (semantics 21)", function()
      local server <close> = scripted.start { routes = {
        { method = "DELETE", path = "/v1.41/containers/a", reply = progress },
        { method = "POST", path = "/v1.41/containers/a/wait", reply = { status = 404, json = { message = "gone" } } },
      } }
      local other <close> = docker.connect { host = server.host }
      assert.is_true(other:remove_container("a"))
    end)

    it("… but a removal that fails is none, and the deadline holds", function()
      local server <close> = scripted.start { routes = {
        { method = "DELETE", prefix = "/v1.41/containers/", reply = progress },
        { method = "POST", path = "/v1.41/containers/a/wait",
          reply = { json = { StatusCode = 0, Error = { Message = "device is busy" } } } },
        { method = "POST", path = "/v1.41/containers/b/wait",
          reply = { framing = "chunked", body = { { wait = true } } } },
      } }
      local other <close> = docker.connect { host = server.host }
      local err = fails("engine", other:remove_container("a"))
      assert.truthy(err.message:find("device is busy", 1, true))
      fails("timeout", other:remove_container("b", { timeout = 0.1 }))
    end)

    it("of ten that remove at once each succeeds or finds it gone; then it is (semantics 21)", function()
      local c, removed, gone = start(), 0, 0
      loop.run(function()
        for _ = 1, 10 do
          loop.spawn(function()
            local ok, err = client:remove_container(c.id, { force = true })
            if ok then removed = removed + 1 elseif err.kind == "not_found" then gone = gone + 1 else error(err) end
          end)
        end
      end)
      assert.equal(10, removed + gone)
      assert.is_true(removed >= 1)
      assert.equal(404, (env.engine("GET", "/containers/" .. c.id .. "/json")))
    end)
  end)

  describe("list", function()
    local function names(options)
      local list = {}
      for i, row in ipairs(assert(client:list_containers(options))) do list[i] = row.name end
      table.sort(list)
      return list
    end

    it("gives rows with all fields, and raw when it is asked for", function()
      local c = start { name = env.name("row"), labels = { team = "web", empty = "" }, ports = { ["80"] = true } }
      local rows = assert(client:list_containers { name = c.name })
      assert.equal(1, #rows)
      local row = rows[1]
      assert.is_nil(rawget(row, "raw"))
      assert.same({ c.id, c.name, env.image, "running" }, { row.id, row.name, row.image, row.state })
      assert.truthy(row.image_id:find("^sha256:%x+$"))
      assert.truthy(row.status:find("^Up "))
      assert.equal("web", row.labels.team)
      assert.equal("", row.labels.empty)
      assert.equal("integer", math.type(row.created))
      local port = row.ports[1]
      assert.same({ 80, "tcp", "integer" }, { port.port, port.protocol, math.type(port.host_port) })
      assert.is_string(port.host_ip)
      assert.same({ "/" .. c.name }, row.raw.Names)
      local seen = {}
      for field in pairs(row) do seen[field] = true end
      assert.is_true(seen.raw and seen.id and seen.labels)
    end)

    it("each row's raw is its own", function()
      local a, b = create { name = env.name("raw-a") }, create { name = env.name("raw-b") }
      for _, row in ipairs(assert(client:list_containers { all = true })) do
        assert.equal("/" .. row.name, row.raw.Names[1])
        assert.equal(row.id, row.raw.Id)
      end
      assert.not_equal(a.id, b.id)
    end)

    it("only running ones, unless all = true or a status is asked for", function()
      local project = env.name("p")
      local up = start { project = project, stage = "s", tag = "up" }
      local down = create { project = project, stage = "s", tag = "down" }
      assert.same({ up.name }, names { project = project })
      local both = { up.name, down.name }
      table.sort(both)
      assert.same(both, names { project = project, all = true })
      assert.same({ down.name }, names { project = project, status = "created" })
      assert.same(both, names { project = project, status = { "created", "running" } })
      assert.same({}, names { project = project, status = "dead" })
    end)

    it("filters by labels, all of them; true is any value (semantics 29)", function()
      local key = env.name("key")
      local a, b = create { labels = { [key] = "1", x = "y" } }, create { labels = { [key] = "2" } }
      local both = { a.name, b.name }
      table.sort(both)
      assert.same(both, names { all = true, labels = { [key] = true } })
      assert.same({ a.name }, names { all = true, labels = { [key] = "1" } })
      assert.same({}, names { all = true, labels = { [key] = "2", x = "y" } })
    end)

    it("managed = true: those with the labels of ownership, whatever their names are", function()
      local project = env.name("own")
      local ours = create { project = project, stage = "s", tag = "1", name = env.name("any") }
      create { name = "dw-" .. project .. "-s-2" }
      create { labels = { ["not.docker-watcher.project"] = project } }
      local other = create { project = project, stage = "t", tag = "1" }
      assert.same({ ours.name }, names { all = true, managed = true, project = project, stage = "s" })
      assert.equal(2, #names { all = true, managed = true, project = project })
      local seen = {}
      for _, name in ipairs(names { all = true, managed = true }) do seen[name] = true end
      assert.is_true(seen[ours.name] and seen[other.name])
      assert.is_nil(seen["dw-" .. project .. "-s-2"])
    end)

    it("a name is exact, although the Engine's filter is an unanchored expression (semantics 30)", function()
      local name = env.name("app")
      create { name = name }
      create { name = name .. "-2" }
      create { name = "my-" .. name }
      create { name = name .. ".x" }
      create { name = name .. "-x" }
      assert.same({ name }, names { all = true, name = name })
      assert.same({ name .. ".x" }, names { all = true, name = name .. ".x" })
      assert.same({}, names { all = true, name = name .. ".." })
    end)

    it("… and is compared again in the reply (semantics 30)", function()
      local server <close> = scripted.start { routes = { { path = "/v1.41/containers/json", reply = { json = {
        { Id = "1", Names = { "/app-2" } }, { Id = "2", Names = { "/link/alias", "/app" } }, { Id = "3", Names = {} },
      } } } } }
      local other <close> = docker.connect { host = server.host }
      local rows = assert(other:list_containers { name = "app" })
      assert.same({ 1, "2", "app" }, { #rows, rows[1].id, rows[1].name })
      local requests = server:requests()
      local path = requests[#requests].path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
      assert.equal('/v1.41/containers/json?filters={"name":["^/?app$"]}', path)
    end)

    it("without filters none is sent; filters = {} passes the Engine's own on (semantics 29)", function()
      local server <close> = scripted.start { routes = {
        { path = "/v1.41/containers/json", reply = { body = "[]" } },
      } }
      local other <close> = docker.connect { host = server.host }
      assert.same({}, other:list_containers())
      assert.same({}, other:list_containers { all = true, limit = 3 })
      local requests = server:requests()
      assert.equal("/v1.41/containers/json", requests[#requests - 1].path)
      assert.equal("/v1.41/containers/json?all=true&limit=3", requests[#requests].path)
      local c = create()
      assert.same({ c.name }, names { all = true, filters = { id = c.id } })
      assert.same({ c.name }, names { all = true, filters = { id = { [c.id] = true }, status = { "created" } } })
    end)

    it("an unknown filter is kind invalid (semantics 29)", function()
      fails("invalid", client:list_containers { filters = { nosuch = "a" } })
    end)

    it("a reply that is no list, or no JSON, is kind protocol", function()
      local server <close> = scripted.start { routes = { { path = "/v1.41/containers/json", replies = {
        { json = { message = "hello" } }, { body = "<html>", type = "text/html" }, { json = { 1, "x", {} } },
      } } } }
      local other <close> = docker.connect { host = server.host }
      fails("protocol", other:list_containers())
      fails("protocol", other:list_containers())
      assert.equal(3, #other:list_containers()) -- odd rows are rows without fields
    end)

    it("texts are told apart although neighbours are alike", function()
      local rows = {}
      for i = 1, 40 do
        rows[i] = { Id = tostring(i), Names = { "/n" .. i }, State = i % 3 == 0 and "exited" or "running",
          Status = "Up \u{e9}\\\" " .. i % 2, Image = "i" .. i // 2, ImageID = "sha256:" .. i // 4, Created = 1 << 40,
          Labels = { a = "v" .. i % 2, ["b" .. i // 5] = "" },
          Ports = { { IP = i % 2 == 0 and "0.0.0.0" or "::", PrivatePort = i, PublicPort = 2 * i, Type = "tcp" },
            { PrivatePort = 53, Type = "udp" } } }
      end
      local server <close> = scripted.start { routes = {
        { path = "/v1.41/containers/json", reply = { json = rows } },
      } }
      local other <close> = docker.connect { host = server.host }
      for i, row in ipairs(assert(other:list_containers())) do
        local from = rows[i]
        assert.same({
          id = from.Id, name = "n" .. i, state = from.State, status = from.Status, image = from.Image,
          image_id = from.ImageID, created = 1 << 40, labels = from.Labels,
          ports = { { host_ip = from.Ports[1].IP, port = i, host_port = 2 * i, protocol = "tcp" },
            { port = 53, protocol = "udp" } },
        }, setmetatable(row, nil))
      end
    end)
  end)

  describe("inspect", function()
    it("gives the contract's fields", function()
      local network = env.dispose("network", env.name("net"))
      assert.equal(201, (env.engine("POST", "/networks/create", { Name = network })))
      local c = start { network = network, aliases = { "front" }, env = { A = "b=c", E = "" }, labels = { l = "v" },
        ports = { ["80"] = true, ["53/udp"] = true } }
      local _, body = env.engine("GET", "/containers/" .. c.id .. "/json")
      local seen = assert(client:inspect_container(c.name))
      assert.same({ c.id, c.name, env.image, body.Image, "running", 0, 0 }, { seen.id, seen.name, seen.image,
        seen.image_id, seen.state, seen.exit_code, seen.restart_count })
      assert.is_nil(seen.health)
      assert.is_nil(seen.error)
      assert.is_nil(seen.finished_at)
      assert.equal(body.State.StartedAt, seen.started_at)
      assert.equal(body.Created, seen.created)
      assert.equal("v", seen.labels.l)
      assert.same({ "b=c", "" }, { seen.env.A, seen.env.E })
      assert.equal(tonumber(body.NetworkSettings.Ports["80/tcp"][1].HostPort), seen.ports["80/tcp"][1].host_port)
      local on = body.NetworkSettings.Networks[network]
      local ours = seen.networks[network]
      assert.same({ on.NetworkID, on.IPAddress, on.Gateway, on.MacAddress },
        { ours.id, ours.ip, ours.gateway, ours.mac })
      assert.equal("front", ours.aliases[1])
      assert.equal(c.id, seen.raw.Id)
    end)

    it("an exposed port that is not published has no bindings", function()
      assert.same({ ["80/tcp"] = {} }, assert(client:inspect_container(start().id)).ports)
    end)

    it("health: nil without a health check, with [\"NONE\"] and while not running (semantics 27)", function()
      local none = start { image = env.images.healthy, healthcheck = false }
      assert.is_nil(assert(client:inspect_container(none.id)).health)
      local c = start { image = env.images.healthy, healthcheck = { interval = 1 } } -- no probe under way below
      assert.is_true(client:wait_healthy(c.id, { timeout = 20 }))
      assert.equal("healthy", assert(client:inspect_container(c.id)).health)
      assert.equal(204, (env.engine("POST", "/containers/" .. c.id .. "/pause")))
      assert.equal("unhealthy", state(c).Health.Status) -- what the Engine says of it
      local paused = assert(client:inspect_container(c.id))
      assert.same({ "paused" }, { paused.state, paused.health })
      assert.equal(204, (env.engine("POST", "/containers/" .. c.id .. "/unpause")))
      assert.is_true(client:stop_container(c.id, { stop_timeout = 0 }))
      local stopped = assert(client:inspect_container(c.id))
      assert.same({ "exited" }, { stopped.state, stopped.health })
      assert.is_string(stopped.finished_at)
    end)

    it("a container that went between list and inspect is not_found, no more (semantics 39)", function()
      local c = create()
      local row = assert(client:list_containers { all = true, name = c.name })[1]
      assert.is_true(client:remove_container(c.id))
      fails("not_found", client:inspect_container(row))
    end)

    it("a name that equals the beginning of another's id means the name (semantics 31)", function()
      local by_id = create()
      local prefix = by_id.id:sub(1, 12)
      assert.equal(by_id.id, assert(client:inspect_container(prefix)).id)
      local by_name = create { name = prefix }
      assert.equal(by_name.id, assert(client:inspect_container(prefix)).id)
      assert.equal(by_id.id, assert(client:inspect_container(by_id.id)).id) -- the full id stays right
    end)

    it("of a newer Engine: no addresses beside Networks, ports null (semantics 4)", function()
      local server <close> = scripted.start { api_version = "1.52", routes = { { prefix = "/v1.52/", reply = {
        body = [[{"Id":"1","Name":"/a","State":{"Status":"running","Health":{"Status":"none"},"ExitCode":0},
          "Config":{"Image":"i","Env":null,"Labels":null},"NetworkSettings":{"Ports":{"80/tcp":null,"90/tcp":[
          {"HostIp":"","HostPort":"32768"},{"HostIp":"::","HostPort":""}]},"Networks":{"n":{"NetworkID":"2",
          "IPAddress":"172.18.0.2","Gateway":"","Aliases":null,"MacAddress":"02:42:ac:12:00:02"}}}}]],
      } } } }
      local other <close> = docker.connect { host = server.host }
      local seen = assert(other:inspect_container("a"))
      assert.is_nil(seen.health)
      assert.same({}, seen.env)
      assert.same({}, seen.labels)
      assert.same({ ["80/tcp"] = {}, ["90/tcp"] = { { host_port = 32768 }, { host_ip = "::" } } }, seen.ports)
      assert.same({ n = { id = "2", ip = "172.18.0.2", aliases = {}, mac = "02:42:ac:12:00:02" } }, seen.networks)
    end)
  end)
end)
