-- copy_in, copy_out, export, stat_path, on a real Engine: what docker cp does with files and folders, archives as
-- streams, memory. The container is created and never started.

local child = require "spec.support.child"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"
local tar = require "docker_watcher.tar"

after_each(env.cleanup)

local function setup()
  local client = assert(docker.connect { host = env.docker_host })
  env.defer(function() client:close() end)
  local name = env.dispose("container", env.name("copy"))
  assert(client:create_container { image = env.image, name = name })
  return client, name
end

-- All of a container's path: { ["name"] = "file content" | "folder" | "symlink to x", … }
local function content(client, id, path)
  local found = {}
  local archive, err = client:copy_out(id, path)
  if not archive then return err.kind end
  for entry in tar.unpack(archive) do
    local data = {}
    repeat
      local piece = entry:read()
      data[#data + 1] = piece
    until not piece
    -- Folders' names end with "/", but for Podman's.
    local entry_name = entry.type == "folder" and entry.name:gsub("/*$", "/") or entry.name
    found[entry_name] = entry.type == "file" and table.concat(data) or entry.link and entry.type .. " to " .. entry.link
      or entry.type
  end
  return found
end

local function folder_with(files)
  local dir = env.tmpdir()
  for name, data in pairs(files) do
    if name:find("/") then env.run("mkdir -p " .. env.quote(dir .. "/" .. name:match("(.*)/"))) end
    env.write_file(dir .. "/" .. name, data)
  end
  return dir
end

local function tree(dir)
  return env.run(("cd %s && find . -mindepth 1 | LC_ALL=C sort"):format(env.quote(dir)))
end

describe("copy_in", function()
  it("puts entries and archives into a folder", function()
    local client, id = setup()
    assert.is_true(client:copy_in(id, "/", {
      { name = "srv", type = "folder", mode = 448 }, { name = "srv/a", data = "A", mode = 416, uid = 7, mtime = 1000 },
      { name = "srv/l", type = "symlink", link = "a" },
    }))
    assert.same({ ["srv/"] = "folder", ["srv/a"] = "A", ["srv/l"] = "symlink to a" }, content(client, id, "/srv"))
    local stat = assert(client:stat_path(id, "/srv/a"))
    assert.same({ "a", "file", 1, 416, "1970-01-01T00:16:40Z" },
      { stat.name, stat.type, stat.size, stat.mode, (stat.mtime:gsub("%.0*Z", "Z")) })
    assert.same({ "symlink", "/srv/a" }, { client:stat_path(id, "/srv/l").type, client:stat_path(id, "/srv/l").link })
    assert.equal("folder", client:stat_path(id, "/srv/").type)
    assert.is_true(client:copy_in(id, "/srv", tar.pack { { name = "b", data = "B" } }))
    assert.equal("B", content(client, id, "/srv/b").b)
  end)

  -- what is copied, where, what is there then under /t
  local cases = {
    { "a file into a folder", "f", "/t/d", { "t/d/f" } },
    { "a file into a folder, with a slash", "f", "/t/d/", { "t/d/f" } },
    { "a file onto a file", "f", "/t/old", { "t/old" } },
    { "a file as a new one", "f", "/t/new", { "t/new" } },
    { "a file into no folder", "f", "/t/new/", "not_found" },
    { "a file where there is no folder", "f", "/t/no/new", "not_found" },
    { "a folder into a folder", "d", "/t/d", { "t/d/d/", "t/d/d/x" } },
    { "a folder's content into a folder", "d/.", "/t/d", { "t/d/x" } },
    { "a folder as a new one", "d", "/t/new", { "t/new/", "t/new/x" } },
    { "a folder's content as a new one", "d/.", "/t/new", { "t/new/", "t/new/x" } },
    { "a folder as a new one, with a slash", "d/", "/t/new/", { "t/new/", "t/new/x" } },
    { "a folder onto a file", "d", "/t/old", "conflict" },
    { "a file through a link to a folder", "f", "/t/link", { "t/d/f" } },
    { "a file through a link to nothing", "f", "/t/dangling", { "t/later" } },
    { "a link", "l", "/t/d", { "t/d/l" } },
  }
  for _, case in ipairs(cases) do
    it("copies " .. case[1], function()
      local client, id = setup()
      local dir = folder_with { f = "new", ["d/x"] = "X" }
      env.run(("ln -s f %s/l"):format(dir))
      assert(client:copy_in(id, "/", {
        { name = "t", type = "folder" }, { name = "t/d", type = "folder" }, { name = "t/old", data = "old" },
        { name = "t/link", type = "symlink", link = "d" },
        { name = "t/dangling", type = "symlink", link = "../t/later" },
      }))
      local before = content(client, id, "/t")
      local done, err = client:copy_in(id, case[3], dir .. "/" .. case[2])
      local after = content(client, id, "/t")
      if type(case[4]) == "string" then
        assert.same({ nil, case[4], "copy_in", id }, { done, err.kind, err.op, err.subject })
        assert.same(before, after)
        return
      end
      assert.is_nil(err)
      local changed = {}
      for name, what in pairs(after) do
        if before[name] ~= what then changed[#changed + 1] = name end
      end
      table.sort(changed)
      assert.same(case[4], changed)
    end)
  end

  it("takes owners as they are here, or as they are given", function()
    local client, id = setup()
    local dir = folder_with { f = "" }
    if env.run("id -u") == "0" then env.run(("chown 7:8 %s/f"):format(dir)) end
    local owner = env.run(("stat -c '%%u %%g' %s/f"):format(dir))
    assert(client:copy_in(id, "/as-here", dir .. "/f"))
    assert(client:copy_in(id, "/as-given", dir .. "/f", { uid = 11, gid = 12 }))
    local function owner_of(path)
      local entry = assert(tar.unpack(client:copy_out(id, path)):next())
      return entry.uid .. " " .. entry.gid
    end
    assert.equal(owner, owner_of("/as-here"))
    assert.equal("11 12", owner_of("/as-given"))
  end)

  it("replaces no folder by a file, unless told to", function()
    local client, id = setup()
    assert(client:copy_in(id, "/", { { name = "d", type = "folder" } }))
    local done, err = client:copy_in(id, "/", { { name = "d", data = "file" } })
    assert.is_nil(done)
    assert.matches("directory", err.message) -- the Engine says 400 or 500, by its version
    assert.equal("folder", client:stat_path(id, "/d").type)
    assert.is_true(client:copy_in(id, "/", { { name = "d", data = "file" } }, { overwrite = true }))
    assert.equal("file", client:stat_path(id, "/d").type)
  end)

  it("says what is missing: container, folder, file here", function()
    local client, id = setup()
    local _, err = client:copy_in("nobody", "/", { { name = "a", data = "" } })
    assert.same({ "not_found", "copy_in", "nobody" }, { err.kind, err.op, err.subject })
    _, err = client:copy_in("nobody", "/x", "README.md")
    assert.same({ "not_found", "nobody" }, { err.kind, err.subject })
    _, err = client:copy_in(id, "/nowhere", { { name = "a", data = "" } })
    assert.equal("not_found", err.kind)
    assert.matches("/nowhere", err.message, 1, true)
    _, err = client:copy_in(id, "/", "/no/such/file")
    assert.same({ "not_found", "copy_in" }, { err.kind, err.op })
    assert.matches("/no/such/file", err.message, 1, true)
  end)

  it("tells of a file that fails while it is sent, and leaves the client as it was", function()
    local client, id = setup()
    local dir = folder_with { a = "" }
    env.run(("head -c 3000000 /dev/zero >%s/large"):format(dir))
    local calls = 0
    local done, err = client:copy_in(id, "/", function()
      calls = calls + 1
      if calls == 1 then return tar.pack { { name = "a", data = "" } }:read():sub(1, 512) end
      return nil, "enough"
    end)
    assert.same({ nil, "stream" }, { done, err.kind })
    assert.matches("enough", err.message, 1, true)
    local reader = tar.pack { { path = dir, name = "in" } }
    local first = reader:read()
    env.write_file(dir .. "/large", "")
    done, err = client:copy_in(id, "/", function()
      local piece = first
      first = nil
      if piece then return piece end
      return reader:read()
    end)
    assert.same({ nil, "conflict", "copy_in" }, { done, err.kind, err.op })
    assert.matches(dir .. "/large: it became shorter while it was read", err.message, 1, true)
    assert.is_true(client:copy_in(id, "/", dir .. "/a"))
  end)
end)

describe("copy_out", function()
  -- path, target under a folder with d/ and the file old; what is new there
  local cases = {
    { "a file into a folder", "/t/f", "d", "./d/f" },
    { "a file onto a file", "/t/f", "old", "./old" },
    { "a file as a new one", "/t/f", "new", "./new" },
    { "a file into no folder", "/t/f", "new/", "not_found" },
    { "a file where there is no folder", "/t/f", "no/new", "not_found" },
    { "a folder into a folder", "/t/d", "d", "./d/d\n./d/d/x" },
    { "a folder's content into a folder", "/t/d/.", "d", "./d/x" },
    { "a folder as a new one", "/t/d", "new", "./new\n./new/x" },
    { "a folder as a new one, with slashes", "/t/d/", "new/", "./new\n./new/x" },
    { "a folder's content as a new one", "/t/d/.", "new", "./new\n./new/x" },
    { "a folder onto a file", "/t/d", "old", "conflict" },
    { "a file through a link to a folder", "/t/f", "link", "./d/f" },
    { "a link", "/t/l", "d", "./d/l" },
    { "what a link leads to", "/t/l", "d", "./d/l", { follow = true } },
  }
  for _, case in ipairs(cases) do
    it("copies " .. case[1], function()
      local client, id = setup()
      assert(client:copy_in(id, "/", {
        { name = "t", type = "folder" }, { name = "t/d", type = "folder" },
        { name = "t/d/x", data = "X", mtime = 5000 },
        { name = "t/f", data = "new" }, { name = "t/l", type = "symlink", link = "f" },
      }))
      local dir = folder_with { ["d/was"] = "", old = "old" }
      env.run(("ln -s d %s/link"):format(dir))
      local before = tree(dir)
      local done, err = client:copy_out(id, case[2], dir .. "/" .. case[3], case[5])
      local after = tree(dir)
      if not case[4]:find "^%." then
        assert.same({ nil, case[4], "copy_out", id }, { done, err.kind, err.op, err.subject })
        assert.equal(before, after)
        return
      end
      assert.is_nil(err)
      local new = {}
      for line in after:gmatch "[^\n]+" do
        if not ("\n" .. before .. "\n"):find("\n" .. line .. "\n", 1, true) then new[#new + 1] = line end
      end
      if case[4] == "./old" then
        assert.equal("new", env.read_file(dir .. "/old"))
      else
        assert.equal(case[4], table.concat(new, "\n"))
      end
      local last = dir .. "/" .. case[4]:match "[^\n]+$"
      local kind = env.run("stat -c %F " .. last)
      assert.equal(case[2] == "/t/l" and not case[5] and "symbolic link" or "regular file", kind)
      if last:find "/x$" then assert.equal("5000", env.run("stat -c %Y " .. last)) end
      assert.is_truthy(done.stat.name and done.files + done.links > 0)
    end)
  end

  it("gives the archive itself without a target, with the stat", function()
    local client, id = setup()
    assert(client:copy_in(id, "/", { { name = "f", data = "text", mode = 2541 } })) -- 04755
    local archive <close> = client:copy_out(id, "/f")
    local stat = archive.stat
    assert.same({ "f", "file", 4, 2541 }, { stat.name, stat.type, stat.size, stat.mode })
    local entry = assert(tar.unpack(archive):next())
    assert.same({ "f", "text" }, { entry.name, entry:read() })
    local bytes = 0
    for piece in client:copy_out(id, "/f") do bytes = bytes + #piece end
    assert.is_true(bytes >= 1536)
  end)

  it("keeps limits, and setuid only when asked", function()
    local client, id = setup()
    local dir = env.tmpdir()
    assert(client:copy_in(id, "/", { { name = "f", data = "text", mode = 2541 } }))
    local done, err = client:copy_out(id, "/f", dir, { max_bytes = 3 })
    assert.same({ nil, "too_large", "copy_out" }, { done, err.kind, err.op })
    assert(client:copy_out(id, "/f", dir))
    assert.equal("755", env.run("stat -c %a " .. dir .. "/f"))
    assert(client:copy_out(id, "/f", dir, { setid = true }))
    assert.equal("4755", env.run("stat -c %a " .. dir .. "/f"))
  end)

  it("says what is missing", function()
    local client, id = setup()
    for _, one in ipairs { { "nobody", "/" }, { id, "/nowhere" } } do
      local done, err = client:copy_out(one[1], one[2], env.tmpdir())
      assert.same({ nil, "not_found", "copy_out", one[1] }, { done, err.kind, err.op, err.subject })
      done, err = client:stat_path(one[1], one[2])
      assert.same({ nil, "not_found", "stat_path" }, { done, err.kind, err.op })
    end
  end)
end)

describe("archives of containers", function()
  it("go from one to the other as they come", function()
    local client, from = setup()
    local _, to = setup()
    assert(client:copy_in(from, "/", { { name = "f", data = ("x"):rep(300000) } }))
    local archive <close> = client:copy_out(from, "/f")
    assert.is_true(client:copy_in(to, "/tmp/..", archive))
    assert.equal(300000, client:stat_path(to, "/f").size)
  end)

  it("are exported whole", function()
    local client, id = setup()
    assert(client:copy_in(id, "/", { { name = "mark", data = "here" } }))
    local found
    for entry in tar.unpack(client:export(id)) do
      if entry.name == "mark" then found = entry:read() end
    end
    assert.equal("here", found)
    local stream, err = client:export("nobody")
    assert.same({ nil, "not_found", "export" }, { stream, err.kind, err.op })
  end)

  it("leave other tasks their turn", function()
    local client, id = setup()
    local dir = env.tmpdir()
    env.run(("head -c 8000000 /dev/urandom >%s/large"):format(dir))
    local pings, copied = 0, false
    loop.run(function()
      loop.spawn(function()
        while not copied do
          assert(client:ping())
          pings = pings + 1
        end
      end)
      assert(client:copy_in(id, "/", dir .. "/large"))
      assert(client:copy_out(id, "/large", dir .. "/back"))
      copied = true
    end)
    assert.is_true(pings > 3)
    env.run(("cmp %s/large %s/back"):format(dir, dir))
  end)

  it("of any size need no memory #heavy", function()
    local client, id = setup()
    local dir = env.tmpdir()
    client:close()
    env.run(("head -c 52428800 /dev/zero >%s/large"):format(dir))
    local out = child.check([[
      local host, id, dir = ...
      local client = docker.connect { host = host }
      assert(client:copy_in(id, "/", { { name = "small", data = "x" } }))
      assert(client:copy_out(id, "/small", dir .. "/small"))
      collectgarbage()
      local before, most = stat.resident(), 0
      local function look() most = math.max(most, stat.resident()) end
      local reader = require "docker_watcher.tar".pack { { path = dir .. "/large" } }
      local pieces = 0
      assert(client:copy_in(id, "/", function()
        pieces = pieces + 1
        if pieces % 50 == 0 then look() end
        return reader:read()
      end))
      look()
      local bytes = 0
      for piece in client:copy_out(id, "/large") do
        bytes = bytes + #piece
        if bytes % (1 << 20) < #piece then look() end
      end
      assert(client:copy_out(id, "/large", dir .. "/back"))
      look()
      print(bytes, (most - before) // 1024)
    ]], env.docker_host, id, dir)
    local bytes, grown = out:match("^(%d+)\t(%-?%d+)\n$")
    assert.is_true(tonumber(bytes) > 52428800)
    if not os.getenv "DW_PRELOAD" then assert.is_true(tonumber(grown) < 4096, grown .. " KiB") end
    env.run(("cmp %s/large %s/back"):format(dir, dir))
  end)
end)

describe("misuse", function()
  it("raises, naming the argument", function()
    local client = assert(docker.connect { host = "unix:///nowhere.sock" })
    local cases = {
      { "copy_in", { "" }, "copy_in: container: the id or name is empty" },
      { "copy_in", { "a" }, "copy_in: path: string expected, got nil" },
      { "copy_in", { "a", "" }, "copy_in: path: it is empty" },
      { "copy_in", { "a", "/" }, "copy_in: source: path, list of entries or reader expected, got nil" },
      { "copy_in", { "a", "/", "" }, "copy_in: source: it is empty" },
      { "copy_in", { "a", "/", { { nmae = "x" } } }, "tar.pack: entry 1: unknown option 'nmae'" },
      { "copy_in", { "a", "/", print, { uid = 1 } }, "copy_in: 'uid', 'gid' and 'follow' are for" },
      { "copy_in", { "a", "/", "x", { folow = true } }, "unknown option 'folow' (did you mean 'follow'?)" },
      { "copy_out", { "a", "/", 1 }, "copy_out: target: string expected, got number" },
      { "copy_out", { "a", "/", "x", 1 }, "copy_out: options table expected as argument 4, got number" },
      { "stat_path", { "a", "b\0" }, "stat_path: path: holds a NUL byte" },
      { "export", { "a/b" }, "export: container: '/' cannot be in an id or name" },
    }
    for _, case in ipairs(cases) do
      local line = debug.getinfo(1, "l").currentline + 1
      local ok, message = pcall(function() client[case[1]](client, table.unpack(case[2])) end)
      assert.is_false(ok)
      assert.is_truthy(message:find(case[3], 1, true), message)
      assert.matches(("copy_spec.lua:%d: "):format(line), message, 1, true)
    end
  end)
end)
