-- pull_image: on the real Engine with registries that are open, private (htpasswd, token server) and dead; what no real
-- Engine does on command (errors inside a 200, cuts, single bytes) comes from a scripted server.

local cjson = require "cjson"
local docker = require "docker_watcher.docker"
local loop = require "docker_watcher.loop"
local env = require "spec.support.env"
local given = require "spec.support.given"
local scripted = require "spec.support.scripted"

-- Its base64 in the JSON of X-Registry-Auth has characters of both alphabets' differences.
local password = 'p+/ ~~~???>>>§ü"\\{é:x'
local login = { username = "dw", password = password }
local digest = "sha256:" .. ("ab"):rep(32)
local id = "sha256:" .. ("cd"):rep(32)

describe("pull_image", function()
  local client

  before_each(function() client = given.client() end)
  after_each(env.cleanup)

  -- Pushes an image that no other spec has; answers its repository and digest.
  local function push(tag, registry, options)
    local repository = ("%s/%s"):format(registry or env.registry, env.name("pull"))
    local pushed = env.tinyimage(repository .. ":" .. tag, ("--label spec=%s %s"):format(repository, options or ""))
    env.dispose("image", repository .. ":" .. tag)
    return repository, pushed
  end

  local function image_id(name)
    local status, image = env.engine("GET", "/images/" .. name .. "/json")
    return status == 200 and image.Id or nil
  end

  local function refused(kind, ...)
    local result, err = client:pull_image(...)
    assert.is_nil(result)
    assert.equal(kind, err.kind, tostring(err))
    assert.equal("pull_image", err.op)
    assert.truthy(tostring(err):find(err.subject, 1, true))
    return err
  end

  describe("on the real Engine", function()
    it("answers id, digest and status; the second time the image is up to date", function()
      local repository, pushed = push("1.0")
      local first = assert(client:pull_image(repository, "1.0"))
      assert.same({ id = image_id(repository .. ":1.0"), digest = pushed, status = "downloaded" }, first)
      first.status = "up_to_date"
      assert.same(first, client:pull_image(repository .. ":1.0"))
      assert.same(first, client:pull_image(repository .. ":1.0", "1.0"))
    end)

    it("pulls latest, and only that, where neither tag nor digest is given (semantics 9)", function()
      local repository = push("1.0")
      env.tinyimage(repository .. ":latest")
      env.dispose("image", repository .. ":latest")
      assert(client:pull_image(repository))
      local _, images = env.engine("GET", "/images/json")
      local tags = {}
      for _, image in ipairs(images) do
        for _, tag in ipairs(image.RepoTags or {}) do
          if tag:find(repository, 1, true) then tags[#tags + 1] = tag end
        end
      end
      assert.same({ repository .. ":latest" }, tags)
    end)

    it("takes a digest; with a tag beside it the digest decides (semantics 17)", function()
      local repository, a = push("a")
      local b = env.tinyimage(repository .. ":b", "--label other=1")
      assert.not_equal(a, b)
      local result = assert(client:pull_image(repository .. ":b@" .. a))
      env.dispose("image", result.id)
      assert.equal(a, result.digest)
      assert.equal(result.id, client:pull_image(repository, a).id)
      assert.equal(result.id, client:pull_image(repository .. "@" .. a, "b").id)
      assert.is_nil(image_id(repository .. ":b"))
    end)

    it("reports progress", function()
      local repository = push("1.0", nil, "--pad 2000")
      local seen, ids, total = {}, {}, nil
      local result = assert(client:pull_image(repository, "1.0", {
        on_progress = function(event)
          seen[event.status] = true
          if event.status == "Downloading" or event.status == "Extracting" then
            assert(math.type(event.current) == "integer")
            if not event.units then -- containerd's store counts the seconds of an extraction
              assert(event.current <= event.total)
              total = event.total
            end
          end
          if event.id then ids[event.id] = true end
        end,
      }))
      assert.equal("downloaded", result.status)
      assert.is_true(seen["Pull complete"])
      assert.is_true(seen["Digest: " .. result.digest])
      assert.is_true(ids["1.0"])
      -- Containerd's store looks every 100 ms how far it is, and may never see a download from next door.
      if not env.engine_is "containerd store" then assert.is_truthy(total) end
    end)

    it("raises again what on_progress raises, as it is, and the client stays usable", function()
      local repository = push("1.0")
      local thrown = setmetatable({}, { __tostring = function() return "mine" end })
      local ok, caught = pcall(client.pull_image, client, repository, "1.0",
        { on_progress = function() error(thrown) end })
      assert.is_false(ok)
      assert.equal(thrown, caught)
      assert.equal(0, client:connections())
      assert(client:ping())
      assert(client:pull_image(repository, "1.0"))
      assert.equal(1, client:connections())
    end)

    it("ends at once where on_progress cancels the context, and the client stays usable", function()
      local repository = push("1.0")
      local ctx, calls = docker.context {}, 0
      local err = refused("cancelled", repository, "1.0", {
        ctx = ctx,
        on_progress = function()
          calls = calls + 1
          ctx:cancel("enough")
        end,
      })
      assert.equal(1, calls)
      assert.matches("enough", tostring(err))
      assert.equal(0, client:connections())
      assert.is_truthy(client:pull_image(repository, "1.0").id)
    end)

    it("takes calls of the same client inside on_progress, in a task too", function()
      local repository = push("1.0")
      local pings = 0
      local function pull()
        return assert(client:pull_image(repository, "1.0", {
          on_progress = function() if client:ping() then pings = pings + 1 end end,
        }))
      end
      assert.equal("downloaded", pull().status)
      assert.equal("up_to_date", loop.run(pull).status)
      assert.is_true(pings > 4)
    end)

    it("ends where on_progress closes the client", function()
      local repository = push("1.0")
      local err = refused("cancelled", repository, "1.0", { on_progress = function() client:close() end })
      assert.matches("closed", tostring(err))
    end)

    it("says not_found for an unknown tag, repository and digest, in the Engine's words", function()
      local repository = push("1.0")
      local words = env.engine_is "containerd store" and "2%.0: not found$" or "manifest unknown"
      assert.matches(words, tostring(refused("not_found", repository, "2.0")))
      refused("not_found", repository .. "-none", "1.0")
      local err = refused("not_found", repository, digest)
      assert.equal(repository .. "@" .. digest, err.subject)
    end)

    it("says unreachable for a registry that nobody answers for, or that has no address", function()
      assert.matches("connection refused", tostring(refused("unreachable", "127.0.0.1:9/app", "1.0")))
      refused("unreachable", "registry.invalid/app", "1.0")
    end)

    for _, kind in ipairs { "htpasswd", "token" } do
      it(("logs in to a private registry (%s), whatever is in the password (semantics 10)"):format(kind), function()
        local registry = env.start_registry(("--auth %s --user %s"):format(kind, env.quote("dw:" .. password)))
        local repository, pushed = push("1.0", registry.host, "--user " .. env.quote(registry.login))
        local function secret_free(err)
          assert.is_nil(tostring(err):find(password, 1, true))
          assert.is_nil(tostring(err):find("wr0ng", 1, true))
        end
        -- Before and after the image is here: an old one is no answer.
        for _ = 1, 2 do
          for _, auth in ipairs { { username = "dw", password = "wr0ng" }, { username = "wr0ng", password = password },
            { registrytoken = "wr0ng" }, { identitytoken = "wr0ng" } } do
            secret_free(refused("unauthorized", repository, "1.0", { auth = auth }))
          end
          assert.matches("option 'auth'", tostring(refused("unauthorized", repository, "1.0")))
          assert.equal(pushed, assert(client:pull_image(repository, "1.0", { auth = login })).digest)
        end
        secret_free(refused("not_found", repository, "2.0", { auth = login }))
      end)
    end

    it("needs no login for what a registry with a token server gives to everybody", function()
      local registry = env.start_registry("--auth token")
      local repository = push("1.0", registry.host .. "/public", "--user " .. env.quote(registry.login))
      assert.equal("downloaded", assert(client:pull_image(repository, "1.0")).status)
    end)

    it("says unreachable where the token server fails", function()
      local registry = env.start_registry("--auth token --token-arg --fail --token-arg 1000")
      local err = refused("unreachable", registry.host .. "/app", "1.0", { auth = login })
      assert.is_nil(tostring(err):find(password, 1, true))
    end)
  end)

  describe("on a scripted Engine", function()
    local server
    local status_line = '{"status":"Status: Downloaded newer image for web:1"}\n'
    local digest_line = '{"status":"Digest: ' .. digest .. '"}\n'

    -- create: the reply to the pull; any image is there unless `inspect` says otherwise.
    local function start(create, inspect)
      server = scripted.start {
        routes = {
          { method = "POST", path = "/v1.41/images/create", reply = create },
          { method = "GET", prefix = "/v1.41/images/", reply = inspect or { json = { Id = id } } },
        },
      }
      env.defer(function() server:stop() end)
      client:close()
      client = assert(docker.connect { host = server.host, timeout = 0.3 })
    end

    local function stream(body, more)
      local reply = { framing = "chunked", type = "application/json", body = body }
      for k, v in pairs(more or {}) do reply[k] = v end
      return reply
    end

    it("sends name, tag, platform as text (semantics 43) and no credentials as {} (semantics 9, 10)", function()
      start(stream { digest_line, status_line })
      assert(client:pull_image("web"))
      assert(client:pull_image("acme/web:1", nil, { platform = "linux/arm64/v8" }))
      assert(client:pull_image("[::1]:5000/a/b", digest))
      local pulls = {}
      for _, request in ipairs(server:requests()) do
        if request.method == "POST" then
          pulls[#pulls + 1] = request.path:gsub("%%5[Bb]", "["):gsub("%%5[Dd]", "]"):match("create%?(.*)")
          assert.equal("e30=", request.headers["x-registry-auth"])
          assert.equal("0", request.headers["content-length"])
        end
      end
      assert.same({
        "fromImage=docker.io/library/web&tag=latest",
        "fromImage=docker.io/acme/web&tag=1&platform=linux/arm64/v8",
        "fromImage=[::1]:5000/a/b&tag=" .. digest,
      }, pulls)
    end)

    it("sends credentials as base64url with padding, to the pull only (semantics 10, 12)", function()
      start(stream { digest_line, status_line })
      assert(client:pull_image("web", "1", { auth = login }))
      local sent
      for _, request in ipairs(server:requests()) do
        local header = request.headers["x-registry-auth"]
        assert.equal(request.method == "POST", header ~= nil)
        sent = sent or header
      end
      assert.matches("^[%w_-]+=*$", sent)
      assert.matches("[_-]", sent)
      assert.equal(0, #sent % 4)
      local json = env.run("base64 -d", sent:gsub("-", "+"):gsub("_", "/"))
      assert.same({ username = "dw", password = password, serveraddress = "https://index.docker.io/v1/" },
        cjson.decode(json))
    end)

    it("fails for an errorDetail inside a 200, whatever follows it (semantics 5)", function()
      local message = "failed to register layer: write /x: no space left on device"
      start(stream { '{"status":"Pulling from web","id":"1"}\n',
        ('{"errorDetail":{"message":"%s"},"error":"%s"}\n'):format(message, message), digest_line, status_line })
      assert.equal("pull_image web:1: " .. message, tostring(refused("engine", "web", "1")))
      assert.equal(2, #server:requests()) -- ping and pull: nothing was inspected
    end)

    it("reads errorDetail alone, or error alone (semantics 6)", function()
      start(stream { '{"errorDetail":{"code":1,"message":"new"}}' })
      assert.matches("new$", tostring(refused("engine", "web", "1")))
      start(stream { '{"error":"old"}' })
      assert.matches("old$", tostring(refused("engine", "web", "1")))
      start(stream { '{"errorDetail":{}}' })
      refused("engine", "web", "1")
    end)

    -- What Engines and registries were seen to say.
    for message, kind in pairs {
      ["unauthorized: incorrect username or password"] = "unauthorized",
      ["Head \\\"https://r/v2/x/manifests/1\\\": unauthorized: authentication required"] = "unauthorized",
      ["Head \\\"https://ghcr.io/v2/x/manifests/1\\\": denied: denied"] = "unauthorized",
      ["error parsing HTTP 401 response body: invalid character '<'"] = "unauthorized",
      ["failed to resolve reference \\\"r/x:1\\\": unexpected status from HEAD request to https://r/v2/x/manifests/1: "
        .. "401 Unauthorized"] = "unauthorized",
      ["pull access denied, repository does not exist or may require authorization: server message: "
        .. "insufficient_scope: authorization failed"] = "unauthorized",
      ["failed to resolve reference \\\"r/x:1\\\": r/x:1: not found"] = "not_found",
      ["manifest for acme/unauthorized:1 not found: manifest unknown: manifest unknown"] = "not_found",
      ["no matching manifest for linux/s390x in the manifest list entries"] = "not_found",
      ["toomanyrequests: You have reached your pull rate limit."] = "rate_limited",
      ["error parsing HTTP 429 response body: invalid character 'T'"] = "rate_limited",
      ["error parsing HTTP 403 response body: invalid character '<'"] = "forbidden",
      ["Get \\\"https://r/v2/\\\": http: server gave HTTP response to HTTPS client"] = "unreachable",
      ["Get \\\"https://r/v2/\\\": x509: certificate signed by unknown authority"] = "unreachable",
      ["Get \\\"https://r/v2/\\\": net/http: TLS handshake timeout"] = "unreachable",
      ["Get \\\"https://r/v2/\\\": net/http: request canceled while waiting for connection "
        .. "(Client.Timeout exceeded while awaiting headers)"] = "unreachable",
      ["failed to authorize: failed to fetch anonymous token: Get \\\"https://a/token\\\": dial tcp 1.2.3.4:443: "
        .. "i/o timeout"] = "unreachable",
      ["Get \\\"http://r/v2/\\\": EOF"] = "unreachable",
      ["error from registry: denied"] = "unauthorized",
      ["layers from manifest don't match image configuration"] = "engine",
    } do
      it(("knows %s: %s"):format(kind, message:sub(1, 70)), function()
        for _, status in ipairs { 200, 500 } do
          local body = status == 200 and '{"errorDetail":{"message":"%s"}}' or '{"message":"%s"}'
          start(stream({ body:format(message) }, { status = status }))
          refused(kind, "web", "1")
        end
      end)
    end

    it("knows what the status tells where the words don't", function()
      for status, kind in pairs { [400] = "invalid", [401] = "unauthorized", [403] = "forbidden", [404] = "not_found",
        [409] = "conflict", [429] = "rate_limited", [500] = "engine", [501] = "engine", [502] = "unreachable",
        [503] = "unreachable", [504] = "unreachable" } do
        start { status = status, json = { message = "error from registry: try again" } }
        assert.matches("^pull_image web:1: error from registry: try again", tostring(refused(kind, "web", "1")))
      end
    end)

    it("strikes out credentials that a registry repeats", function()
      local basic = env.run("base64 -w0", "dw:" .. password)
      start(stream { cjson.encode { errorDetail = {
        message = ("bad %s in %s for token?account=dw&x=1"):format(password, basic) } } })
      local text = tostring(refused("engine", "web", "1", { auth = login }))
      assert.matches("bad … in …=* for token%?account=…&x=1$", text)
      for _, status in ipairs { 400, 401, 403, 404, 409, 418, 429, 500, 503 } do
        start(stream({ cjson.encode { message = "t0ken is bad" } }, { status = status }))
        local _, err = client:pull_image("web", "1", { auth = { registrytoken = "t0ken" } })
        assert.matches(": … is bad", tostring(err))
      end
    end)

    it("finds the values wherever reads split them (semantics 7)", function()
      local body = '{"status":"Ziehe é\\u00e9 €","id":"1"}{"status":"x","progressDetail":'
        .. '{"current":9007199254740993,"total":9007199254740995},"id":"layer"}\r\n\n'
        .. digest_line .. "\30" .. status_line
      for _, reply in ipairs { stream({ body }, { each = 1 }), stream { body }, { body = body } } do
        start(reply)
        local events = {}
        assert.same({ id = id, digest = digest, status = "downloaded" },
          client:pull_image("web", "1", { on_progress = function(e) events[#events + 1] = e end }))
        assert.same({ status = "Ziehe éé €", id = "1" }, events[1])
        assert.same({ status = "x", id = "layer", current = 9007199254740993, total = 9007199254740995 }, events[2])
        assert.equal(4, #events)
      end
    end)

    it("says interrupted where the stream is cut, at any byte (semantics 8)", function()
      local whole = digest_line .. status_line
      start(stream { digest_line, { close = true } })
      refused("interrupted", "web", "1")
      start(stream { whole, { close = true } }) -- all of it, but not HTTP's last chunk
      refused("interrupted", "web", "1")
      for _, at in ipairs { 0, 10, #digest_line, #whole - 20 } do
        local body = whole:sub(1, at)
        start { body = body, length = #whole, after = "close" }
        refused("interrupted", "web", "1")
        start { body = body, framing = "close" } -- HTTP can't tell, the Engine's last line can
        refused("interrupted", "web", "1")
      end
      start { body = whole, framing = "close" }
      assert.equal(id, client:pull_image("web", "1").id)
    end)

    it("still reports the error that came before a cut (semantics 5, 8)", function()
      local body = '{"errorDetail":{"message":"toomanyrequests: slow down"}}'
      start { body = body, length = #body + 100, after = "reset" }
      refused("rate_limited", "web", "1")
    end)

    it("says protocol for progress that is no JSON object, too_large for a value without end", function()
      for _, body in ipairs { "<html>no</html>", "[1]", "12", '{"a":}' } do
        start(stream { body })
        refused("protocol", "web", "1")
      end
      start(stream { '{"status":"', { text = ("x"):rep(65536), ["repeat"] = 80 } })
      assert.matches("LIMIT_JSON_ITEM", tostring(refused("too_large", "web", "1")))
    end)

    it("inspects what was pulled by its digest, and by its tag where the Engine doesn't know that", function()
      start(stream { digest_line, status_line })
      assert.equal(id, client:pull_image("r:5000/web", "1").id)
      assert.equal("/v1.41/images/r:5000/web@" .. digest .. "/json", server:requests()[3].path)
      server:stop()
      server = scripted.start {
        routes = {
          { method = "POST", reply = stream { digest_line, '{"status":"Status: Image is up to date for web:1"}' } },
          { method = "GET", path = "/v1.41/images/r:5000/web:1/json", reply = { json = { Id = id } } },
        },
      }
      client:close()
      client = assert(docker.connect { host = server.host })
      assert.same({ id = id, digest = digest, status = "up_to_date" }, client:pull_image("r:5000/web", "1"))
    end)

    it("takes the digest from RepoDigests where the stream names none", function()
      local other = "sha256:" .. ("12"):rep(32)
      start(stream { status_line }, { json = { Id = id, RepoDigests = { "acme/web@" .. other, "web@" .. digest } } })
      assert.equal(digest, client:pull_image("web", "1").digest)
      assert.equal(other, client:pull_image("docker.io/acme/web", "1").digest)
      assert.is_nil(client:pull_image("r:5000/web", "1").digest)
    end)

    it("says not_found where the image is gone before it could be inspected", function()
      start(stream { digest_line, status_line }, { status = 404, json = { message = "No such image: web:1" } })
      assert.matches("No such image", tostring(refused("not_found", "web", "1")))
    end)

    it("has no default timeout, and keeps the one that is given", function()
      start(stream { digest_line, { delay = 0.6 }, status_line })
      assert.equal(id, assert(client:pull_image("web", "1")).id) -- the client's default is 0.3 s
      start(stream { digest_line, { wait = true } })
      refused("timeout", "web", "1", { timeout = 0.2 })
      assert.equal(0, client:connections())
      server:wait_closed(1)
    end)

    it("is cancelled from another task mid-pull, and the client stays usable", function()
      start(stream { digest_line, { wait = true } })
      local ctx = docker.context {}
      loop.run(function()
        local begun = false
        local task = loop.spawn(function()
          return client:pull_image("web", "1", { ctx = ctx, on_progress = function() begun = true end })
        end)
        repeat loop.sleep(0.01) until begun
        assert.equal(1, client:connections())
        ctx:cancel("changed my mind")
        local result, err = task:join()
        assert.is_nil(result)
        assert.equal("cancelled", err.kind)
        assert.equal(0, client:connections())
        assert(client:ping())
      end)
      server:wait_closed(1)
    end)

    it("shows a proxy's HTML as what it is (semantics 40)", function()
      start { status = 500, type = "text/html", body = "<html><h1>oops</h1></html>" }
      assert.matches("<h1>oops</h1>", tostring(refused("engine", "web", "1")), 1, true)
      start { status = 502, type = "text/html", body = "<html>Bad Gateway</html>" }
      assert.equal(502, refused("engine", "web", "1").status)
      start { status = 404, body = "" }
      assert.equal(404, refused("not_found", "web", "1").status)
    end)
  end)

  -- Raised at the caller's line, before any request.
  for want, arguments in pairs {
    ["image: string expected, got nil"] = {},
    ["image '': "] = { "" },
    ["image 'Web': repository name must be lowercase"] = { "Web" },
    ["image 'a b': "] = { "a b" },
    ["an image's id can't be pulled"] = { ("ab"):rep(32) },
    ["'" .. digest .. "': a name is wanted"] = { digest },
    ["tag: string or nil expected, got number"] = { "web", 1.4 },
    ["tag: string or nil expected, got table"] = { "web", {} },
    ["tag '%-x': a tag or a digest expected"] = { "web", "-x" },
    ["tag '': "] = { "web", "" },
    ["tag: '2' is another tag than in image 'web:1'"] = { "web:1", "2" },
    ["tag: another digest than in image"] = { "web@" .. digest, id },
    ["unknown option 'on_progres' %(did you mean 'on_progress'%?%)"] = { "web", "1", { on_progres = print } },
    ["option 'on_progress': function expected, got boolean"] = { "web", "1", { on_progress = true } },
    ["option 'platform': \"os/arch\" expected"] = { "web", "1", { platform = "" } },
    ["option 'auth': username and password"] = { "web", "1", { auth = { username = "dw" } } },
    ["auth: unknown option 'pasword'"] = { "web", "1", { auth = { username = "dw", pasword = "x" } } },
    ["option 'timeout': seconds"] = { "web", "1", { timeout = -1 } },
  } do
    it("raises misuse: " .. want, function()
      local ok, message = pcall(function() client:pull_image(table.unpack(arguments, 1, 3)) end)
      assert.is_false(ok)
      assert.matches("^spec/engine/pull_spec%.lua:%d+: ", message)
      assert.matches(want, message)
    end)
  end
end)
