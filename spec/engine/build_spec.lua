-- build_image on a real Engine: contexts, .dockerignore beside the docker command's, Dockerfiles from everywhere,
-- options, progress, failing steps, credentials, what is BuildKit's.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local loop = require "docker_watcher.loop"
local scripted = require "spec.support.scripted"
local tar = require "docker_watcher.tar"

after_each(env.cleanup)

local function setup()
  local client = assert(docker.connect { host = env.docker_host })
  env.defer(function() client:close() end)
  env.dispose_builds()
  return client, env.dispose("image", env.name("built"))
end

local function folder_with(files)
  local dir = env.tmpdir()
  for name, data in pairs(files) do
    if name:find("/") then env.run("mkdir -p " .. env.quote(dir .. "/" .. name:match("(.*)/"))) end
    env.write_file(dir .. "/" .. name, data)
  end
  return dir
end

-- The files of an image as a sorted list of lines; those of one folder, if it is named.
local function files_of(client, image, folder)
  local name = env.dispose("container", env.name("look"))
  assert(client:create_container { image = image, name = name, cmd = { "/none" } })
  local names = {}
  for entry in tar.unpack(client:copy_out(name, folder or "/")) do names[#names + 1] = entry.name end
  table.sort(names)
  return table.concat(names, "\n")
end

local function from(line) return ("FROM %s\n%s\n"):format(env.image, line or "") end

describe("build_image", function()
  it("builds a folder, and answers the image's id", function()
    local client, tag = setup()
    local dir = folder_with { Dockerfile = "FROM scratch\nCOPY . /app\n", ["a/x"] = "X", ["b"] = "B" }
    local built = assert(client:build_image { context = dir, tag = tag })
    assert.matches("^sha256:%x+$", built.id)
    assert.equal(built.id, assert(client:inspect_image(tag)).id)
    assert.matches("Step 2/2 : COPY . /app", built.output, 1, true)
    assert.same({}, built.warnings)
    assert.equal("app/\napp/Dockerfile\napp/a/\napp/a/x\napp/b", files_of(client, tag, "/app"))
  end)

  it("gives several names, and none", function()
    local client, tag = setup()
    local other = env.dispose("image", env.name("built") .. ":1.2")
    local dir = folder_with { dockerfile = "FROM scratch\nLABEL a=b\n" } -- as lower case, too
    local built = assert(client:build_image { context = dir .. "/", tag = tag, tags = { other } })
    assert.equal(built.id, client:inspect_image(other).id)
    assert.equal(built.id, client:inspect_image(tag).id)
    assert.equal(built.id, assert(client:build_image { context = dir }).id)
  end)

  it("takes an archive from a reader, or a Dockerfile alone", function()
    local client, tag = setup()
    local reader = tar.pack { { name = "d/File", data = "FROM scratch\nCOPY x /\n" }, { name = "x", data = "X" } }
    assert(client:build_image { context = reader, dockerfile = "d/File", tag = tag })
    assert.equal("x", files_of(client, tag, "/x"))
    local alone = assert(client:build_image { dockerfile_text = "FROM scratch\nLABEL only=text\n" })
    env.dispose("image", alone.id)
    assert.equal("text", client:inspect_image(alone.id).labels.only)
  end)

  it("passes arguments, labels, target, network and more", function()
    local client, tag = setup()
    local dir = folder_with { Dockerfile = [[
FROM scratch AS first
ARG VERSION=none
ENV WHICH=first VERSION=$VERSION
FROM scratch
ENV WHICH=last
]] }
    assert(client:build_image {
      context = dir, tag = tag, target = "first", build_args = { VERSION = 14 },
      labels = { one = "1", ["a b"] = "ü \"" },
      no_cache = true, network = "none", memory = "64m", memory_swap = -1, shm_size = 1 << 26, cache_from = tag,
      extra_hosts = { db = "10.0.0.7" }, platform = "linux", rm = true, force_rm = true, cpu_shares = 512,
    })
    local image = client:inspect_image(tag)
    assert.same({ "first", "14" }, { image.env.WHICH, image.env.VERSION })
    assert.same({ "1", 'ü "' }, { image.labels.one, image.labels["a b"] })
  end)

  it("tells what happens", function()
    local client, tag = setup()
    local dir = folder_with { Dockerfile = "FROM scratch\nLABEL a=1\nLABEL b=2\n" }
    local steps, text = {}, {}
    local built = assert(client:build_image {
      context = dir, tag = tag, on_progress = function(event)
        text[#text + 1] = event.stream
        steps[#steps + 1] = (event.stream or ""):match "^Step (%d/%d)"
      end,
    })
    assert.same({ "1/3", "2/3", "3/3" }, steps)
    assert.equal(table.concat(text), built.output)
    assert.error_matches(function()
      client:build_image { context = dir, on_progress = function() error("enough", 0) end }
    end, "^enough$")
    assert(client:ping())
  end)

  it("runs steps, and says which one failed", function()
    local client, tag = setup()
    local dir = folder_with { Dockerfile = from "RUN echo done >/mark" }
    assert(client:build_image { context = dir, tag = tag, network = "none" })
    assert.equal("mark", files_of(client, tag, "/mark"))
    env.write_file(dir .. "/Dockerfile", from "RUN echo out of luck; exit 7\nRUN true")
    local built, err = client:build_image { context = dir, tag = tag .. ":2", network = "none", force_rm = true }
    assert.same({ nil, "engine", "build_image", tag .. ":2" }, { built, err.kind, err.op, err.subject })
    assert.equal("Step 2/3 : RUN echo out of luck; exit 7", err.step)
    assert.matches("out of luck\n", err.output, 1, true)
    assert.equal(("build_image %s:2: Step 2/3 : RUN echo out of luck; exit 7: The command '/bin/sh -c echo out of "
      .. "luck; exit 7' returned a non-zero code: 7"):format(tag), err.message)
    assert.equal(404, (env.engine("GET", "/images/" .. tag .. ":2/json")))
  end)

  it("fails by what the Engine refuses: Dockerfile, file, base image", function()
    local client = setup()
    local cases = {
      { "FROM scratch\nFLY away\n", "FLY" },
      { "FROM scratch\nCOPY nothing /\n", "nothing" },
      { "FROM " .. env.registry .. "/" .. env.name("missing") .. ":1\n", "not found" },
      { "", "empty" },
    }
    for _, case in ipairs(cases) do
      local dir = folder_with { Dockerfile = case[1] }
      local built, err = client:build_image { context = dir }
      assert.is_nil(built)
      assert.matches(case[2], err.message, 1, true)
      assert.matches("^build_image " .. dir .. ": ", err.message)
    end
  end)

  it("says what is wrong on this side", function()
    local client = setup()
    local dir = folder_with { ["x"] = "", ["bad/.dockerignore"] = "a\n[", ["bad/Dockerfile"] = "FROM scratch\n" }
    local cases = {
      { { context = "/no/such/folder" }, "not_found", "/no/such/folder" },
      { { context = dir .. "/x" }, "invalid", "no folder but a file" },
      { { context = dir }, "not_found", ("there is no Dockerfile at %s/Dockerfile"):format(dir) },
      { { context = dir, dockerfile = "Other" }, "not_found", ("there is no Dockerfile at %s/Other"):format(dir) },
      { { context = dir, dockerfile = "." }, "invalid", "is no file but a folder" },
      { { context = dir .. "/bad" }, "invalid", ".dockerignore: line 2: a '[' that is not closed" },
    }
    for _, case in ipairs(cases) do
      local built, err = client:build_image(case[1])
      assert.same({ nil, case[2], "build_image", case[1].context }, { built, err.kind, err.op, err.subject })
      assert.matches(case[3], err.message, 1, true)
    end
  end)

  it("names a file of the context that can't be sent", function()
    local client = setup()
    local dir = folder_with { Dockerfile = "FROM scratch\n" }
    env.run(("head -c 9000000 /dev/zero >%s/large"):format(dir))
    local reader = tar.pack { { path = dir } }
    local first = true
    local built, err = client:build_image { context = function()
      if first then
        first = false
        local bytes = reader:read()
        env.write_file(dir .. "/large", "")
        return bytes
      end
      return reader:read()
    end }
    assert.same({ nil, "conflict", "build_image" }, { built, err.kind, err.op })
    assert.matches(dir .. "/large: it became shorter", err.message, 1, true)
    assert(client:ping())
  end)

  it("sends what .dockerignore leaves, as the docker command does", function()
    local client, tag = setup()
    local other = env.dispose("image", env.name("built"))
    local dir = folder_with {
      Dockerfile = "FROM scratch\nCOPY . /c\n", ["README.md"] = "", ["x.md"] = "", ["src/a.c"] = "", ["src/a.o"] = "",
      ["src/deep/b.o"] = "", ["src/deep/keep.o"] = "", ["docs/index"] = "", ["docs/sub/x"] = "",
      ["node_modules/a/b"] = "", ["tmp1"] = "",
      ["tmp22"] = "", ["with blank"] = "", ["grün"] = "", ["[odd]"] = "", ["empty/x"] = "",
    }
    local cases = {
      "*.md\n!README.md\n**/*.o\n!src/deep/keep.o\nnode_modules\n# comment\n\ntmp?\nempty/*",
      "*\n!src\nsrc/deep",
      "*\n!docs/sub",
      "docs\n!docs/index\n/src/\n  tmp*  \n\\[odd]",
      "**/x\n**/deep/**\n!**/keep.o\n[t-w]*",
      "Dockerfile\n.dockerignore\nsrc/**\n!src/deep/b.o",
    }
    for _, text in ipairs(cases) do
      env.write_file(dir .. "/.dockerignore", text)
      assert(client:build_image { context = dir, tag = tag })
      env.run(("DOCKER_BUILDKIT=0 DOCKER_CONFIG=%s DOCKER_HOST=%s docker build -q --no-cache -t %s %s"):format(
        dir .. "/none", env.docker_host, other, dir))
      assert.equal(files_of(client, other, "/c"), files_of(client, tag, "/c"), text)
    end
  end)

  it("takes back what a pattern with wildcards takes back, and owns everything as root", function()
    local client, tag = setup()
    local dir = folder_with {
      Dockerfile = "FROM scratch\nCOPY . /c\n", [".dockerignore"] = "mods\n!**/keep\n*ocker*", ["mods/a/keep"] = "",
      ["mods/a/x"] = "",
    }
    if env.run("id -u") == "0" then env.run(("chown -R 77:88 %s"):format(dir)) end
    assert(client:build_image { context = dir, tag = tag })
    assert.equal("c/\nc/mods/\nc/mods/a/\nc/mods/a/keep", files_of(client, tag, "/c"))
    local name = env.dispose("container", env.name("look"))
    assert(client:create_container { image = tag, name = name, cmd = { "/none" } })
    for entry in tar.unpack(client:copy_out(name, "/c")) do assert.same({ 0, 0 }, { entry.uid, entry.gid }) end
  end)

  it("takes a Dockerfile from elsewhere, which the image does not get to see", function()
    local client, tag = setup()
    local dir = folder_with {
      ["ctx/x"] = "", ["ctx/Dockerfile"] = "FROM nothing\n", ["ctx/.dockerignore"] = "y", ["ctx/y"] = "",
      ["ctx/sub/Dockerfile.in"] = "FROM scratch\nLABEL at=inside\n", ["Dockerfile.out"] = "FROM scratch\nCOPY . /c\n",
    }
    env.run(("cd %s && ln -s ../Dockerfile.out ctx/linked && ln -s ctx link"):format(dir))
    local wanted = "c/\nc/Dockerfile\nc/linked\nc/sub/\nc/sub/Dockerfile.in\nc/x"
    for _, file in ipairs { "../Dockerfile.out", dir .. "/Dockerfile.out", "linked" } do
      assert(client:build_image { context = dir .. "/link", dockerfile = file, tag = tag })
      -- .dockerignore is there as it would be with any other Dockerfile
      assert.equal(wanted, (files_of(client, tag, "/c"):gsub("c/%.dockerignore\n", "")))
    end
    assert(client:build_image { context = dir .. "/ctx", dockerfile = "sub/Dockerfile.in", tag = tag })
    assert.equal("inside", client:inspect_image(tag).labels.at)
    assert(client:build_image { context = dir .. "/ctx", dockerfile_text = "FROM scratch\nLABEL at=text\n", tag = tag })
    assert.equal("text", client:inspect_image(tag).labels.at)
  end)

  it("can be cancelled, leaves other tasks their turn, and ends by its timeout", function()
    local client = setup()
    local dir = folder_with { Dockerfile = from "RUN sleep 600" }
    local ctx, pings = docker.context(), 0
    loop.run(function()
      loop.spawn(function()
        while not ctx:done() do
          assert(client:ping())
          pings = pings + 1
          loop.sleep(0.01)
        end
      end)
      local built, err = client:build_image {
        context = dir, ctx = ctx, network = "none", force_rm = true,
        on_progress = function(event)
          if event.stream and event.stream:find "^S%a+ 2/2" then ctx:cancel("enough") end
        end,
      }
      assert.same({ nil, "cancelled" }, { built, err.kind })
    end)
    assert.is_true(pings > 0)
    local built, err = client:build_image {
      context = dir, timeout = 0.3, network = "none", force_rm = true, no_cache = true,
    }
    assert.same({ nil, "timeout", "build_image" }, { built, err.kind, err.op })
    -- The Engine takes the step's container away when it sees that nobody listens.
    env.wait(20, "no container of a cancelled build", function()
      local _, list = env.engine("GET", "/containers/json?all=1")
      for _, one in ipairs(list) do
        if one.Command:find("sleep 600", 1, true) then return false end
      end
      return true
    end)
  end)

  it("pulls base images with the credentials it is given, and tells none", function()
    local client, tag = setup()
    local registry = env.start_registry("--auth htpasswd --user user:topsecret9")
    local base = env.dispose("image", registry.host .. "/" .. env.name("base") .. ":1")
    env.tinyimage(base, "--user user:topsecret9")
    local dir = folder_with { Dockerfile = "FROM " .. base .. "\nLABEL a=b\n" }
    local built, err = client:build_image { context = dir, tag = tag, auth = false }
    assert.is_nil(built)
    assert.matches("auth", err.message)
    built, err = client:build_image {
      context = dir, tag = tag, auth = { [registry.host] = { username = "user", password = "wrongsecret9" } },
    }
    assert.is_nil(built)
    assert.is_nil(tostring(err):find("secret9", 1, true))
    assert(client:build_image {
      context = dir, tag = tag, pull = true,
      auth = { [registry.host] = { username = "user", password = "topsecret9" } },
    })
    env.engine("DELETE", "/images/" .. tag .. "?force=1")
    env.engine("DELETE", "/images/" .. base .. "?force=1")
    -- … or with those that the docker command has.
    local config = env.tmpdir()
    env.write_file(config .. "/config.json",
      ('{"auths":{"%s":{"auth":"dXNlcjp0b3BzZWNyZXQ5"}}}'):format(registry.host))
    local configured <close> = assert(docker.connect { host = env.docker_host, config_dir = config })
    assert(configured:build_image { context = dir, tag = tag, pull = true })
    -- A broken file is told only where it matters.
    env.write_file(config .. "/config.json", "{")
    assert(configured:build_image { dockerfile_text = "FROM scratch\nLABEL a=c\n", tag = tag })
  end)
end)

describe("build_image without an Engine", function()
  it("names the docker command to run where BuildKit is asked for", function()
    local client <close> = assert(docker.connect { host = "unix:///nowhere.sock" })
    local dir = folder_with {
      Dockerfile = "FROM scratch\n", syntax = "# escape=`\n#syntax=docker/dockerfile:1\nFROM scratch\n",
      mount = "FROM scratch\n# RUN --mount\nCOPY --chown=1 a b\nRUN echo \\\n RUN --mount\n"
        .. " run  --mount=type=cache,target=/c x\n",
      late = "FROM scratch\n# syntax=late\nLABEL a=\"RUN --mount\"\n",
    }
    local cases = {
      { { buildkit = true }, "'buildkit' asks for", "docker buildx build -t a:1 " .. dir },
      { { secrets = { "id=x" } }, "'secrets' asks for", "docker buildx build -t a:1 --secret … " .. dir },
      { { ssh = "default", build_args = { TOKEN = "hush" } }, "'ssh' asks for",
        "docker buildx build -t a:1 --build-arg TOKEN --ssh … " .. dir },
      { { outputs = "x" }, "'outputs' asks for", "docker buildx build -t a:1 --output … " .. dir },
      { { dockerfile = "syntax" }, "the Dockerfile (line 2: # syntax=docker/dockerfile:1) needs",
        ("docker buildx build -t a:1 -f %s/syntax %s"):format(dir, dir) },
      { { dockerfile = "mount", target = "it's" }, "the Dockerfile (line 6: RUN --mount) needs",
        ("docker buildx build -t a:1 -f %s/mount --target 'it'\\''s' %s"):format(dir, dir) },
    }
    for _, case in ipairs(cases) do
      local options = case[1]
      options.context, options.tag = dir, "a:1"
      local built, err = client:build_image(options)
      assert.same({ nil, "version" }, { built, err.kind })
      assert.equal(("build_image a:1: %s BuildKit, which this client does not speak; run: %s"):format(case[2], case[3]),
        err.message)
    end
    -- It is tried all the same when told so, and a comment further down is but a comment.
    for _, options in ipairs { { dockerfile = "syntax", buildkit = false }, { dockerfile = "late" } } do
      options.context = dir
      assert.equal("unreachable", select(2, client:build_image(options)).kind)
    end
  end)

  it("sends credentials as the Engine wants them", function()
    local server <close> = scripted.start { api_version = "1.41", routes = { { prefix = "/v1", reply = {
      framing = "chunked", body = '{"stream":"x"}\n{"aux":{"ID":"sha256:1"}}\n' } } } }
    local client <close> = assert(docker.connect { host = server.host })
    local auth = { ["docker.io"] = { username = "u", password = "p?>~" }, ["r.example"] = { identitytoken = "t" } }
    assert(client:build_image { dockerfile_text = "FROM scratch\n", auth = auth, tags = { "a", "b:1" },
      extra_hosts = { b = "2", a = "1" }, cache_from = { "x", "y" }, build_args = { N = docker.null } })
    local request
    for _, one in ipairs(server:requests()) do request = one.path:find("/build", 1, true) and one or request end
    local text = request.headers["x-registry-config"]:gsub("-", "+"):gsub("_", "/")
    local decoded = require "cjson".decode(require "docker_watcher.core".base64_decode(text))
    assert.same({ ["https://index.docker.io/v1/"] = auth["docker.io"], ["r.example"] = auth["r.example"] }, decoded)
    assert.equal("application/x-tar", request.headers["content-type"])
    for _, part in ipairs { "t=a", "t=b:1", "version=1", "extrahosts=a:1", "extrahosts=b:2",
      "cachefrom=%5B%22x%22%2C%22y%22%5D", "buildargs=%7B%22N%22%3Anull%7D" } do
      assert.is_truthy(request.path:gsub("%%3A", ":"):find(part:gsub("%%3A", ":"), 1, true), request.path)
    end
  end)

  it("does not take a reply without an image for one", function()
    for body, kind in pairs { ['{"stream":"x"}'] = "protocol", ['{"stream":"x"}{"error":"gone wrong"}'] = "engine" } do
      local server <close> = scripted.start { api_version = "1.41", routes = { { prefix = "/v1", reply = {
        framing = "chunked", body = body } } } }
      local client <close> = assert(docker.connect { host = server.host })
      local built, err = client:build_image { dockerfile_text = "FROM scratch\n", auth = false }
      assert.same({ nil, kind, "build_image", "x" }, { built, err.kind, err.op, err.output })
    end
  end)

  it("refuses misuse at the caller's line", function()
    local client <close> = assert(docker.connect { host = "unix:///nowhere.sock" })
    local cases = {
      { {}, "option 'context' is missing" },
      { { context = 1 }, "option 'context': a folder's path or a reader expected, got number" },
      { { context = "" }, "option 'context': a folder's path or a reader expected, got an empty string" },
      { { context = ".", remote = "http://x" }, "'remote' is given instead of 'context'" },
      { { context = ".", dockerfile = "" }, "option 'dockerfile': it is empty" },
      { { context = ".", dockerfile = "a", dockerfile_text = "b" }, "'dockerfile' and 'dockerfile_text' both" },
      { { context = print, dockerfile_text = "b" }, "'dockerfile_text' can't be put into the archive of a reader" },
      { { context = ".", tag = "A B" }, "tag 'A B': " },
      { { context = ".", tags = { "a@sha256:" .. ("0"):rep(64) } }, "it has a digest" },
      { { context = ".", tags = { x = "a" } }, "option 'tags': a list of strings expected" },
      { { context = ".", build_args = { "A=b" } }, "option 'build_args': { NAME = value } expected" },
      { { context = ".", labels = { a = {} } }, "option 'labels': a: string expected, got table" },
      { { context = ".", memory = "lots" }, "option 'memory': a number of bytes, or text like \"512m\", expected" },
      { { context = ".", memory = -1 }, "option 'memory': a number of bytes" },
      { { context = ".", auth = "user:password" }, "option 'auth': { [registry]" },
      { { context = ".", auth = { username = "x" } }, "option 'auth': { [registry]" },
      { { context = ".", platfrom = "x" }, "unknown option 'platfrom' (did you mean 'platform'?)" },
      { { context = ".", pull = "always" }, "option 'pull': boolean expected, got string" },
    }
    for _, case in ipairs(cases) do
      local line = debug.getinfo(1, "l").currentline + 1
      local ok, message = pcall(function() client:build_image(case[1]) end)
      assert.is_false(ok)
      assert.is_truthy(message:find(("build_spec.lua:%d: build_image: "):format(line), 1, true), message)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end
  end)
end)
