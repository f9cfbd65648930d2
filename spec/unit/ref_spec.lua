-- src/ref.c: image references as distribution/reference has them, and the names of managed containers.
-- engine-semantics 16 (familiar names) and 17 (tag and digest).

local pure = require "spec.support.pureprobe"

local hex64 = ("1a3f5e7d9c1b3a5f"):rep(4)
local sha256 = "sha256:" .. hex64
local sha512 = "sha512:" .. hex64:rep(2)

local FORMAT = "invalid reference format"
local CASE = "repository name must be lowercase"
local LENGTH = "repository name must not be more than 255 characters"
local HEX = "invalid repository name, cannot specify 64-byte hexadecimal strings"
local DIGEST = "invalid checksum digest format"
local DIGEST_LENGTH = "invalid checksum digest length"
local ALGORITHM = "unsupported digest algorithm (sha256 or sha512 expected)"

describe("a reference", function()
  -- text, domain, full path, familiar form (nil: the text itself), tag, digest
  local good = {
    { "ubuntu", "docker.io", "library/ubuntu" },
    { "ubuntu:22.04", "docker.io", "library/ubuntu", nil, "22.04" },
    { "library/ubuntu", "docker.io", "library/ubuntu", "ubuntu" },
    { "docker.io/ubuntu", "docker.io", "library/ubuntu", "ubuntu" },
    { "docker.io/library/ubuntu:1", "docker.io", "library/ubuntu", "ubuntu:1", "1" },
    { "index.docker.io/ubuntu", "docker.io", "library/ubuntu", "ubuntu" },
    { "index.docker.io/library/ubuntu", "docker.io", "library/ubuntu", "ubuntu" },
    { "index.docker.io/acme/web", "docker.io", "acme/web", "acme/web" },
    { "docker.io/acme/web", "docker.io", "acme/web", "acme/web" },
    { "acme/web", "docker.io", "acme/web" },
    { "library/acme/web", "docker.io", "library/acme/web" }, -- library/ goes only before a single part
    { "a/b/c/d", "docker.io", "a/b/c/d" },
    { "localhost", "docker.io", "library/localhost" },
    { "localhost:5000", "docker.io", "library/localhost", nil, "5000" }, -- no slash: 5000 is a tag
    { "docker.io", "docker.io", "library/docker.io" },
    { "registry.example.com", "docker.io", "library/registry.example.com" },
    { "192.168.0.1:80", "docker.io", "library/192.168.0.1", nil, "80" },
    { "localhost/app", "localhost", "app" },
    { "localhost/library/debian", "localhost", "library/debian" },
    { "localhost:5000/app", "localhost:5000", "app" },
    { "host:5000/app", "host:5000", "app" },
    { "app:1/2", "app:1", "2" }, -- with a slash: 1 is a port
    { "host:5000/app:1", "host:5000", "app", nil, "1" },
    { "registry.example.com/app", "registry.example.com", "app" },
    { "registry.example.com:5000/a/b:v1", "registry.example.com:5000", "a/b", nil, "v1" },
    { "127.0.0.1:5000/docker/docker", "127.0.0.1:5000", "docker/docker" },
    { "[fc00::1]:5000/docker", "[fc00::1]:5000", "docker" },
    { "[fc00:1:2:3:4:5:6:7]:5000/library/debian", "[fc00:1:2:3:4:5:6:7]:5000", "library/debian" },
    { "[::1]/app", "[::1]", "app" },
    { "LOCALDOMAIN/debian", "LOCALDOMAIN", "debian" }, -- a capital makes it a domain
    { "Docker/docker", "Docker", "docker" },
    { "xn--7o8h.com/myimage:1", "xn--7o8h.com", "myimage", nil, "1" },
    { "a-b.c--d.com/x", "a-b.c--d.com", "x" },
    { "registry/app", "docker.io", "registry/app" }, -- neither dot, colon nor capital
    { "docker-rules/docker", "docker.io", "docker-rules/docker" },
    { "docker---rules/docker", "docker.io", "docker---rules/docker" },
    { "dock__er/docker", "docker.io", "dock__er/docker" },
    { "dock_er/do.ck.er", "docker.io", "dock_er/do.ck.er" },
    { "d/t", "docker.io", "d/t" },
    { "0", "docker.io", "library/0" },
    { "docker.io/" .. hex64, "docker.io", "library/" .. hex64, hex64 },
    { hex64:sub(1, 63), "docker.io", "library/" .. hex64:sub(1, 63) },
    { hex64 .. "0", "docker.io", "library/" .. hex64 .. "0" },
    { hex64 .. ":1", "docker.io", "library/" .. hex64, nil, "1" },
    { "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev", "docker.io",
      "library/thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev" },
    { "app:a..b", "docker.io", "library/app", nil, "a..b" },
    { "app:_x", "docker.io", "library/app", nil, "_x" },
    { "app:UPPER_case-1.0", "docker.io", "library/app", nil, "UPPER_case-1.0" },
    { "app:" .. ("t"):rep(128), "docker.io", "library/app", nil, ("t"):rep(128) },
    { "app@" .. sha256, "docker.io", "library/app", nil, nil, sha256 },
    { "app@" .. sha512, "docker.io", "library/app", nil, nil, sha512 },
    { "app:1@" .. sha256, "docker.io", "library/app", nil, "1", sha256 },
    { "host:5000/app:1@" .. sha256, "host:5000", "app", nil, "1", sha256 },
    { ("a"):rep(247), "docker.io", "library/" .. ("a"):rep(247) },
    { "docker.io/acme/" .. ("a"):rep(250), "docker.io", "acme/" .. ("a"):rep(250), "acme/" .. ("a"):rep(250) },
    { "registry.example.com/" .. ("a"):rep(255), "registry.example.com", ("a"):rep(255) },
    { "localhost:99999/app", "localhost:99999", "app" }, -- the grammar has digits, no range
  }
  for _, case in ipairs(good) do
    local text, domain, path, familiar, tag, digest = table.unpack(case, 1, 6)
    it("is accepted: " .. text:sub(1, 70), function()
      local r = assert(pure.ref_parse(text))
      assert.equal(domain, r.domain)
      assert.equal(path, r.full_path)
      assert.equal(domain .. "/" .. path, r.name)
      assert.equal(familiar or text, r.familiar)
      assert.equal(tag, r.tag)
      assert.equal(digest, r.digest)
      assert.equal(r.library and "library/" .. r.path or r.path, path)
    end)
    it("means the same in its familiar form: " .. text:sub(1, 70), function()
      local r = assert(pure.ref_parse(text))
      if r.familiar:match("^" .. ("[0-9a-f]"):rep(64) .. "$") then return assert.equal(hex64, r.familiar) end
      local again = assert(pure.ref_parse(r.familiar))
      assert.same({ r.name, r.tag, r.digest, r.familiar }, { again.name, again.tag, again.digest, again.familiar })
    end)
  end

  local bad = {
    { "", FORMAT }, { " ", FORMAT }, { "/", FORMAT }, { "//", FORMAT }, { ":", FORMAT }, { "@", FORMAT },
    { ":latest", FORMAT }, { "@" .. sha256, FORMAT }, { "app:", FORMAT }, { "app@", FORMAT }, { "app:1@", FORMAT },
    { "app ", FORMAT }, { " app", FORMAT }, { "app\n", FORMAT }, { "app\0", FORMAT }, { "\0", FORMAT },
    { "a\0b", FORMAT }, { "app:1\0", FORMAT }, { "app:1\n", FORMAT }, { "ünter", FORMAT }, { "app:ü", FORMAT },
    { "app:..", FORMAT }, { "app:-x", FORMAT }, { "app:.x", FORMAT }, { "app:1:2", FORMAT }, { "app:tag/2", FORMAT },
    { "app:" .. ("t"):rep(129), FORMAT }, { "app:a+b", FORMAT },
    { "https://github.com/docker/docker", FORMAT }, { "docker///docker", FORMAT }, { "docker/", FORMAT },
    { "docker.io/docker///docker", FORMAT }, { "/app", FORMAT }, { "acme//app", FORMAT }, { "acme/app/", FORMAT },
    { "../app", FORMAT }, { "./app", FORMAT }, { "acme/../app", FORMAT }, { "acme/./app", FORMAT },
    { "-docker", FORMAT }, { "docker-", FORMAT }, { "-docker/docker", FORMAT }, { "docker-/docker", FORMAT },
    { "-docker-/docker", FORMAT }, { "-docker.io/docker/docker", FORMAT }, { "docker.io-/app", FORMAT },
    { "____/____", FORMAT }, { "_docker/_docker", FORMAT }, { "docker_", FORMAT }, { "a___b", FORMAT },
    { "dock..er/docker", FORMAT }, { "dock_.er/docker", FORMAT }, { "dock-.er/docker", FORMAT }, { "a..b", FORMAT },
    { "a._b", FORMAT }, { "a-_b", FORMAT }, { ".a", FORMAT }, { "a.", FORMAT }, { "a/.b", FORMAT },
    { "[fc00::1]", FORMAT }, { "[fc00::1]:5000", FORMAT }, { "fc00::1:5000/debian", FORMAT },
    { "[fe80::1%eth0]:5000/debian", FORMAT }, { "[2001:db8:3:4::192.0.2.33]:5000/debian", FORMAT },
    { "[]/app", FORMAT }, { "[::1/app", FORMAT }, { "[::1]x/app", FORMAT }, { "[::1]:/app", FORMAT }, { "[", FORMAT },
    { "host:/app", FORMAT }, { "host:x/app", FORMAT }, { "host:5000x/app", FORMAT }, { "host:1:2/app", FORMAT },
    { "host./app", FORMAT }, { "a..b.com/app", FORMAT }, { "a.-b/app", FORMAT }, { "host:5000/", FORMAT },
    { "user:secret@host/app", FORMAT }, { "user@host.com/app", FORMAT },
    { "my_host.lan/app", FORMAT }, -- see the essay in ref.c
    { "App", CASE }, { "aPp", CASE }, { "App:1", CASE }, { "docker/Docker", CASE }, { "docker.io/docker/Docker", CASE },
    { "host:5000/App", CASE }, { "My_Team/app", CASE }, { "app@SHA256:" .. hex64, CASE },
    { hex64, HEX },
    { ("a"):rep(248), LENGTH }, { ("a"):rep(256), LENGTH }, { "registry.example.com/" .. ("a"):rep(256), LENGTH },
    { ("this_is_not_a_valid_namespace_"):rep(10) .. "x/docker", LENGTH },
    { "app@sha256:" .. hex64:sub(1, 31), FORMAT }, { "app@sha256:" .. hex64:sub(1, 63), DIGEST_LENGTH },
    { "app@sha256:" .. hex64 .. "0", DIGEST_LENGTH }, { "app@sha512:" .. hex64, DIGEST_LENGTH },
    { "app@sha256:" .. hex64:upper(), DIGEST }, { "app@sha256:" .. ("g"):rep(64), FORMAT },
    { "app@" .. hex64, FORMAT }, { "app@md5:" .. hex64:sub(1, 32), ALGORITHM }, { "app@sha384:" .. hex64, ALGORITHM },
    { "app@sha256+b64:" .. hex64, ALGORITHM }, { "app@sha256+:" .. hex64, FORMAT }, { "app@:" .. hex64, FORMAT },
    { "app@" .. sha256 .. ":1", FORMAT }, { "app@" .. sha256 .. "@" .. sha256, FORMAT },
    { "app@sha256:" .. hex64:sub(1, 40) .. "\0" .. hex64:sub(42), FORMAT },
    { ("a"):rep(4097), "reference is longer than LIMIT_REFERENCE" },
  }
  for _, case in ipairs(bad) do
    it(("is refused: %q"):format(case[1]:sub(1, 70)):gsub("\\\n", "\\n"), function()
      local r, reason = pure.ref_parse(case[1])
      assert.is_nil(r)
      assert.equal(case[2], reason)
    end)
  end

  it("on Docker Hub keeps a familiar form that would be misread", function() -- as distribution/reference does
    local r = assert(pure.ref_parse("docker.io/my.team/app:1"))
    assert.same({ "my.team/app:1", "docker.io/my.team/app" }, { r.familiar, r.name })
    assert.equal("localhost/app", assert(pure.ref_parse("docker.io/localhost/app")).familiar)
  end)
  it("with a tag and a digest keeps both, in print too", function() -- 17: who uses it decides by the digest
    local r = assert(pure.ref_parse("docker.io/library/app:1@" .. sha256))
    assert.same({ "1", sha256, "app:1@" .. sha256 }, { r.tag, r.digest, r.familiar })
  end)
  it("without a tag gets none", function()
    assert.is_nil(assert(pure.ref_parse("app")).tag)
  end)
end)

describe("a part of a reference", function()
  local cases = {
    tag = { good = { "1", "_", "latest", "a..b", "A-b_c.D", ("x"):rep(128) },
            bad = { "", ".", "-", ".a", "-a", "a b", "a+b", "a:b", "a/b", "a\0", "ä", ("x"):rep(129) } },
    digest = { good = { sha256, sha512 },
               bad = { "", "sha256", "sha256:", hex64, sha256 .. "0", sha256:sub(1, -2), sha256:upper(),
                       "sha512:" .. hex64, "sha256:" .. hex64:sub(1, 63) .. "G", "sha1:" .. hex64, "sha256:\0" } },
    id = { good = { hex64, ("0"):rep(64) },
           bad = { "", hex64:sub(1, 63), hex64 .. "0", hex64:upper(), sha256, hex64:sub(1, 63) .. "g" } },
    label_name = { good = { "a", "0", "shop", "my-shop_2", "a-", "a_" },
                   bad = { "", "-a", "_a", "A", "shop.web", "a b", "a/b", "a\0", "ä", "shoP" } },
  }
  for kind, case in pairs(cases) do
    it("is known for what it is: " .. kind, function()
      for _, text in ipairs(case.good) do assert.is_true(pure.ref_is(kind, text), text) end
      for _, text in ipairs(case.bad) do assert.is_false(pure.ref_is(kind, text), text) end
    end)
  end
end)

describe("a container's name", function()
  -- the hashes are what `printf %s TAG | sha256sum | cut -c1-8` prints
  local cases = {
    { "shop", "staging", "1.4.2", "dw-shop-staging-1.4.2" },
    { "shop", "staging", "v1.0_RC-1", "dw-shop-staging-v1.0_RC-1" },
    { "shop", "web", "1.0+x", "dw-shop-web-1.0-x-53704919" },
    { "a", "b", "a/b", "dw-a-b-a-b-c14cddc0" },
    { "a", "b", "ä", "dw-a-b----33e6d73f" }, -- two bytes, two dashes
    { "a", "b", "\0", "dw-a-b---6e340b9c" },
    { "a", "b", "latest@sha256:1", "dw-a-b-latest-sha256-1-376a15df" },
  }
  for _, case in ipairs(cases) do
    it(("of %q %q %q"):format(case[1], case[2], case[3]), function()
      assert.equal(case[4], pure.container_name(case[1], case[2], case[3]))
    end)
  end

  it("is cut at 200 bytes, with a hash that tells the tags apart", function()
    local room = 200 - #"dw-shop-web-"
    assert.equal("dw-shop-web-" .. ("t"):rep(room), pure.container_name("shop", "web", ("t"):rep(room)))
    local one = pure.container_name("shop", "web", ("t"):rep(room + 1))
    local other = pure.container_name("shop", "web", ("t"):rep(room) .. "u")
    assert.equal(200, #one)
    assert.matches("^dw%-shop%-web%-t+%-%x%x%x%x%x%x%x%x$", one)
    assert.are_not.equal(one, other)
    local dirty = pure.container_name("shop", "web", ("+"):rep(room)) -- fits, but its hash does not
    assert.equal(200, #dirty)
  end)
  it("needs room for a tag and its hash", function()
    local longest = 200 - #"dw-" - #"-" - #"web" - #"-" - 1 - 1 - 8
    assert.equal(200, #pure.container_name(("p"):rep(longest), "web", ("t"):rep(300)))
    assert.same({ nil, "full" }, { pure.container_name(("p"):rep(longest + 1), "web", "1") })
    assert.same({ nil, "full" }, { pure.container_name(("p"):rep(100000), "web", "1") })
    assert.same({ nil, "full" }, { pure.container_name("p", ("s"):rep(100000), "1") })
  end)
  it("differs for tags that differ only where they were changed", function()
    local seen = {}
    for byte = 0, 255 do
      local name = pure.container_name("p", "s", "1" .. string.char(byte) .. "0")
      assert.is_nil(seen[name], name)
      assert.matches("^[A-Za-z0-9][A-Za-z0-9_.-]+$", name) -- what the Engine asks of names
      seen[name] = true
    end
  end)
end)
