-- .dockerignore: patterns, what they exclude, and which folders are not even looked into.

local env = require "spec.support.env"
local ignore = require "docker_watcher.docker.ignore"

after_each(env.cleanup)

local function excluded(text, name)
  return ignore.excludes(assert(ignore.parse(text)), name)
end

describe("one pattern", function()
  -- pattern, names that it excludes, names that it does not
  local cases = {
    -- plain names: the thing itself and what is in it
    { "a", { "a", "a/b", "a/b/c" }, { "b", "ab", "b/a", "A" } },
    { "a/b", { "a/b", "a/b/c" }, { "a", "a/c", "b", "x/a/b" } },
    { "a.b", { "a.b" }, { "axb", "a" } },
    { "x(1)+{2}|^$", { "x(1)+{2}|^$" }, { "x1" } },
    { "%a", { "%a" }, { "x" } },
    { "a-z", { "a-z" }, { "z", "a" } },
    -- how they are written
    { "/a", { "a" }, {} },
    { "//a//b/", { "a/b" }, { "a" } },
    { "./a/./b/.", { "a/b" }, { "a" } },
    { "a/../b", { "b" }, { "a" } },
    { "/../a", { "a" }, {} },
    { "../a", {}, { "a" } },
    { "  a\t", { "a" }, { "  a" } },
    { "a b", { "a b" }, { "a", "b" } },
    { ".", {}, { "a", ".a" } },
    { "/", {}, { "a" } },
    { "#a", {}, { "a", "#a" } },
    { " #a", { "#a" }, { "a" } },
    { "\\#a", { "#a" }, { "a" } },
    { "\\!a", { "!a" }, { "a" } },
    { "\xEF\xBB\xBFa", { "a" }, {} },
    { "a\r", { "a" }, {} },
    -- *
    { "*", { "a", ".a", "a/b" }, {} },
    { "*.go", { "a.go", ".go", "a.go/b" }, { "a.gox", "a", "x/a.go" } },
    { "a*", { "a", "ab", "ab/c" }, { "ba", "x/a" } },
    { "a*b*c", { "abc", "axbxc", "abbcc" }, { "abx", "a/bc", "ab/c" } },
    { "*/a", { "x/a", "x/a/b" }, { "a", "x/y/a", "x" } },
    { "*/*.o", { "x/a.o" }, { "a.o", "x/y/a.o" } },
    { "a/*/b", { "a/x/b" }, { "a/b", "a/x/y/b" } },
    { "a/*", { "a/b", "a/b/c" }, { "a", "ab" } },
    { "a*/b*/c*", { "a/b/c", "ax/bx/cx/d" }, { "a/b", "a/c" } },
    { "*a*a*a*a*a*a*a*b", {}, { ("a"):rep(200) } },
    { "*☺", { "☺", "x☺" }, { "☺x" } },
    -- ?
    { "a?", { "ab", "a☺", "a\xE4", "ab/c" }, { "a", "abc", "a/b", "a/" } },
    { "a?b", { "axb", "aüb" }, { "ab", "a/b", "axxb" } },
    { "*??", { "ab", "☺☺" }, { "☺", "a" } },
    -- [ ]
    { "a[bc]d", { "abd", "acd" }, { "ad", "aad", "abcd" } },
    { "a[b-d]e", { "abe", "ace" }, { "aae", "a-e" } },
    { "a[^b-d]e", { "aae", "a☺e" }, { "abe", "ae", "a/e" } },
    { "[a-ζ]x", { "αx", "zx" }, { "Ax", "ωx" } },
    { "a[\\]-]b", nil },
    { "a[\\]\\-]b", { "a]b", "a-b" }, { "axb" } },
    { "a[.]b", { "a.b" }, { "axb" } },
    { "a[*?]b", { "a*b", "a?b" }, { "axb" } },
    { "a]b", { "a]b" }, { "ab" } },
    { "[!a]x", { "!x", "ax" }, { "bx" } },
    -- \
    { "a\\*b", { "a*b" }, { "axb" } },
    { "a\\b", { "ab" }, { "a\\b" } },
    { "a\\\\b", { "a\\b" }, { "ab" } },
    -- **
    { "**", { "a", "a/b/c" }, {} },
    { "**/", { "a", "a/b" }, {} },
    { "**/**", { "a", "a/b" }, {} },
    { "**/a", { "a", "x/a", "x/y/a", "x/a/b" }, { "xa", "x/ya" } },
    { "**a", { "a", "x/a", "xa", "x/ya" }, { "ab" } },
    { "**/*.o", { "a.o", "x/a.o", "x/y/z.o" }, { "a.ox", "a" } },
    { "**/a/b", { "a/b", "x/a/b", "x/y/a/b/c" }, { "b", "a/x/b" } },
    { "**/a*/b", { "a/b", "x/ay/b" }, { "a/x/b", "xa/b" } },
    { "a/**", { "a/b", "a/b/c" }, { "a", "ab" } },
    { "a/**/b", { "a/b", "a/x/b", "a/x/y/b" }, { "ab", "a", "a/xb" } },
    { "a**/b", { "ab", "a/b", "a/x/b", "ax/b" }, { "x/ab", "axb" } },
    { "a/**/*.c", { "a/x.c", "a/y/x.c" }, { "x.c", "b/x.c" } },
    { "**/a/**", { "a/b", "x/a/b" }, { "a", "x/a" } },
    { "**/a**/**/b*c", { "a/bc", "x/a/y/bxc" }, { "a/b", "bc" } },
  }
  for _, case in ipairs(cases) do
    it(("%q"):format(case[1]), function()
      local list, reason = ignore.parse(case[1])
      if not case[2] then
        assert.is_nil(list)
        assert.matches("^line 1: ", reason)
        return
      end
      assert.is_nil(reason)
      for _, name in ipairs(case[2]) do assert.is_true(ignore.excludes(list, name), name .. " should be excluded") end
      for _, name in ipairs(case[3]) do assert.is_false(ignore.excludes(list, name), name .. " should be kept") end
    end)
  end
end)

describe("several patterns", function()
  local cases = {
    { "", "a", false },
    { "\n\n# a\n", "a", false },
    { "*.md\n!README.md", "README.md", false },
    { "*.md\n!README.md", "x.md", true },
    { "!README.md\n*.md", "README.md", true },
    { "*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true },
    { "*.md\n!README*.md\nREADME-secret.md", "README-a.md", false },
    { "docs\n!docs/README.md", "docs/README.md", false },
    { "docs\n!docs/README.md", "docs/x", true },
    { "docs/\n! /docs/README.md", "docs/README.md", false },
    { "docs/*\n!docs/a", "docs/a/b", false },
    { "**\n!util/web", "util/web/foo", false },
    { "**\n!util/web\nutil/web/foo", "util/web/foo", true },
    { "**\n!util/web\nutil/web/foo", "util/web/bar", false },
    { "*\n!src\nsrc/*.o\n!src/keep.o", "src/x.o", true },
    { "*\n!src\nsrc/*.o\n!src/keep.o", "src/keep.o", false },
    { "*\n!src\nsrc/*.o\n!src/keep.o", "src/x.c", false },
    { "*\n!src\nsrc/*.o\n!src/keep.o", "other", true },
    { "a\n!a\na", "a/b", true },
    { "**/x\n!**/y/**", "y/x", false },
  }
  for _, case in ipairs(cases) do
    it(("%q: %s"):format(case[1], case[2]), function()
      assert.equal(case[3], excluded(case[1], case[2]))
    end)
  end

  it("keep what is taken back by name, whatever the letters in it", function()
    local list = assert(ignore.parse("*"))
    ignore.keep(list, "docker/[x]*")
    assert.is_false(ignore.excludes(list, "docker/[x]*"))
    assert.is_true(ignore.excludes(list, "docker/xy"))
    local filter = ignore.filter(list)
    assert.equal("inside", filter("docker", "folder"))
    assert.is_true(filter("docker/[x]*", "file"))
    assert.is_false(filter("docker/xy", "file"))
  end)
end)

describe("a line that is no pattern", function()
  local cases = {
    { "!", "line 1: a '!' without a pattern" },
    { "a\n# b\n  !  ", "line 3: a '!' without a pattern" },
    { "a\nb[", "line 2: a '[' that is not closed, or an odd range in it" },
    { "[]a]", "line 1: a '[' that is not closed, or an odd range in it" },
    { "[a-]", "line 1: a '[' that is not closed, or an odd range in it" },
    { "[a\\", "line 1: a '[' that is not closed, or an odd range in it" },
    { "a\\", "line 1: it ends with a '\\'" },
  }
  for _, case in ipairs(cases) do
    it(("%q"):format(case[1]), function() assert.same({ nil, case[2] }, { ignore.parse(case[1]) }) end)
  end
end)

describe("the filter of a walk", function()
  -- Walks a made-up tree as tar.pack does; answers the names that are sent, and the folders that were looked into.
  local function walk(text, tree)
    local filter = ignore.filter(assert(ignore.parse(text)))
    local sent, entered = {}, {}
    local function visit(folder, prefix)
      local names = {}
      for name in pairs(folder) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        local full, is_folder = prefix .. name, type(folder[name]) == "table"
        local choice = filter(full, is_folder and "folder" or "file")
        if choice == true then sent[#sent + 1] = full end
        if is_folder and choice then
          entered[#entered + 1] = full
          visit(folder[name], full .. "/")
        end
      end
    end
    visit(tree, "")
    return table.concat(sent, " "), table.concat(entered, " ")
  end

  local tree = {
    a = { x = 1, y = { z = 1, ["k.md"] = 1 } }, ab = { x = 1 }, b = { c = { d = { e = 1 } }, x = 1 }, ["r.md"] = 1,
  }
  local cases = {
    { "", "a a/x a/y a/y/k.md a/y/z ab ab/x b b/c b/c/d b/c/d/e b/x r.md", "a a/y ab b b/c b/c/d" },
    { "a", "ab ab/x b b/c b/c/d b/c/d/e b/x r.md", "ab b b/c b/c/d" },
    { "*", "", "" },
    { "*\n!a", "a a/x a/y a/y/k.md a/y/z", "a a/y" },
    { "*\n!a/y/z", "a/y/z", "a a/y" },
    { "*\n!*/x", "a/x ab/x b/x", "a ab b" },
    { "*\n!**/*.md", "a/y/k.md r.md", "a a/y ab b b/c b/c/d" },
    { "*\n!b/*/d", "b/c/d b/c/d/e", "b b/c b/c/d" },
    { "*\n!b\nb/c", "b b/x", "b" },
    { "!**/x\na", "ab ab/x b b/c b/c/d b/c/d/e b/x r.md", "ab b b/c b/c/d" },
    { "**/x\n!b", "a a/y a/y/k.md a/y/z ab b b/c b/c/d b/c/d/e r.md", "a a/y ab b b/c b/c/d" },
  }
  for _, case in ipairs(cases) do
    it(("%q"):format(case[1]), function()
      assert.same({ case[2], case[3] }, { walk(case[1], tree) })
    end)
  end

  it("says of each name what excludes() says", function()
    local names = { "a", "b", "ab", ".a", "x.md" }
    local patterns = { "a", "*", "!a", "**/b", "!*/ab", "a/**", "!**/x.md", "b/a", "!b/*/a", "?", "!.a", "[ab]*" }
    local list = {}
    for _, one in ipairs(names) do
      for _, two in ipairs(names) do
        for _, three in ipairs(names) do list[#list + 1] = { one, two, three } end
      end
    end
    for i = 1, #patterns do
      for j = 1, #patterns do
        local text = patterns[i] .. "\n" .. patterns[j] .. "\n" .. patterns[(i * j) % #patterns + 1]
        local parsed = assert(ignore.parse(text))
        local made = {}
        for _, path in ipairs(list) do
          made[path[1]] = made[path[1]] or {}
          made[path[1]][path[2]] = made[path[1]][path[2]] or {}
          made[path[1]][path[2]][path[3]] = 1
        end
        local wanted = {}
        for _, one in ipairs(names) do
          if not ignore.excludes(parsed, one) then wanted[#wanted + 1] = one end
          for _, two in ipairs(names) do
            if not ignore.excludes(parsed, one .. "/" .. two) then wanted[#wanted + 1] = one .. "/" .. two end
            for _, three in ipairs(names) do
              local name = one .. "/" .. two .. "/" .. three
              if not ignore.excludes(parsed, name) then wanted[#wanted + 1] = name end
            end
          end
        end
        local got = {}
        for name in (walk(text, made)):gmatch "%S+" do got[#got + 1] = name end
        table.sort(wanted)
        table.sort(got)
        assert.same(wanted, got, text)
      end
    end
  end)
end)
