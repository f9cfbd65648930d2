-- Reaching an engine that wants mutual TLS: by a context that the docker command made, by its variables, by options.

local env = require "spec.support.env"

describe("an engine with mutual TLS", function()
  after_each(env.cleanup)

  it("is reached by a context, by DOCKER_TLS_VERIFY, by the option tls; and by nobody else", function()
    local engine, dir = env.start_engine "--tls", env.tmpdir()
    local pems = engine.tls_dir
    local clean = "unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH; DOCKER_CONFIG="
      .. env.quote(dir)
    --- What a process with these variables gets from a ping.
    local function ping(variables, options)
      return env.run(("%s %s %s -e %s"):format(clean, variables, env.lua, env.quote(([[
        local client, err = require "docker_watcher.docker".connect(%s)
        local pong
        if client then pong, err = client:ping() end
        io.write(pong and pong.os or err.kind .. ": " .. tostring(err))]]):format(options or "{}"))))
    end
    local host = "DOCKER_HOST=" .. engine.tls_host
    local path = "DOCKER_CERT_PATH=" .. env.quote(pems)
    local files = ("ca = %q, cert = %q, key = %q"):format(pems .. "/ca.pem", pems .. "/cert.pem", pems .. "/key.pem")

    assert.equal("linux", ping(("%s %s DOCKER_TLS_VERIFY=1"):format(host, path)))
    assert.equal("linux", ping(("%s %s DOCKER_TLS=1"):format(host, path)))
    assert.equal("linux", ping("", ("{ host = %q, tls = { %s } }"):format(engine.tls_host, files)))
    assert.matches("^%l+: ", ping(host)) -- plain HTTP to a port that wants TLS
    assert.matches("^%l+: .*certificate", ping(host .. " DOCKER_TLS=1")) -- there is none of ours
    assert.matches("^invalid: .*ca%.pem", ping(host .. " DOCKER_TLS_VERIFY=1")) -- nor a CA
    env.run(("cp %s/*.pem %s"):format(env.quote(pems), env.quote(dir)))
    assert.equal("linux", ping(host .. " DOCKER_TLS_VERIFY=1"))

    if not env.sh("docker context --help").ok then return end
    env.run(("%s docker context create secure --docker host=%s,ca=%s/ca.pem,cert=%s/cert.pem,key=%s/key.pem"):format(
      clean, engine.tls_host, pems, pems, pems))
    assert.equal("linux", ping("DOCKER_CONTEXT=secure"))
    assert.equal("linux", ping("DOCKER_CONTEXT=secure DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/nonexistent"))
    assert.equal("linux", ping(host, "{ context = 'secure' }"))
    env.run(clean .. " docker context use secure")
    assert.equal("linux", ping "")
    -- The option beats a context's files, so that there is no certificate of ours.
    assert.matches("^%l+: .*certificate", ping("DOCKER_CONTEXT=secure", "{ tls = { verify = false } }"))
  end)
end)
