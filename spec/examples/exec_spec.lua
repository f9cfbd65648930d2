-- examples/exec.lua runs as it stands, against the engine of the tests.
local env = require "spec.support.env"

describe("examples/exec.lua", function()
  after_each(env.cleanup)

  it("passes input, both outputs and the exit code on", function()
    local name = env.dispose("container", env.name("exec"))
    local command = { "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done" }
    assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, { Image = env.image, Cmd = command })))
    assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start")))
    local script = env.quote("tr a-z A-Z; echo done >&2; exit 5")
    local r = env.sh(("%s examples/exec.lua %s sh -c %s"):format(env.lua, name, script), "hello")
    assert.same({ 5, "HELLO", "done\n" }, { r.status, r.out, r.err })
    r = env.sh(env.lua .. " examples/exec.lua " .. env.name("gone") .. " true")
    assert.equal(1, r.status)
    assert.matches("No such container", r.err)
  end)
end)
