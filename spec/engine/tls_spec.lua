-- tcp:// with mutual TLS, on a real Engine of its own: what works, and what each mistake says. Certificates are
-- exchanged under the living client, too: files are read for each new connection.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"

describe("TLS #once", function()
  local engine, dir, good

  -- make_ca and make_cert of spec/support/common.sh.
  local function make(command)
    return env.run("bash -c " .. env.quote("set -e; . spec/support/common.sh; " .. command))
  end

  setup(function()
    engine = env.start_engine("--tls")
    dir = engine.tls_dir
    good = { ca = dir .. "/ca.pem", cert = dir .. "/cert.pem", key = dir .. "/key.pem" }
    -- A certificate of another CA, for clients; one of the right CA that has ended.
    env.run(("mkdir %s/other %s/ended && cp %s/ca*.pem %s/ended"):format(dir, dir, dir, dir))
    make(("make_ca %s/other; make_cert %s/other; make_cert %s/other client"):format(dir, dir, dir))
    make(("make_cert %s/ended client DNS:x ended; make_cert %s/ended server IP:127.0.0.1 ended"):format(dir, dir))
  end)
  teardown(env.cleanup)

  local function connect(tls, host)
    return assert(docker.connect { host = host or engine.tls_host, tls = tls, timeout = 20 })
  end

  local function with(changes)
    local tls = {}
    for _, name in ipairs { "ca", "cert", "key" } do tls[name] = good[name] end
    for name, value in pairs(changes) do tls[name] = value or nil end
    return tls
  end

  -- The client fails so, always, a call that changes something included; and whoever has it right is not disturbed.
  local function fails(client, what, todo)
    local function change() return client:call("VolumeCreate", { body = { Name = "never" } }) end
    for _ = 1, 3 do
      for _, call in ipairs { client.info, change } do
        local value, err = call(client)
        assert.is_nil(value)
        assert.equal("unreachable", err.kind, tostring(err))
        assert.matches(what, err.message)
        assert.matches(todo, err.message)
        assert.is_nil(err.message:find("0A000", 1, true), err.message)
      end
    end
    local other <close> = connect(good)
    assert(other:ping())
  end

  it("works with CA, certificate and key, for everything that goes over it", function()
    local client <close> = connect(good)
    assert.equal(engine.tls_host, tostring(client):match("tcp://[%w.:]+"))
    local image = env.run(("DOCKER_HOST=%s spec/support/tinyimage --load web:1 --cmd 'echo out; sleep 60'"):format(
      engine.host))
    assert.matches(image:match("sha256:%x+"), assert(client:inspect_image("web:1")).id)
    local id = assert(client:create_container { image = "web:1" }).id
    assert(client:start_container(id))
    do
      local log <close> = assert(client:logs(id, { follow = true }))
      assert.same({ "out\n", "stdout" }, { log:read() })
    end
    loop.run(function()
      for _ = 1, 20 do loop.spawn(function() assert(client:inspect_container(id)) end) end
    end)
    assert(client:remove_container(id, { force = true }))
  end)

  it("may be asked for by https://, too", function()
    local client <close> = connect(good, (engine.tls_host:gsub("^tcp", "https")))
    assert(client:info())
  end)

  it("that nobody asked for is missed where there is no other way in", function()
    local client <close> = assert(docker.connect { host = engine.tls_host })
    fails(client, "takes TLS connections only", "option tls")
  end)

  it("is not found where there is none", function()
    local port = make "free_port"
    local plain = env.start_engine("-- -H tcp://127.0.0.1:" .. port)
    local client <close> = connect(good, "tcp://127.0.0.1:" .. port)
    fails(client, "nobody speaks TLS there", "Leave the option tls out")
    plain:stop()
  end)

  local mistakes = {
    { "a wrong CA", { ca = "/other/ca.pem" }, "signed by nobody who is trusted here", "tls%.ca" },
    { "no CA", { ca = false }, "signed by nobody who is trusted here", "tls%.ca" },
    { "no certificate of our own", { cert = false, key = false }, "wants a certificate of ours",
      "tls%.cert and tls%.key" },
    { "a certificate of another CA", { cert = "/other/client.pem", key = "/other/client-key.pem" },
      "refuses our certificate", "must be signed by the CA that the Engine trusts" },
    { "a certificate of ours that has expired", { cert = "/ended/client.pem", key = "/ended/client-key.pem" },
      "refuses our certificate", "not be out of date" },
    { "a key of another certificate", { key = "/other/client-key.pem" }, "key of our certificate .*other/client%-key",
      "tls%.cert and tls%.key" },
    { "a key that is not there", { key = "/nothing.pem" }, "file of our key .*nothing%.pem", "tls%.cert and tls%.key" },
    { "a certificate that is not there", { cert = "/nothing.pem" }, "file of our certificate .*nothing%.pem",
      "tls%.cert" },
    { "a CA that is not there", { ca = "/nothing.pem" }, "trusted certificates .*nothing%.pem", "tls%.ca" },
    { "a CA that is none", { ca = "/ca-key.pem" }, "trusted certificates", "tls%.ca" },
  }
  for _, mistake in ipairs(mistakes) do
    it("with " .. mistake[1] .. " says so, and what to do", function()
      local changes = {}
      for name, path in pairs(mistake[2]) do changes[name] = path and dir .. path end
      local client <close> = connect(with(changes))
      fails(client, mistake[3], mistake[4])
    end)
  end

  it("with a host that the certificate is not for says so, and what to do", function()
    local host = engine.tls_host:gsub("127%.0%.0%.1", "engine.localhost")
    local client <close> = connect(good, host)
    fails(client, "its certificate is for another host .*engine%.localhost", "subjectAltName")
    local named <close> = connect(good, (host:gsub("engine%.", "")))
    assert(named:ping())
  end)

  it("without verification takes any certificate, but still needs its own", function()
    local client <close> = connect { verify = false, cert = good.cert, key = good.key }
    assert(client:info())
    local other <close> = connect { verify = false, ca = dir .. "/other/ca.pem", cert = good.cert, key = good.key }
    assert(other:info())
    local bare <close> = connect { verify = false }
    fails(bare, "wants a certificate of ours", "tls%.cert")
  end)

  it("has a key without a certificate for misuse", function()
    local ok, err = pcall(function() docker.connect { host = engine.tls_host, tls = { key = good.key } } end)
    assert.is_false(ok)
    assert.matches("^spec/engine/tls_spec.lua:%d+: connect: option 'tls': 'key' goes with 'cert'", err)
  end)

  -- Files are exchanged, and put back at the end: by `change` in the shell.
  local function exchange(change, restart)
    env.run(("cp -a %s %s.good && %s"):format(dir, dir, change))
    if restart then engine:restart() end
    return function()
      env.run(("rm -r %s && mv %s.good %s"):format(dir, dir, dir))
      if restart then engine:restart() end
    end
  end

  it("takes files that were put right under the living client", function()
    for _, change in ipairs {
      { "cp %s/other/ca.pem %s/ca.pem", "nobody who is trusted here" },
      { "rm %s/ca.pem", "trusted certificates" },
      { "cp %s/ended/client.pem %s/cert.pem && cp %s/ended/client-key.pem %s/key.pem", "refuses our certificate" },
      { "rm %s/cert.pem", "file of our certificate" },
    } do
      local restore = exchange((change[1]:gsub("%%s", env.quote(dir))))
      local client <close> = connect(good)
      local value, err = client:info()
      assert.is_nil(value)
      assert.equal("unreachable", err.kind)
      assert.matches(change[2], err.message)
      restore()
      assert(client:info())
    end
  end)

  it("says that the Engine's certificate has expired; with a new one the same client goes on", function()
    local client <close> = connect(good)
    assert(client:info())
    local restore = exchange(("cp %s/ended/server.pem %s/ended/server-key.pem %s"):format(dir, dir, dir), true)
    local value, err = client:info()
    assert.is_nil(value)
    assert.equal("unreachable", err.kind)
    assert.matches("its certificate has expired", err.message)
    assert.matches("clock", err.message)
    local careless <close> = connect { verify = false, cert = good.cert, key = good.key }
    assert(careless:info())
    restore()
    assert(client:info())
  end)

  it("says that the Engine's certificate is a stranger's; with its own again the same client goes on", function()
    local client <close> = connect(good)
    local restore = exchange(("cp %s/other/server.pem %s/other/server-key.pem %s"):format(dir, dir, dir), true)
    local value, err = client:info()
    assert.is_nil(value)
    assert.equal("unreachable", err.kind)
    assert.matches("nobody who is trusted here", err.message)
    restore()
    assert(client:info())
  end)
end)
