-- examples/build.lua runs as it stands, against the engine of the tests.
local env = require "spec.support.env"

describe("examples/build.lua", function()
  before_each(env.dispose_builds)
  after_each(env.cleanup)

  local function folder(dockerfile)
    local dir = env.tmpdir()
    env.write_file(dir .. "/Dockerfile", dockerfile)
    env.write_file(dir .. "/hello", "hello\n")
    return dir
  end

  it("builds, and takes a file out", function()
    local tag, target = env.dispose("image", env.name("example")), env.tmpdir()
    local dir = folder("FROM scratch\nCOPY hello /out/\n")
    local out = env.run(("%s examples/build.lua %s %s /out/hello %s"):format(env.lua, dir, tag, target))
    assert.matches("Step 2/3 : COPY hello /out/\n", out, 1, true)
    assert.matches("image\tsha256:%x+\ncopied\t1 files\t6 bytes$", out)
    assert.equal("hello\n", env.read_file(target .. "/hello"))
  end)

  it("says which step failed", function()
    local dir = folder("FROM scratch\nCOPY nothing /out/\n")
    local r = env.sh(("%s examples/build.lua %s x"):format(env.lua, dir))
    assert.equal(1, r.status)
    assert.matches("build_image x: Step 2/3 : COPY nothing /out/: ", r.err, 1, true)
  end)
end)
