-- save_image, load_image, import_image and push_image on a real Engine and a real registry.

local docker = require "docker_watcher.docker"
local tar = require "docker_watcher.tar"
local env = require "spec.support.env"

describe("images", function()
  local client

  before_each(function() client = assert(docker.connect { host = env.docker_host }) end)
  after_each(function()
    client:close()
    env.cleanup()
  end)

  --- An image of its own name that is removed at cleanup.
  local function own()
    local name = env.name("dw-file") .. ":1"
    assert(client:tag_image(env.image, name))
    return env.dispose("image", name)
  end

  it("are saved as a stream of an archive that tar can read", function()
    local name = own()
    local entries, manifest = 0, nil
    local stream <close> = assert(client:save_image(name))
    for entry in tar.unpack(stream) do
      entries = entries + 1
      if entry.name == "manifest.json" then manifest = entry:read() end
    end
    assert.is_true(entries >= 3)
    assert.is_truthy(manifest:find(name, 1, true))
  end)

  it("go from Engine to file and back, or straight from one to the other", function()
    local name, folder = own(), env.tmpdir()
    local id = assert(client:inspect_image(name)).id
    local saved = assert(client:save_image(name, { path = folder .. "/image.tar" }))
    assert.equal(saved.size, #env.read_file(folder .. "/image.tar"))
    assert(client:remove_image(name))
    local seen = 0
    local loaded = assert(client:load_image({ path = folder .. "/image.tar" },
      { on_progress = function() seen = seen + 1 end }))
    assert.same({ name }, loaded.images)
    assert.is_true(seen >= 1)
    assert.equal(id, assert(client:inspect_image(name)).id)
    local stream <close> = assert(client:save_image({ name }))
    assert.same({ name }, assert(client:load_image(stream)).images)
  end)

  it("are never half a file", function()
    local folder = env.tmpdir()
    local saved, err = client:save_image(env.name("gone") .. ":1", { path = folder .. "/image.tar" })
    assert.is_nil(saved)
    assert.equal("save_image", err.op)
    saved, err = client:save_image(own(), { path = folder .. "/no/such/folder/image.tar" })
    assert.is_nil(saved)
    assert.matches("no/such/folder", err.message)
    assert.equal("", env.run("ls " .. folder))
  end)

  it("are not loaded from what is no archive", function()
    local loaded, err = client:load_image("this is no archive")
    assert.is_nil(loaded)
    assert.equal("load_image", err.op)
    loaded, err = client:load_image { path = "/no/such/file.tar" }
    assert.is_nil(loaded)
    assert.equal("not_found", err.kind)
    assert.matches("/no/such/file.tar", err.message)
    local thrown = {}
    local ok, raised = pcall(client.load_image, client, function() error(thrown) end)
    assert.is_false(ok)
    assert.equal(thrown, raised)
    assert(client:ping())
  end)

  it("are imported from a file system", function()
    local name = env.name("dw-import")
    local image = assert(client:import_image(tar.pack { { name = "hello", data = "world" } },
      { repository = name, tag = "1", message = "by hand", changes = { "ENV A=b", 'CMD ["/hello"]' } }))
    env.dispose("image", name .. ":1")
    local made = assert(client:inspect_image(name .. ":1"))
    assert.equal(image.id, made.id)
    assert.same({ "/hello" }, made.cmd)
    assert.equal("b", made.env.A)
  end)

  it("are pushed, with progress, and pulled again by digest", function()
    local target = env.registry .. "/" .. env.name("push")
    assert(client:tag_image(env.image, target .. ":1"))
    env.dispose("image", target .. ":1")
    local seen = 0
    local pushed = assert(client:push_image(target, "1", { on_progress = function() seen = seen + 1 end }))
    assert.equal("1", pushed.tag)
    assert.matches("^sha256:%x+$", pushed.digest)
    assert.is_true(seen > 1)
    assert(client:remove_image(target .. ":1"))
    assert.equal(pushed.digest, assert(client:pull_image(target, pushed.digest)).digest)
    env.dispose("image", target .. "@" .. pushed.digest)
  end)

  it("are not pushed where there is none, nobody listens, or a login is wanted", function()
    local pushed, err = client:push_image(env.registry .. "/" .. env.name("none"), "1")
    assert.is_nil(pushed)
    assert.equal("push_image", err.op)
    assert.matches("does not exist", err.message)
    local registry = env.start_registry("--auth htpasswd")
    local target = registry.host .. "/" .. env.name("push") .. ":1"
    assert(client:tag_image(env.image, target))
    env.dispose("image", target)
    pushed, err = client:push_image(target, nil, { auth = false })
    assert.is_nil(pushed)
    assert.equal("unauthorized", err.kind)
    local user, password = registry.login:match("^(.-):(.*)$")
    pushed, err = client:push_image(target, nil, { auth = { username = user, password = password .. "x" } })
    assert.is_nil(pushed)
    assert.equal("unauthorized", err.kind)
    assert.is_nil(tostring(err):find(password, 1, true))
    assert.matches("^sha256:", assert(client:push_image(target, nil,
      { auth = { username = user, password = password } })).digest)
  end)

  local misuses = {
    { "push_image: a digest cannot be pushed", function() client:push_image("a@sha256:" .. ("0"):rep(64)) end },
    { "push_image: option 'platform'", function() client:push_image("a", "1", { platform = "linux" }) end },
    { "save_image: no image is named", function() client:save_image {} end },
    { "load_image: source:", function() client:load_image(5) end },
    { "search: term: string expected", function() client:search("") end },
  }
  for _, case in ipairs(misuses) do
    it("refuse at the caller's line: " .. case[1], function()
      local ok, err = pcall(case[2])
      assert.is_false(ok)
      assert.matches("image_files_spec.lua:%d+: " .. case[1], err)
    end)
  end
end)
