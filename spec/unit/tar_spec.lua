-- docker_watcher.tar: archives made and read as streams, checked against the system's tar; hostile archives; readers
-- that yield, fail or stop; files that change while they are read.

local env = require "spec.support.env"
local tar = require "docker_watcher.tar"

after_each(env.cleanup)

local BLOCK = 65536

-- The whole archive as a string; its pieces are checked.
local function bytes_of(reader)
  local pieces = {}
  while true do
    local piece, err = reader:read()
    if not piece then
      assert.is_nil(err)
      return table.concat(pieces)
    end
    assert.is_true(#piece > 0 and #piece <= BLOCK)
    pieces[#pieces + 1] = piece
  end
end

local function packed(entries, options)
  local reader <close> = tar.pack(entries, options)
  return bytes_of(reader)
end

-- A reader of a string, in pieces of so many bytes.
local function pieces_of(bytes, size)
  local at = 1
  return function()
    if at > #bytes then return nil end
    local piece = bytes:sub(at, at + (size or #bytes) - 1)
    at = at + #piece
    return piece
  end
end

local function entries_of(bytes, size)
  local list = {}
  for entry in tar.unpack(pieces_of(bytes, size)) do
    local data = {}
    for piece in function() return assert(entry:read() or "") end do
      if piece == "" then break end
      data[#data + 1] = piece
    end
    list[#list + 1] = {
      name = entry.name, type = entry.type, link = entry.link, data = table.concat(data), mode = entry.mode,
      uid = entry.uid, gid = entry.gid, mtime = entry.mtime,
    }
  end
  return list
end

local function names_of(bytes)
  local names = {}
  for entry in tar.unpack(pieces_of(bytes)) do names[#names + 1] = entry.name end
  return names
end

local function error_of(reader)
  local piece, err
  repeat piece, err = reader:read() until not piece
  return err
end

-- One ustar header and its data, with nothing checked: what our own writer would not write.
local function raw(name, kind, fields)
  fields = fields or {}
  local data = fields.data or ""
  local header = string.pack("c100c8c8c8c12c12c8c1c100c8c32c32c8c8c155c12", name, fields.mode or "0000644\0",
    "0000000\0", "0000000\0", ("%011o\0"):format(fields.size or #data), ("%011o\0"):format(fields.mtime or 0),
    "        ", kind, fields.link or "", "ustar\00000", "", "", "0000001\0", "0000003\0", "", "")
  local sum = 0
  for i = 1, 512 do sum = sum + header:byte(i) end
  header = header:sub(1, 148) .. ("%06o\0 "):format(sum) .. header:sub(157)
  return header .. data .. ("\0"):rep(-#data % 512)
end

local FILE, HARD, SYMLINK, CHAR, FOLDER = "0", "1", "2", "3", "5"
local TAIL = ("\0"):rep(1024)

local function folder_with(files)
  local dir = env.tmpdir()
  for name, data in pairs(files) do
    if name:find("/") then env.run("mkdir -p " .. env.quote(dir .. "/" .. name:match("(.*)/"))) end
    env.write_file(dir .. "/" .. name, data)
  end
  return dir
end

describe("tar.pack", function()
  it("makes entries of strings, folders and links, which the system's tar reads", function()
    local dir = env.tmpdir()
    env.write_file(dir .. "/a.tar", packed({
      { name = "VERSION", data = "1.4\n", mode = 384, mtime = 1000000000, uid = 7, gid = 8 },
      { name = "empty", data = "" },
      { name = "logs", type = "folder", mode = 448 },
      { name = "link", type = "symlink", link = "../elsewhere" },
      { name = "again", type = "hardlink", link = "VERSION" },
    }, { uid = 1, gid = 2, mtime = 1000000001 }))
    assert.equal([[
-rw------- 7/8 4 2001-09-09T01:46:40 VERSION
-rw-r--r-- 1/2 0 2001-09-09T01:46:41 empty
drwx------ 1/2 0 2001-09-09T01:46:41 logs/
lrwxrwxrwx 1/2 0 2001-09-09T01:46:41 link -> ../elsewhere
hrw-r--r-- 1/2 0 2001-09-09T01:46:41 again link to VERSION]],
      (env.run("TZ=UTC tar tvf " .. dir .. "/a.tar --numeric-owner --full-time"):gsub(" +", " ")
        :gsub("(%d) (%d%d:%d%d:%d%d)", "%1T%2")))
    assert.equal("1.4", env.run("tar xOf " .. dir .. "/a.tar VERSION"))
  end)

  it("walks a folder: in the order of names, with or without a name before them", function()
    local dir = folder_with { ["b"] = "B", ["a/z"] = "Z", ["a/y/x"] = "X", ["a.txt"] = "T", ["c"] = "" }
    assert.same({ "a/", "a/y/", "a/y/x", "a/z", "a.txt", "b", "c" }, names_of(packed { { path = dir } }))
    assert.same({ "in/", "in/a/", "in/a/y/", "in/a/y/x", "in/a/z", "in/a.txt", "in/b", "in/c" },
      names_of(packed { { path = dir .. "/", name = "in" } }))
  end)

  it("takes a single file by its own name, or by another", function()
    local dir = folder_with { ["app.toml"] = "k = 1" }
    local list = entries_of(packed { { path = dir .. "/app.toml" }, { path = dir .. "/app.toml", name = "etc/b" } })
    assert.same({ "app.toml", "k = 1" }, { list[1].name, list[1].data })
    assert.same({ "etc/b", "k = 1" }, { list[2].name, list[2].data })
  end)

  it("leaves out what its filter leaves out", function()
    local dir = folder_with { ["keep"] = "", ["drop"] = "", ["no/x"] = "", ["some/x"] = "", ["some/y"] = "" }
    local asked = {}
    local bytes = packed { {
      path = dir, name = "p",
      filter = function(name, kind)
        asked[#asked + 1] = name .. " " .. kind
        if name == "some" then return "inside" end
        return name ~= "drop" and name ~= "no" and name ~= "some/y"
      end,
    } }
    assert.same({ "p/", "p/keep", "p/some/x" }, names_of(bytes))
    assert.same({ "drop file", "keep file", "no folder", "some folder", "some/x file", "some/y file" }, asked)
  end)

  it("keeps modes, times, symbolic links, hard links and fifos; passes sockets by", function()
    local dir = folder_with { ["one"] = "1" }
    env.run(([[cd %s && chmod 4751 one && touch -d @1234567890.75 one && ln one two && ln -s nowhere/at/all link &&
      mkfifo fifo && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")']]):format(dir))
    local list = entries_of(packed { { path = dir } })
    assert.same({ "fifo", "link", "one", "two" }, { list[1].name, list[2].name, list[3].name, list[4].name })
    assert.same({ "fifo", "symlink", "file", "hardlink" }, { list[1].type, list[2].type, list[3].type, list[4].type })
    assert.same({ "nowhere/at/all", "one" }, { list[2].link, list[4].link })
    assert.same({ 2537, 1234567890, "1", "" }, { list[3].mode, list[3].mtime, list[3].data, list[4].data }) -- 04751
    local err = error_of(tar.pack { { path = dir .. "/sock" } })
    assert.same({ "invalid", "tar.pack " .. dir .. "/sock: an archive can't hold a socket" }, { err.kind, err.message })
  end)

  it("follows a link to its folder only when asked", function()
    local dir = folder_with { ["real/x"] = "X" }
    env.run(("ln -s real %s/link"):format(dir))
    assert.equal("symlink", entries_of(packed { { path = dir .. "/link" } })[1].type)
    assert.same({ "x" }, names_of(packed { { path = dir .. "/link", follow = true } }))
    assert.same({ "x" }, names_of(packed { { path = dir .. "/link/" } }))
  end)

  it("keeps names as they are: long, not ASCII, not UTF-8, in any locale", function()
    local long = ("n"):rep(200) .. "/" .. ("m"):rep(250)
    local names = { long, "grün", "\xff\xfe\xe4", "with\nnewline", " blank " }
    local entries = {}
    for i, name in ipairs(names) do entries[i] = { name = name, data = tostring(i) } end
    entries[#entries + 1] = { name = "l", type = "symlink", link = "\xfc/" .. long }
    local bytes = packed(entries)
    for _, size in ipairs { 1, 511, 100000 } do
      local list = entries_of(bytes, size)
      for i, name in ipairs(names) do assert.same({ name, tostring(i) }, { list[i].name, list[i].data }) end
      assert.equal("\xfc/" .. long, list[#names + 1].link)
    end
    local before = os.setlocale()
    if os.setlocale("C.UTF-8") then
      assert.equal(bytes:len(), packed(entries):len())
      assert.equal("\xff\xfe\xe4", entries_of(bytes)[3].name)
      os.setlocale(before)
    end
  end)

  it("takes entries from a function, which may yield", function()
    local thread = coroutine.wrap(function()
      local left = 3
      local reader = tar.pack(function()
        coroutine.yield("waiting")
        left = left - 1
        if left >= 0 then return { name = "n" .. left, data = ("x"):rep(left) } end
      end)
      return bytes_of(reader)
    end)
    local answer
    local waits = -1
    repeat answer, waits = thread(), waits + 1 until answer ~= "waiting"
    assert.equal(4, waits)
    assert.same({ "n2", "n1", "n0" }, names_of(answer))
  end)

  it("hands on what the function fails with, and stays failed", function()
    local reader = tar.pack(function() return nil, "no more" end)
    assert.same({ nil, "no more" }, { reader:read() })
    assert.same({ nil, "no more" }, { reader:read() })
    local raising = tar.pack(function() error("oh", 0) end)
    assert.error_matches(function() raising:read() end, "^oh$")
    assert.same({ nil, "oh" }, { raising:read() })
  end)

  it("sends large files in pieces, a growing one as long as it was", function()
    local dir = env.tmpdir()
    local text = ("0123456789abcdef"):rep(20000)
    env.write_file(dir .. "/large", text)
    local reader = tar.pack { { path = dir } }
    local first = reader:read()
    env.run(("echo more >>%s/large"):format(dir))
    local list = entries_of(first .. bytes_of(reader))
    assert.equal(text, list[1].data)
  end)

  it("names a file that became shorter, and one that is not there", function()
    local dir = env.tmpdir()
    env.write_file(dir .. "/large", ("x"):rep(300000))
    local reader = tar.pack { { path = dir } }
    reader:read()
    env.write_file(dir .. "/large", "short")
    local err = error_of(reader)
    assert.same({ "conflict", ("tar.pack %s/large: it became shorter while it was read"):format(dir) },
      { err.kind, err.message })
    assert.equal(err, select(2, reader:read()))
    err = error_of(tar.pack { { path = dir .. "/nothing" } })
    assert.same({ "not_found", ("tar.pack %s/nothing: No such file or directory"):format(dir), "tar.pack" },
      { err.kind, err.message, err.op })
  end)

  it("names a file and a folder that it may not read", function()
    local dir = folder_with { ["open"] = "", ["secret"] = "x", ["shut/x"] = "x" }
    env.run(("chmod 000 %s/secret %s/shut"):format(dir, dir))
    env.write_file(dir .. "/open", [[
      local tar = require "docker_watcher.tar"
      for _, name in ipairs { "secret", "shut/" } do
        local reader = tar.pack { { path = arg[1] .. "/" .. name } }
        local err = select(2, reader:read())
        print(err and err.kind, err)
      end]])
    -- Without this even root's right to read everything would be in the way.
    local limit = env.run("id -u") == "0" and "setpriv --bounding-set=-dac_override,-dac_read_search " or ""
    local out = env.run(("%s env %s %s/open %s"):format(limit, env.lua, dir, dir))
    assert.equal(("forbidden\ttar.pack %s/secret: Permission denied\nforbidden\ttar.pack %s/shut/: Permission denied")
      :format(dir, dir), out)
  end)

  it("can be closed at any moment, and is closed by <close>", function()
    local dir = env.tmpdir()
    env.write_file(dir .. "/large", ("x"):rep(300000))
    local reader = tar.pack { { path = dir } }
    reader:read()
    reader:close()
    reader:close()
    assert.error_matches(function() reader:read() end, "tar.pack: the archive is closed$")
  end)

  it("refuses misuse at the caller's line", function()
    local cases = {
      { 1, "table or function expected as argument 1, got number" },
      { { 1 }, "entry 1: table expected, got number" },
      { { { name = "a", data = "" }, { nmae = "b" } }, "entry 2: unknown option 'nmae' %(did you mean 'name'%?%)" },
      { { { name = "a" } }, "entry 1: one of 'path', 'data' and 'type' expected" },
      { { { name = "a", data = "", path = "b" } }, "entry 1: one of 'path', 'data' and 'type' expected" },
      { { { data = "" } }, "entry 1: option 'name' is missing" },
      { { { name = "/a", data = "" } }, "entry 1: option 'name': it is absolute" },
      { { { name = "a/../../b", data = "" } }, "entry 1: option 'name': it holds '..'" },
      { { { name = ("a"):rep(4097), data = "" } }, "entry 1: option 'name': it is longer than LIMIT_TAR_NAME allows" },
      { { { name = "a", type = "door" } }, 'option \'type\': "folder", "symlink" or "hardlink" expected, got "door"' },
      { { { name = "a", type = "symlink" } }, "option 'link': wanted for links, and for nothing else" },
      { { { name = "a", data = "", mode = -1 } }, "option 'mode': %-1 is none" },
      { { { name = "a", data = "", mode = "644" } }, "option 'mode': integer expected, got string" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function() tar.pack(case[1]) end, "^tar.pack: .-" .. case[2] .. "$")
    end
    local line = debug.getinfo(1, "l").currentline + 1
    local _, message = pcall(function() tar.pack({}, { uid = -2 }) end)
    assert.matches(("tar_spec.lua:%d: tar.pack: option 'uid': %%-2 is none$"):format(line), message)
  end)
end)

describe("tar.unpack", function()
  local bytes = packed {
    { name = "a", data = ("A"):rep(100000) }, { name = "b", data = "B" }, { name = "c", data = "" },
  }

  it("reads archives in pieces of any size, and passes over what is not read", function()
    for _, size in ipairs { 7, 512, 4096, #bytes } do
      local list = entries_of(bytes, size)
      assert.same({ "a", "b", "c" }, { list[1].name, list[2].name, list[3].name })
      assert.same({ ("A"):rep(100000), "B", "" }, { list[1].data, list[2].data, list[3].data })
    end
    assert.same({ "a", "b", "c" }, names_of(bytes))
  end)

  it("takes an object with read(), which may yield, and reads it to its end", function()
    local source = { give = pieces_of(bytes .. ("\0"):rep(5000), 1000) }
    function source:read()
      coroutine.yield("waiting")
      local piece = self.give()
      self.over = piece == nil
      return piece
    end
    local thread = coroutine.wrap(function()
      local names = {}
      for entry in tar.unpack(source) do
        names[#names + 1] = entry.name .. #(entry:read() or "")
      end
      return names
    end)
    local answer
    local waits = -1
    repeat answer, waits = thread(), waits + 1 until answer ~= "waiting"
    assert.same({ "a65536", "b1", "c0" }, answer)
    assert.is_true(source.over)
    assert.is_true(waits > 100)
  end)

  it("takes one of Lua's own files", function()
    local path = env.tmpdir() .. "/a.tar"
    env.write_file(path, bytes)
    local file <close> = assert(io.open(path, "rb"))
    local names = {}
    for entry in tar.unpack(file) do names[#names + 1] = entry.name end
    assert.same({ "a", "b", "c" }, names)
  end)

  it("says that an archive ends too early, wherever it was cut", function()
    for _, at in ipairs { 0, 100, 512, 700, 60000, 100864, 101400, #bytes - 1024 } do
      local archive <close> = tar.unpack(pieces_of(bytes:sub(1, at), 999))
      local entry, err
      repeat
        entry, err = archive:next()
        while entry and not err do
          local piece
          piece, err = entry:read()
          if not piece then break end
        end
      until not entry or err
      assert.is_truthy(err, at)
      assert.same({ at, "interrupted" }, { at, err.kind })
      assert.matches("the archive ends too early$", err.message)
    end
  end)

  it("says that something is no archive", function()
    local compressed, changed = "\x1f\x8b\8\0" .. ("x"):rep(2000), bytes:gsub("ustar", "usual", 1)
    for _, text in ipairs { ("no archive "):rep(100), compressed, changed } do
      local _, err = tar.unpack(pieces_of(text)):next()
      assert.equal("protocol", err.kind)
      assert.matches("^tar.unpack: no tar archive, or a broken one: ", err.message)
    end
  end)

  it("hands on the reader's error, and stays failed", function()
    local give = pieces_of(bytes, 600)
    local archive = tar.unpack(function()
      local piece = give()
      if piece then return piece end
      return nil, { kind = "interrupted" }
    end)
    local entry, err
    repeat entry, err = archive:next() until not entry
    assert.same({ kind = "interrupted" }, err)
    assert.equal(err, select(2, archive:next()))
    local raising = tar.unpack(function() error("broken", 0) end)
    assert.error_matches(function() raising:next() end, "^broken$")
    assert.same({ nil, "broken" }, { raising:next() })
    local wrong = tar.unpack(function() return 1 end)
    assert.error_matches(function() wrong:next() end, "tar.unpack: reader: string or nil expected, got number$")
    assert.error_matches(function() for _ in tar.unpack(function() return nil, "no" end) do error("?") end end, "^no$")
  end)

  it("does not read for ever behind the end", function()
    local archive = tar.unpack(function() return ("\0"):rep(BLOCK) end)
    local _, err = archive:next()
    assert.equal("too_large", err.kind)
    assert.matches("LIMIT_TAR_TRAILER", err.message)
  end)

  it("reads only the entry that it has come to", function()
    local archive = tar.unpack(pieces_of(bytes))
    local a = archive:next()
    local b = archive:next()
    assert.equal("B", b:read())
    assert.is_nil(b:read())
    assert.error_matches(function() a:read() end, "tar.unpack: the archive has gone on from this entry$")
    archive:close()
    assert.error_matches(function() archive:next() end, "tar.unpack: the archive is closed$")
  end)

  it("can be left at any moment", function()
    for _ = 1, 50 do
      local archive = tar.unpack(pieces_of(bytes, 100))
      archive:next():read()
    end
    collectgarbage()
    local seen = 0
    for entry in tar.unpack(pieces_of(bytes, 100)) do
      seen = seen + 1
      if entry.name == "b" then break end
    end
    assert.equal(2, seen)
    -- In the middle of a wait: the task is dropped, and everything with it.
    local thread = coroutine.create(function() tar.unpack(coroutine.yield):next() end)
    coroutine.resume(thread)
    assert.is_true(coroutine.close(thread))
    collectgarbage()
  end)

  it("knows one reader at a time", function()
    local archive = tar.unpack(coroutine.yield)
    local thread = coroutine.create(function() return archive:next() end)
    coroutine.resume(thread)
    assert.error_matches(function() archive:next() end, "another task is reading the archive$")
    archive:close()
    assert.matches("tar.unpack: closed while it was read$", select(2, coroutine.resume(thread, bytes)))
  end)

  it("refuses what is no reader", function()
    for _, reader in ipairs { 1, "text", {}, { read = 1 } } do
      assert.error_matches(function() tar.unpack(reader) end,
        "tar.unpack: reader: function or object with read%(%) expected, got " .. type(reader) .. "$")
    end
  end)
end)

describe("tar.extract", function()
  -- Extracts into a new folder; answers the folder and what extract says.
  local function extract(bytes, options)
    local dir = env.tmpdir() .. "/into"
    return dir, tar.extract(pieces_of(bytes, 1000), dir, options)
  end

  it("puts everything into the folder, with modes and times", function()
    local from = folder_with { ["a/x"] = "X", ["run"] = "#!" }
    env.run(("cd %s && chmod 750 run && chmod 700 a && ln -s a/x link && ln run same && touch -d @99 a/x run a")
      :format(from))
    local dir, done = extract(packed { { path = from, name = "./in" } })
    assert.same({ files = 2, folders = 2, links = 2, bytes = 3, skipped = {} }, done)
    assert.equal("", env.run(("cd %s && chmod 755 in && diff -r %s in && stat -c '%%A %%Y' in/run in/a in/a/x >../s")
      :format(dir, from)))
    assert.equal("-rwxr-x--- 99\ndrwx------ 99\n-rw-r--r-- 99\n", env.read_file(dir .. "/../s"))
    assert.equal("a/x", env.run("readlink " .. dir .. "/in/link"))
    assert.equal(env.run("stat -c %i " .. dir .. "/in/run"), env.run("stat -c %i " .. dir .. "/in/same"))
  end)

  it("replaces files, and goes on in folders that are there", function()
    local dir = folder_with { ["f"] = "old and longer", ["d/stays"] = "" }
    env.run(("ln -s f %s/l"):format(dir))
    assert(tar.extract(pieces_of(packed { { name = "f", data = "new" }, { name = "d/x", data = "" },
      { name = "l", data = "no link" } }), dir))
    assert.equal("new", env.read_file(dir .. "/f"))
    assert.equal("stays\nx", env.run("ls " .. dir .. "/d"))
    assert.equal("no link", env.read_file(dir .. "/l"))
  end)

  it("never writes outside of the folder", function()
    local out = env.tmpdir()
    env.write_file(out .. "/victim", "untouched")
    local evil = {
      ["absolute"] = raw(out .. "/victim", FILE, { data = "x" }),
      ["dotdot"] = raw("../victim", FILE, { data = "x" }),
      ["dotdot inside"] = raw("a/../../victim", FILE, { data = "x" }),
      ["link, then through it"] = raw("l", SYMLINK, { link = out }) .. raw("l/victim", FILE, { data = "x" }),
      ["two links"] = raw("a", SYMLINK, { link = "." }) .. raw("a/b", SYMLINK, { link = out }) ..
        raw("b/victim", FILE, { data = "x" }),
      ["folder through a link"] = raw("l", SYMLINK, { link = out }) .. raw("l/new/", FOLDER),
      ["hard link, absolute"] = raw("h", HARD, { link = out .. "/victim" }) .. raw("h", FILE, { data = "x" }),
      ["hard link, dotdot"] = raw("h", HARD, { link = "../victim" }),
      ["hard link through a link"] = raw("l", SYMLINK, { link = out }) .. raw("h", HARD, { link = "l/victim" }),
    }
    for what, bytes in pairs(evil) do
      local into = out .. "/into"
      env.run("rm -rf " .. into)
      local done, err = tar.extract(pieces_of(bytes .. TAIL), into)
      assert.is_nil(done, what)
      assert.same({ what, "invalid", "tar.extract" }, { what, err.kind, err.op })
      assert.equal("untouched", env.read_file(out .. "/victim"))
      assert.equal("into\nvictim", env.run("ls " .. out))
      assert.equal("1", env.run("stat -c %h " .. out .. "/victim"), what)
    end
  end)

  it("does not go through a link that was there before", function()
    local dir = folder_with { ["outside/f"] = "untouched" }
    env.run(("mkdir %s/into && ln -s ../outside %s/into/l"):format(dir, dir))
    local done, err = tar.extract(pieces_of(packed { { name = "l/f", data = "x" } }), dir .. "/into")
    assert.same({ nil, "invalid" }, { done, err.kind })
    assert.equal("untouched", env.read_file(dir .. "/outside/f"))
  end)

  it("but the folder itself may be named by a link", function()
    local dir = folder_with { ["real/x"] = "" }
    env.run(("ln -s real %s/link"):format(dir))
    assert(tar.extract(pieces_of(packed { { name = "f", data = "F" } }), dir .. "/link"))
    assert.equal("F", env.read_file(dir .. "/real/f"))
  end)

  it("takes setuid only when asked, devices never", function()
    local bytes = raw("su", FILE, { mode = "0004755\0" }) .. raw("null", CHAR) .. TAIL
    local dir, done = extract(bytes)
    assert.same({ "null" }, done.skipped)
    assert.equal(1, done.files)
    assert.equal("755 su", env.run(("cd %s && stat -c '%%a %%n' *"):format(dir)))
    dir = extract(bytes, { setid = true })
    assert.equal("4755 su", env.run(("cd %s && stat -c '%%a %%n' *"):format(dir)))
  end)

  it("renames, leaves out, and counts", function()
    local bytes = packed { { name = "a/x", data = "123" }, { name = "a/y", data = "4567" } }
    local dir, done = extract(bytes, { rename = function(name) return name == "a/x" and "b/new" or nil end })
    assert.same({ 1, 3 }, { done.files, done.bytes })
    assert.equal("./b/new", env.run(("cd %s && find . -type f"):format(dir)))
    local _, none, err = extract(bytes, { max_bytes = 6 })
    assert.same({ nil, "too_large", "tar.extract a/y: more bytes than max_bytes, 6, allows" },
      { none, err.kind, err.message })
    assert(select(2, extract(bytes, { max_bytes = 7, max_entries = 2 })))
    _, none, err = extract(bytes, { max_entries = 1 })
    assert.same({ nil, "tar.extract a/y: more entries than max_entries, 1, allows" }, { none, err.message })
    _, none, err = extract(packed { { name = "x", data = "" } }, { rename = function() return "../x" end })
    assert.same({ nil, "tar.extract x: not extracted: its name holds '..'" }, { none, err.message })
  end)

  it("says what the disk refuses, and where an archive ends too early", function()
    local dir = folder_with { ["d/full"] = "", ["f"] = "" }
    local _, err = tar.extract(pieces_of(packed { { name = "d", data = "" } }), dir)
    assert.same({ "conflict", "tar.extract" }, { err.kind, err.op })
    assert.matches(dir .. "/d", err.message, 1, true)
    _, err = tar.extract(pieces_of(""), dir .. "/f")
    assert.matches("f: Not a directory$", err.message)
    _, err = tar.extract(pieces_of(""), dir .. "/no/way")
    assert.equal("not_found", err.kind)
    local bytes = packed { { name = "large", data = ("x"):rep(200000) } }
    _, err = tar.extract(pieces_of(bytes:sub(1, 100000), 1000), dir)
    assert.equal("interrupted", err.kind)
    _, err = tar.extract(pieces_of(packed { { name = ("d/"):rep(2040) .. "x", data = "" } }), dir)
    assert.matches("longer than LIMIT_TAR_NAME allows", err.message)
  end)

  it("refuses misuse at the caller's line", function()
    assert.error_matches(function() tar.extract(1, "x") end, "tar.extract: reader: ")
    assert.error_matches(function() tar.extract(print, 1) end, "tar.extract: folder: string expected, got number$")
    assert.error_matches(function() tar.extract(print, "") end, "tar.extract: folder: ")
    assert.error_matches(function() tar.extract(print, "x", { onwer = true }) end, "did you mean 'owner'%?%)$")
  end)
end)

describe("tar.stat", function()
  it("tells what a path leads to", function()
    local dir = folder_with { ["d/f"] = "123" }
    env.run(("cd %s && chmod 640 d/f && touch -d @77 d/f && ln -s d/f good && ln -s nowhere bad && ln -s d sub")
      :format(dir))
    local real = env.run("realpath " .. dir)
    local file = { type = "file", size = 3, mode = 416, mtime = 77, link = false, real = real .. "/d/f" }
    assert.same(file, tar.stat(dir .. "/sub/f"))
    file.link = true
    assert.same(file, tar.stat(dir .. "/good"))
    local bad = tar.stat(dir .. "/bad")
    assert.same({ "symlink", true }, { bad.type, bad.link, bad.real })
    assert.equal("folder", tar.stat(dir .. "/sub/").type)
    local none, err = tar.stat(dir .. "/no")
    assert.same({ nil, "not_found", ("tar.stat %s/no: No such file or directory"):format(dir) },
      { none, err.kind, err.message })
    assert.error_matches(function() tar.stat(nil) end, "tar.stat: path: string expected, got nil$")
  end)
end)
