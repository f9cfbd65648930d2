-- examples/luv.lua runs as it stands, against the engine of the tests.
local env = require "spec.support.env"

describe("examples/luv.lua", function()
  after_each(env.cleanup)

  it("inspects all containers, and ends", function()
    local names = {}
    for i = 1, 3 do
      names[i] = env.dispose("container", env.name("luv"))
      assert.equal(201, (env.engine("POST", "/containers/create?name=" .. names[i], { Image = env.image })))
    end
    local out = env.run(env.lua .. " examples/luv.lua")
    for _, name in ipairs(names) do assert.matches(name:gsub("%-", "%%-") .. "\tcreated\n", out) end
    assert.matches("%d+ ticks meanwhile$", out)
  end)

  it("says why a task failed, and ends", function()
    local r = env.sh("DOCKER_HOST=unix:///nowhere.sock " .. env.lua .. " examples/luv.lua")
    assert.matches("a task failed: .*nowhere.sock", r.err)
    assert.matches("ticks meanwhile", r.out)
  end)
end)
