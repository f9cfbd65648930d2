-- src/tools.c: what our Lua files need and Lua cannot do.

local core = require "docker_watcher.core"
local env = require "spec.support.env"

describe("core", function()
  after_each(env.cleanup)

  it("hashes", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", core.sha256 "")
    assert.equal("37a8eec1ce19687d132fe29051dca629d164e2c4958ba141d5f4133a33f0688f", core.sha256 "default")
    assert.equal(env.run("printf 'a\\0b' | sha256sum"):match "^%x+", core.sha256 "a\0b")
  end)

  it("decodes standard base64 with padding, any bytes, and nothing else", function()
    for _, bytes in ipairs { "", "a", "ab", "abc", "\0\xff\n", ("x"):rep(1000) } do
      assert.equal(bytes, core.base64_decode(env.run("base64 -w 76", bytes)))
    end
    for _, text in ipairs { "YQ", "YQ=", "Y Q=", "YQ==x", "_-8=", "=", "YQ==YQ==" } do
      assert.is_nil(core.base64_decode(text), text)
    end
  end)

  it("lists a folder, as far as LIMIT_DIRECTORY goes", function()
    local dir = env.tmpdir()
    env.run("touch " .. dir .. "/a " .. dir .. "/.b")
    local names = core.directory(dir)
    table.sort(names)
    assert.same({ ".b", "a" }, names)
    local long = ("x"):rep(200)
    env.run(("cd %s && for i in $(seq 400); do : >%s$i; done"):format(dir, long))
    assert.is_true(#core.directory(dir) > 300 and #core.directory(dir) < 330)
    local none, reason = core.directory(dir .. "/none")
    assert.is_nil(none)
    assert.equal("No such file or directory", reason)
  end)

  it("knows the user's home without HOME", function()
    assert.equal(env.run "getent passwd $(id -u) | cut -d: -f6", core.home())
  end)
end)
