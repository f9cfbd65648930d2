-- examples/client.lua runs as it stands, against the engine and the registry of the tests.
local env = require "spec.support.env"

describe("examples/client.lua", function()
  after_each(env.cleanup)

  it("pulls, runs, logs and removes", function()
    local repository = env.registry .. "/" .. env.name("example")
    env.tinyimage(repository .. ":1.0.0", "--expose 8080")
    env.dispose("image", repository .. ":1.0.0")
    local out = env.run(env.lua .. " examples/client.lua " .. repository .. " 1.0.0")
    assert.matches("image\tdownloaded\tsha256:%x+", out)
    assert.matches("port\t8080/tcp\t%d+", out)
    local status, left = env.engine("GET", '/containers/json?all=1&filters={"label":["example=client"]}')
    assert.equal(200, status)
    assert.equal(0, #left)
  end)
end)
