-- create_container on a real Engine: what arrives there is read back with curl.

local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local given = require "spec.support.given"
local scripted = require "spec.support.scripted"

describe("create_container", function()
  local client

  before_each(function() client = given.client() end)
  after_each(env.cleanup)

  local function create(options) return given.container(client, options) end

  local function inspect(c)
    local status, body = env.engine("GET", "/containers/" .. c.id .. "/json")
    assert.equal(200, status)
    return body
  end

  it("answers id, name and warnings; the name that was given is the Engine's", function()
    local name = env.name("create")
    local c = create { name = name }
    assert.truthy(c.id:find("^%x+$"))
    assert.equal(64, #c.id)
    assert.equal(name, c.name)
    assert.same({}, c.warnings)
    assert.is_nil(c.instance_id)
    assert.equal("/" .. name, inspect(c).Name)
  end)

  it("answers the name that the Engine chose", function()
    local c = create {}
    assert.is_string(c.name)
    assert.equal("/" .. c.name, inspect(c).Name)
  end)

  it("passes on warnings", function()
    local server <close> = scripted.start { routes = {
      { method = "POST", path = "/v1.41/containers/create",
        reply = { status = 201, json = { Id = ("a"):rep(64), Warnings = { "no swap here" } } } },
    } }
    local other <close> = docker.connect { host = server.host }
    assert.same({ "no swap here" }, assert(other:create_container { image = "a", name = "b" }).warnings)
  end)

  it("survives when the name cannot be looked up: the container is there", function()
    local server <close> = scripted.start { routes = {
      { method = "POST", path = "/v1.41/containers/create",
        reply = { status = 201, json = { Id = ("a"):rep(64), Warnings = require("cjson").null } } },
      { path = "/v1.41/containers/" .. ("a"):rep(64) .. "/json", reply = { status = 500, body = "<html>" } },
    } }
    local other <close> = docker.connect { host = server.host }
    local c = assert(other:create_container { image = "a" })
    assert.equal(("a"):rep(64), c.id)
    assert.is_nil(c.name)
    assert.same({}, c.warnings)
  end)

  it("a managed container has its deterministic name, the labels of ownership and an instance id", function()
    local project, digest = env.name("shop"), "sha256:" .. ("b"):rep(64)
    local a = create { project = project, stage = "staging", tag = "1.0", digest = digest, labels = { team = "web" } }
    local b = create { project = project, stage = "staging", tag = "a/b" }
    local c = create { project = project, stage = "staging", tag = "1.0", name = env.name("mine"), instance_id = "i-1" }
    assert.equal(docker.container_name(project, "staging", "1.0"), a.name)
    assert.equal(docker.container_name(project, "staging", "a/b"), b.name)
    assert.truthy(a.instance_id:find("^%x+$"))
    assert.equal(16, #a.instance_id)
    assert.not_equal(a.instance_id, b.instance_id)
    assert.equal("i-1", c.instance_id)
    local labels = inspect(a).Config.Labels
    assert.equal(project, labels["docker-watcher.project"])
    assert.equal("staging", labels["docker-watcher.stage"])
    assert.equal("1.0", labels["docker-watcher.tag"])
    assert.equal(digest, labels["docker-watcher.digest"])
    assert.equal(a.instance_id, labels["docker-watcher.instance-id"])
    assert.equal("web", labels.team)
    assert.equal("a/b", inspect(b).Config.Labels["docker-watcher.tag"])
    assert.is_nil(inspect(create {}).Config.Labels["docker-watcher.project"])
  end)

  it("raw cannot take the labels of ownership away", function()
    local project = env.name("shop")
    local mine = { a = "b" }
    local c = create { project = project, stage = "s", tag = "1", raw = { Labels = mine } }
    local labels = inspect(c).Config.Labels
    assert.equal("b", labels.a)
    assert.equal(project, labels["docker-watcher.project"])
    assert.same({ a = "b" }, mine)
    local d = create { project = project, stage = "s", tag = "2", raw = { Labels = docker.null } }
    assert.equal(project, inspect(d).Config.Labels["docker-watcher.project"])
  end)

  it("env is sent sorted, with numbers and booleans as text; or as a list, as it is", function()
    local body = inspect(create { env = { B = true, C = "x=y", A = 1, D = 1.5, E = "" } })
    assert.same({ "A=1", "B=true", "C=x=y", "D=1.5", "E=" }, table.move(body.Config.Env, 1, 5, 1, {}))
    body = inspect(create { env = { "Z=1", "A=2" } })
    assert.same({ "Z=1", "A=2" }, table.move(body.Config.Env, 1, 2, 1, {}))
  end)

  it("an item NAME of an env list takes the image's variable away", function()
    for _, item in ipairs(inspect(create { env = { "VERSION" } }).Config.Env) do
      assert.is_nil(item:find("^VERSION="))
    end
  end)

  it("a binding is never an empty list: [{HostPort:''}] (semantics 28)", function()
    local server <close> = scripted.start { routes = {
      { method = "POST", path = "/v1.41/containers/create", reply = { status = 201, json = { Id = "a" } } },
    } }
    local other <close> = docker.connect { host = server.host }
    assert(other:create_container { image = "a", name = "b", ports = { ["80"] = true, ["53/udp"] = {} } })
    local requests = server:requests()
    local body = require("cjson").decode(requests[#requests].body)
    assert.same({ { HostPort = "" } }, body.HostConfig.PortBindings["80/tcp"])
    assert.same({ { HostPort = "" } }, body.HostConfig.PortBindings["53/udp"])
    assert.truthy(requests[#requests].body:find('"80/tcp":{}', 1, true)) -- ExposedPorts: objects, not []
    assert.equal("application/json", requests[#requests].headers["content-type"]) -- semantics 41
  end)

  it("ports: a fixed one, an address, several bindings; HostPort is a string (semantics 28)", function()
    local c = create { ports = {
      ["80"] = true, ["53/udp"] = 15353, ["90/sctp"] = { host_ip = "127.0.0.1" },
      ["8080/tcp"] = { 18080, { host_ip = "127.0.0.1", host_port = 18081 }, true },
    } }
    local body = inspect(c)
    assert.same({ { HostIp = "", HostPort = "" } }, body.HostConfig.PortBindings["80/tcp"])
    assert.same({ { HostIp = "", HostPort = "15353" } }, body.HostConfig.PortBindings["53/udp"])
    assert.same({ { HostIp = "127.0.0.1", HostPort = "" } }, body.HostConfig.PortBindings["90/sctp"])
    assert.same({ { HostIp = "", HostPort = "18080" }, { HostIp = "127.0.0.1", HostPort = "18081" },
      { HostIp = "", HostPort = "" } }, body.HostConfig.PortBindings["8080/tcp"])
    assert.is_table(body.Config.ExposedPorts["53/udp"])
  end)

  it("ports = \"exposed\" publishes each EXPOSEd port; the real one is known after the start (semantics 28)", function()
    local c = create { ports = "exposed" }
    assert.is_true(inspect(c).HostConfig.PublishAllPorts)
    assert(client:start_container(c.id))
    local bindings = assert(client:inspect_container(c.id)).ports["80/tcp"]
    assert.is_true(#bindings >= 1)
    assert.equal("integer", math.type(bindings[1].host_port))
    assert.is_true(bindings[1].host_port > 0)
  end)

  it("healthcheck: seconds become nanoseconds (semantics 25)", function()
    local check = { test = "wget -q -O- 127.0.0.1/", interval = 1.5, timeout = 0.001, start_period = 0, retries = 4 }
    assert.same({ Test = { "CMD-SHELL", "wget -q -O- 127.0.0.1/" }, Interval = 1500000000, Timeout = 1000000,
      Retries = 4 }, inspect(create { healthcheck = check }).Config.Healthcheck)
    check = { test = { "CMD", "true" } }
    assert.same({ "CMD", "true" }, inspect(create { healthcheck = check }).Config.Healthcheck.Test)
  end)

  it("healthcheck without a test keeps the image's; false is none (semantics 27)", function()
    local body = inspect(create { image = env.images.healthy, healthcheck = { interval = 7 } })
    assert.equal("CMD-SHELL", body.Config.Healthcheck.Test[1])
    assert.equal(7000000000, body.Config.Healthcheck.Interval)
    body = inspect(create { image = env.images.healthy, healthcheck = false })
    assert.same({ "NONE" }, body.Config.Healthcheck.Test)
  end)

  it("the other options arrive at their fields", function()
    local body = inspect(create {
      cmd = { "sh", "-c", "exit 0" }, entrypoint = "busybox", user = "nobody", working_dir = "/tmp", hostname = "h",
      domainname = "d.example", memory = "64m", cpus = 0.5, pids_limit = 100, stop_timeout = 7, stop_signal = "SIGINT",
      init = true, read_only = true, cap_add = { "NET_ADMIN" }, cap_drop = "ALL", dns = { "127.0.0.1" },
      security_opt = { "no-new-privileges" }, extra_hosts = { "a:127.0.0.1" }, restart = "on-failure:3",
      ulimits = { nofile = { soft = 100, hard = 200 }, core = 0 }, log_driver = "json-file",
      log_options = { ["max-file"] = 3, ["max-size"] = "1m" }, tty = true, open_stdin = true, shm_size = "1.5m",
      tmpfs = { ["/run"] = "size=1m", "/scratch" }, devices = { "/dev/null:/dev/nil:r" }, volumes = { "/data" },
      mounts = { { type = "bind", source = "/tmp", target = "/t", read_only = true } }, binds = { "/tmp:/u:ro" },
    })
    local config, host = body.Config, body.HostConfig
    assert.same({ "sh", "-c", "exit 0" }, config.Cmd)
    assert.same({ "busybox" }, config.Entrypoint)
    assert.same({ "nobody", "/tmp", "h", "d.example" },
      { config.User, config.WorkingDir, config.Hostname, config.Domainname })
    assert.same({ 7, "SIGINT", true, true }, { config.StopTimeout, config.StopSignal, config.Tty, config.OpenStdin })
    assert.same({ 67108864, 500000000, 100, 1572864 }, { host.Memory, host.NanoCpus, host.PidsLimit, host.ShmSize })
    assert.same({ true, true }, { host.Init, host.ReadonlyRootfs })
    assert.truthy(host.CapAdd[1]:find("NET_ADMIN"))
    assert.same({ "ALL" }, host.CapDrop)
    assert.same({ { "127.0.0.1" }, { "no-new-privileges" }, { "a:127.0.0.1" } },
      { host.Dns, host.SecurityOpt, host.ExtraHosts })
    assert.same({ Name = "on-failure", MaximumRetryCount = 3 }, host.RestartPolicy)
    assert.same({ { Name = "core", Soft = 0, Hard = 0 }, { Name = "nofile", Soft = 100, Hard = 200 } }, host.Ulimits)
    assert.same({ Type = "json-file", Config = { ["max-file"] = "3", ["max-size"] = "1m" } }, host.LogConfig)
    assert.same({ ["/run"] = "size=1m", ["/scratch"] = "" }, host.Tmpfs)
    assert.same({ { PathOnHost = "/dev/null", PathInContainer = "/dev/nil", CgroupPermissions = "r" } }, host.Devices)
    assert.same({ { Type = "bind", Source = "/tmp", Target = "/t", ReadOnly = true } }, host.Mounts)
    assert.same({ "/tmp:/u:ro" }, host.Binds)
    assert.is_table(config.Volumes["/data"])
  end)

  it("sizes may be written with a unit", function()
    local server <close> = scripted.start { routes = {
      { method = "POST", path = "/v1.41/containers/create", reply = { status = 201, json = { Id = "a" } } },
    } }
    local other <close> = docker.connect { host = server.host }
    for text, bytes in pairs { ["512m"] = 512 << 20, ["1G"] = 1 << 30, ["1.5k"] = 1536, ["7"] = 7, ["2gb"] = 2 << 30,
      ["9b"] = 9 } do
      assert(other:create_container { image = "a", name = "b", memory = text, memory_swap = -1 })
      local requests = server:requests()
      local body = require("cjson").decode(requests[#requests].body)
      assert.equal(bytes, body.HostConfig.Memory, text)
      assert.equal(-1, body.HostConfig.MemorySwap)
    end
  end)

  it("raw is merged last, deep, with the Engine's names; lists replace lists; the caller's tables stay", function()
    local raw = { Hostname = "raw", HostConfig = { OomScoreAdj = 5, CapAdd = { "SYS_TIME" } } }
    local c = create { hostname = "option", init = true, cap_add = { "NET_ADMIN" }, raw = raw }
    local body = inspect(c)
    assert.equal("raw", body.Config.Hostname)
    assert.equal(5, body.HostConfig.OomScoreAdj)
    assert.equal(1, #body.HostConfig.CapAdd)
    assert.truthy(body.HostConfig.CapAdd[1]:find("SYS_TIME"))
    assert.is_true(body.HostConfig.Init)
    assert.same({ Hostname = "raw", HostConfig = { OomScoreAdj = 5, CapAdd = { "SYS_TIME" } } }, raw)
  end)

  it("an empty list is [] where the Engine wants a list (semantics 50)", function()
    local server <close> = scripted.start { routes = {
      { method = "POST", path = "/v1.41/containers/create", reply = { status = 201, json = { Id = "a" } } },
    } }
    local other <close> = docker.connect { host = server.host }
    assert(other:create_container { image = "a", name = "b", entrypoint = {}, cmd = {}, env = {}, labels = {} })
    local requests = server:requests()
    for _, text in ipairs { '"Entrypoint":[]', '"Cmd":[]', '"Env":[]', '"Labels":{}' } do
      assert.truthy(requests[#requests].body:find(text, 1, true), text)
    end
  end)

  it("puts the container on its network, under its aliases", function()
    local network = env.dispose("network", env.name("net"))
    assert.equal(201, (env.engine("POST", "/networks/create", { Name = network })))
    local body = inspect(create { network = network, aliases = { "front" } })
    assert.equal(network, body.HostConfig.NetworkMode)
    assert.equal("front", body.NetworkSettings.Networks[network].Aliases[1])
  end)

  it("no such image: not_found, and what to do (semantics 19)", function()
    local c, err = client:create_container { image = "dw-spec/nothing-there:1", name = env.name("none") }
    assert.is_nil(c)
    assert.equal("not_found", err.kind)
    assert.equal(404, err.status)
    assert.truthy(err.message:find("no such image: dw-spec/nothing-there:1 (pull it first", 1, true), err.message)
  end)

  it("a 404 for another cause is not taken for a missing image (semantics 19)", function()
    local server <close> = scripted.start { routes = {
      { method = "POST", path = "/v1.41/containers/create",
        reply = { status = 404, json = { message = "network nowhere not found" } } },
    } }
    local other <close> = docker.connect { host = server.host }
    local c, err = other:create_container { image = "a", network = "nowhere" }
    assert.is_nil(c)
    assert.equal("not_found", err.kind)
    assert.truthy(err.message:find("network nowhere not found", 1, true), err.message)
    assert.is_nil(err.message:find("pull", 1, true), err.message)
  end)

  it("a taken name is kind conflict, and the message names the holder (semantics 20)", function()
    local name = env.name("taken")
    local first = create { name = name }
    local c, err = client:create_container { image = env.image, name = name }
    assert.is_nil(c)
    assert.equal("conflict", err.kind)
    assert.equal(name, err.subject)
    assert.truthy(err.message:find(first.id, 1, true), err.message)
  end)

  it("of ten that race for a name one has it (semantics 20)", function()
    local name, won, conflicts = env.name("race"), 0, 0
    loop.run(function()
      for _ = 1, 10 do
        loop.spawn(function()
          local c, err = client:create_container { image = env.image, name = name }
          if c then
            won = won + 1
            env.dispose("container", c.id)
          else
            conflicts = conflicts + (err.kind == "conflict" and 1 or 0)
          end
        end)
      end
    end)
    assert.same({ 1, 9 }, { won, conflicts })
  end)

  it("a container whose start fails is still there, and says why (semantics 23)", function()
    local c = create { cmd = { "/nothing/there" } }
    local ok, err = client:start_container(c.id)
    assert.is_nil(ok)
    assert.truthy(err.message:find("/nothing/there", 1, true), err.message)
    local seen = assert(client:inspect_container(c.id))
    assert.equal("created", seen.state)
    assert.truthy(seen.error:find("/nothing/there", 1, true))
    assert.not_equal(0, seen.exit_code)
    assert.is_true(client:remove_container(c.id))
  end)

  describe("with what the API version lacks", function()
    local gates = {
      { "1.43", "Annotations", { annotations = { a = "b" } } },
      { "1.44", "StartInterval", { healthcheck = { start_interval = 1 } } },
      { "1.44", "several networks", { raw = { NetworkingConfig = { EndpointsConfig = { a = {}, b = {} } } } } },
      { "1.44", "MacAddress",
        { raw = { NetworkingConfig = { EndpointsConfig = { a = { MacAddress = "02:42:ac:11:00:02" } } } } } },
      { "1.45", "Subpath",
        { raw = { HostConfig = { Mounts = { { Type = "volume", VolumeOptions = { Subpath = "a" } } } } } } },
      { "1.48", "mount of type image", { mounts = { { type = "image", source = "a", target = "/b" } } } },
      { "1.48", "GwPriority", { raw = { NetworkingConfig = { EndpointsConfig = { a = { GwPriority = 1 } } } } } },
    }
    for _, gate in ipairs(gates) do
      local since, what, options = table.unpack(gate)
      it(("%s answers kind version, and creates nothing (version gates, semantics 33)"):format(what), function()
        local server <close> = scripted.start { routes = {} }
        local other <close> = docker.connect { host = server.host }
        options.image, options.name = "a", "b"
        local c, err = other:create_container(options)
        assert.is_nil(c)
        assert.equal("version", err.kind)
        assert.truthy(err.message:find(what, 1, true), err.message)
        assert.truthy(err.message:find(since, 1, true), err.message)
        assert.truthy(err.message:find("1.41", 1, true), err.message)
        for _, request in ipairs(server:requests()) do assert.equal("/_ping", request.path) end
      end)

      it(("%s is sent from %s on"):format(what, since), function()
        local server <close> = scripted.start { api_version = since, routes = {
          { method = "POST", path = "/v" .. since .. "/containers/create",
            reply = { status = 201, json = { Id = "a" } } },
        } }
        local other <close> = docker.connect { host = server.host }
        options.image, options.name = "a", "b"
        assert.equal("a", assert(other:create_container(options)).id)
      end)
    end
  end)
end)
