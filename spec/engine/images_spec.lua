-- inspect_image, list_images, tag_image, remove_image: on the real Engine, and the shapes that other API versions send
-- from a scripted server.

local cjson = require "cjson"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local given = require "spec.support.given"
local scripted = require "spec.support.scripted"

local failed = given.failure

local null = cjson.null
local id = "sha256:" .. ("cd"):rep(32)
local digest = "sha256:" .. ("ab"):rep(32)

describe("images", function()
  local client

  before_each(function() client = given.client() end)
  after_each(env.cleanup)

  local function load(options, tag)
    local name = env.dispose("image", ("%s:%s"):format(env.name("dw-images"), tag or "1.0"))
    return name, env.tinyimage(name, "--load --label spec=" .. name .. " " .. (options or ""))
  end

  describe("inspect_image", function()
    it("answers what the Engine knows, in the shape of the contract", function()
      local name, image_id = load("--expose 8080 --expose 443 --expose 53/udp --expose 53 --env A=b=c --env EMPTY= "
        .. "--volume /b --volume /a --stop-signal SIGINT --health 'wget -q -O- 127.0.0.1:8080' --health-interval 2.5")
      local image = assert(client:inspect_image(name))
      local _, raw = env.engine("GET", "/images/" .. name .. "/json")
      assert.equal(image_id, image.id)
      assert.same({ name }, image.tags)
      assert.same(env.engine_is "containerd store" and { name:match("^[^:]+") .. "@" .. image_id } or {}, image.digests)
      assert.same({ { port = 53, protocol = "tcp" }, { port = 53, protocol = "udp" }, { port = 443, protocol = "tcp" },
        { port = 8080, protocol = "tcp" } }, image.ports)
      assert.same({ "CMD-SHELL", "wget -q -O- 127.0.0.1:8080" }, image.healthcheck.test)
      assert.equal(2.5, image.healthcheck.interval)
      assert.equal(name, image.labels.spec)
      assert.equal("b=c", image.env.A)
      assert.equal("", image.env.EMPTY)
      assert.same({ "/a", "/b" }, image.volumes)
      assert.same(raw.Config.Cmd, image.cmd)
      assert.is_nil(image.entrypoint)
      assert.is_nil(image.user)
      assert.equal("SIGINT", image.stop_signal)
      assert.equal("linux", image.os)
      assert.equal(raw.Architecture, image.architecture)
      assert.is_nil(image.variant)
      assert.equal("integer", math.type(image.size))
      assert.equal(raw.Size, image.size)
      assert.equal("2020-01-01T00:00:00Z", image.created)
      assert.equal(raw.RootFS.Layers[1], image.raw.RootFS.Layers[1])
    end)

    it("has no healthcheck where there is none (semantics 27)", function()
      local image = assert(client:inspect_image(env.images.plain))
      assert.is_nil(image.healthcheck)
      assert.same({}, image.volumes)
      assert.is_table(client:inspect_image(env.images.healthy).healthcheck)
    end)

    it("takes an id, the beginning of one, and a table with one", function()
      local name, image_id = load()
      assert.equal(image_id, client:inspect_image(image_id).id)
      assert.equal(image_id, client:inspect_image(image_id:sub(8)).id)
      assert.equal(image_id, client:inspect_image(image_id:sub(8, 32)).id)
      assert.equal(image_id, client:inspect_image(assert(client:inspect_image(name))).id)
    end)

    it("says not_found and names the image", function()
      local err = failed("not_found", client:inspect_image("no-such-image:1"))
      assert.equal("no-such-image:1", err.subject)
      assert.equal("inspect_image", err.op)
      assert.matches("No such image", tostring(err))
    end)

    local function inspected(version, image)
      local server <close> = scripted.start { -- luacheck: ignore 431
        api_version = "1." .. version,
        routes = { { prefix = ("/v1.%d/images/"):format(version),
          reply = type(image) == "string" and { body = image, type = "application/json" } or { json = image } } },
      }
      local scripted_client <close> = assert(docker.connect { host = server.host })
      return assert(scripted_client:inspect_image("web"))
    end

    for version = 41, 55 do
      it(("has one shape with API 1.%d, whatever is absent, null or empty (semantics 4)"):format(version), function()
        for _, config in ipairs { false, null, {}, { ExposedPorts = null, Labels = null, Env = null, Cmd = null,
          Entrypoint = null, Volumes = null, Healthcheck = null, User = "", WorkingDir = "" } } do
          local image = inspected(version, { Id = id, RepoTags = null, Config = config or nil,
            Created = "0001-01-01T00:00:00Z", Architecture = "arm", Variant = "v7", Os = "linux", Size = 0 })
          local raw = image.raw
          image.raw = nil
          assert.equal(id, raw.Id)
          setmetatable(image, nil)
          assert.same({ id = id, tags = {}, digests = {}, ports = {}, labels = {}, env = {}, volumes = {}, os = "linux",
            architecture = "arm", variant = "v7", size = 0 }, image)
        end
      end)
    end

    it("reads healthchecks: NONE and an empty test are none, times are seconds (semantics 25, 27)", function()
      local function health(check) return inspected(41, { Id = id, Config = { Healthcheck = check } }).healthcheck end
      assert.is_nil(health { Test = { "NONE" } })
      assert.is_nil(health { Interval = 1000000000 })
      assert.is_nil(inspected(41, '{"Config":{"Healthcheck":{"Test":[],"Interval":1000000000}}}').healthcheck)
      assert.is_nil(health {})
      assert.same({ test = { "CMD", "true" }, interval = 1.5, timeout = 0.001, start_period = 3600, retries = 2,
        start_interval = 5 }, health { Test = { "CMD", "true" }, Interval = 1500000000, Timeout = 1000000,
        StartPeriod = 3600000000000, StartInterval = 5000000000, Retries = 2 })
      assert.same({ test = { "CMD", "true" } }, health { Test = { "CMD", "true" }, Interval = 0, Retries = 0 })
    end)

    it("reads ports: sorted, each once, tcp where nothing is said, no nonsense (semantics 28)", function()
      local ports = {}
      for _, key in ipairs { "80/tcp", "80", "80/udp", "9/tcp", "10000/sctp", "65536/tcp", "0/tcp", "x/tcp", "80/", "",
        "-1/tcp", "1-3/tcp" } do
        ports[key] = {}
      end
      assert.same({ { port = 9, protocol = "tcp" }, { port = 80, protocol = "tcp" }, { port = 80, protocol = "udp" },
        { port = 10000, protocol = "sctp" } }, inspected(41, { Id = id, Config = { ExposedPorts = ports } }).ports)
    end)

    it("keeps integers exact and missing names out (semantics 4, 49)", function()
      local image = inspected(42, '{"Size":9007199254740993,"RepoTags":["<none>:<none>"],"RepoDigests":["web@'
        .. digest .. '","\\u003cnone>@<none>"]}')
      assert.equal(9007199254740993, image.size)
      assert.same({}, image.tags)
      assert.same({ "web@" .. digest }, image.digests)
    end)

    it("asks for the digest where tag and digest are given (semantics 17)", function()
      local server <close> = scripted.start { routes = { { reply = { json = { Id = id } } } } }
      local scripted_client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
      assert(scripted_client:inspect_image("r:5000/web:1@" .. digest))
      assert.equal("/v1.41/images/r:5000/web@" .. digest .. "/json", server:requests()[1].path)
    end)
  end)

  describe("list_images", function()
    it("lists rows with what inspect says", function()
      local name, image_id = load("--env A=b")
      local rows = assert(client:list_images { reference = name })
      assert.equal(1, #rows)
      local row = rows[1]
      assert.equal(image_id, row.id)
      assert.same({ name }, row.tags)
      assert.same(client:inspect_image(name).digests, row.digests)
      assert.equal(name, row.labels.spec)
      assert.equal(1577836800, row.created)
      assert.equal("integer", math.type(row.size))
      assert.equal(row.raw.Size, row.size)
      assert.equal(image_id, row.raw.Id)
    end)

    it("filters by labels (all must fit), references (any may), dangling (semantics 29)", function()
      local a, b = load("--label team=a --label x=1"), load("--label team=b --label x=1")
      local function tags(options)
        local found = {}
        for _, row in ipairs(assert(client:list_images(options))) do
          for _, tag in ipairs(row.tags) do
            if tag == a or tag == b then found[#found + 1] = tag end
          end
        end
        table.sort(found)
        return found
      end
      local both = { a, b }
      table.sort(both)
      assert.same({ a }, tags { labels = { team = "a", x = true } })
      assert.same(both, tags { labels = { team = true, x = "1" } })
      assert.same({}, tags { labels = { team = "a", x = "2" } })
      assert.same(both, tags { reference = both })
      assert.same({ b }, tags { reference = b, labels = { x = true } })
      assert.same({}, tags { dangling = true })
      assert.same(both, tags { dangling = false })
      assert.same(both, tags())
      assert.same(both, tags { all = true })
    end)

    it("omits empty filters (semantics 29), and shows rows without names (semantics 4)", function()
      local server <close> = scripted.start { routes = { { reply = { json = {
        { Id = id, RepoTags = { "<none>:<none>" }, RepoDigests = null, Labels = null, Created = 1, Size = 2 },
        { Id = id, RepoTags = null, Created = 1, Size = 2 } } } } } }
      local scripted_client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
      local rows = assert(scripted_client:list_images { labels = {} })
      for _, row in ipairs(rows) do
        setmetatable(row, nil)
        assert.same({ id = id, tags = {}, digests = {}, labels = {}, created = 1, size = 2 }, row)
      end
      assert.equal(2, #rows)
      assert.is_nil(server:requests()[1].path:find("filters", 1, true))
    end)
  end)

  describe("tag_image and remove_image", function()
    it("give a name and take it away; the image goes with its last one", function()
      local name, image_id = load()
      local other = env.dispose("image", env.name("dw-images"))
      assert.is_true(client:tag_image(name, other .. ":x"))
      assert.is_true(client:tag_image(image_id, other))
      assert.equal(image_id, client:inspect_image(other .. ":latest").id)
      failed("conflict", client:remove_image(image_id))
      assert.same({ { untagged = other .. ":x" } }, client:remove_image(other .. ":x"))
      assert.same({ { untagged = other .. ":latest" } }, client:remove_image(other))
      local removed = assert(client:remove_image(name))
      assert.same({ untagged = name }, removed[1])
      assert.same({ deleted = image_id }, removed[2])
      -- The layers; containerd's store doesn't tell of them.
      if not env.engine_is "containerd store" then assert.matches("^sha256:", removed[3].deleted) end
      failed("not_found", client:inspect_image(image_id))
      failed("not_found", client:remove_image(name))
      failed("not_found", client:tag_image(name, other))
    end)

    it("removes all names of an image with force, by its id", function()
      local name, image_id = load()
      assert(client:tag_image(name, env.dispose("image", env.name("dw-images") .. ":2")))
      assert(client:remove_image(image_id, { force = true }))
      failed("not_found", client:inspect_image(name))
    end)

    it("says conflict for an image that a container uses, and does it with force", function()
      local name, image_id = load()
      env.dispose("image", image_id) -- containerd's store keeps it, without a name, as long as the container is there
      local container = env.dispose("container", env.name("dw-images"))
      assert.equal(201, (env.engine("POST", "/containers/create?name=" .. container, { Image = name })))
      local err = failed("conflict", client:remove_image(name))
      assert.matches("is using its referenced image", tostring(err))
      assert.equal("untagged", next(assert(client:remove_image(name, { force = true }))[1]))
    end)

    it("sends the repository in full and the tag, latest by default (semantics 9, 16)", function()
      local server <close> = scripted.start { routes = { { method = "POST", reply = { status = 201 } },
        { reply = { body = "[]", type = "application/json" } } } }
      local scripted_client <close> = assert(docker.connect { host = server.host, api_version = "1.41" })
      assert(scripted_client:tag_image("web", "acme/web"))
      assert(scripted_client:tag_image("web", "localhost:5000/web:2"))
      assert.same({}, scripted_client:remove_image("r:5000/a/b", { force = true, no_prune = true }))
      local paths = {}
      for i, request in ipairs(server:requests()) do paths[i] = request.path end
      assert.same({
        "/v1.41/images/web/tag?repo=docker.io/acme/web&tag=latest",
        "/v1.41/images/web/tag?repo=localhost:5000/web&tag=2",
        "/v1.41/images/r:5000/a/b?force=true&noprune=true",
      }, paths)
    end)
  end)

  local d = "web@" .. digest
  for want, call in pairs {
    ["inspect_image: image: string expected, got nil"] = { "inspect_image" },
    ["inspect_image: image 'A': repository name must be lowercase"] = { "inspect_image", "A" },
    ["inspect_image: image '%.%./x': "] = { "inspect_image", "../x" },
    ["inspect_image: image 'a\\x0Ab': "] = { "inspect_image", "a\nb" },
    ["inspect_image: image: the table given has no string field 'id'"] = { "inspect_image", {} },
    ["inspect_image: unknown option 'tiemout' %(did you mean 'timeout'%?%)"] =
      { "inspect_image", "a", { tiemout = 1 } },
    ["list_images: unknown option 'label' %(did you mean 'labels'%?%)"] = { "list_images", { label = {} } },
    ["list_images: option 'labels': 'a': string or true expected, got number"] =
      { "list_images", { labels = { a = 1 } } },
    ["list_images: option 'labels': 'a': string or true expected, got boolean"] =
      { "list_images", { labels = { a = false } } },
    ["list_images: option 'labels': keys are strings, got number"] = { "list_images", { labels = { "a" } } },
    ["list_images: option 'reference': item 1: string expected, got boolean"] =
      { "list_images", { reference = { true } } },
    ["tag_image: target: string expected, got nil"] = { "tag_image", "a" },
    ["tag_image: target 'B': repository name must be lowercase"] = { "tag_image", "a", "B" },
    ["tag_image: target '.*': a digest can't be given"] = { "tag_image", "a", d },
    ["remove_image: image '': "] = { "remove_image", "" },
    ["remove_image: option 'force': boolean expected, got string"] = { "remove_image", "a", { force = "yes" } },
  } do
    it("raise misuse: " .. want, function()
      local ok, message = pcall(function() client[call[1]](client, table.unpack(call, 2, 4)) end)
      assert.is_false(ok)
      assert.matches("^spec/engine/images_spec%.lua:%d+: " .. want, message)
    end)
  end
end)
