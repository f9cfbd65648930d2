-- Engines, and what stands before them, that answer wrongly, partly or not at all. Engine semantics 7, 8 (JSON and
-- its end), 18 (304), 40 (error bodies), 41 (Content-Type), 42 (redirects, ids in paths), 51 (Unix sockets, reused
-- connections); faults 1, 2, 5 to 11, 50.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local given = require "spec.support.given"
local loop = require "docker_watcher.loop"
local scripted = require "spec.support.scripted"

local start = given.server

local LONG = 30 -- seconds: a wait that has to end long before
local LIST = "/v1.41/containers/json"

local function connect(server, options)
  options = options or {}
  options.host = server.host
  options.timeout = options.timeout or LONG
  return given.client(options)
end

-- A server whose first answer to ContainerList is `reply` and whose further ones are good, and its client.
local function answering(reply, scenario)
  scenario = scenario or {}
  scenario.routes = { { path = LIST, replies = { reply, { json = { { Id = "good" } } } } } }
  local server = start(scenario)
  return connect(server), server
end

local function list(client, options) return client:call("ContainerList", { all = true }, options) end

-- The call failed so, and the client is good for more.
local function fails(client, kind, pattern)
  local value, err = list(client)
  assert.is_nil(value)
  assert.equal(kind, err.kind)
  if pattern then assert.matches(pattern, err.message) end
  assert.matches("^ContainerList: ", tostring(err))
  local again = assert(list(client))
  assert.equal("good", again[1].Id)
  return err
end

local function count(server, method, path)
  local n = 0
  for _, request in ipairs(server:requests()) do
    if request.method == method and request.path:find(path, 1, true) then n = n + 1 end
  end
  return n
end

local body = '[{"Id":"é😀","Names":["/web"],"Created":1700000000,"Labels":{"a":null},"Size":1.5e3,"On":true}]\n'

after_each(env.cleanup)

for _, unix in ipairs { true, false } do
  local where = unix and " (Unix socket)" or " (TCP)"

  describe("a reply that is cut" .. where, function()
    for _, framing in ipairs { "length", "chunked", "close" } do
      it("at any byte is an error, never a part: " .. framing .. " (faults 6, 8, 9; semantics 8)", function()
        -- Without the line break: behind it a body that ends with the connection is complete.
        local text = framing == "close" and body:sub(1, -2) or { body:sub(1, 7), body:sub(8, 30), body:sub(31) }
        local replies = {}
        -- The head's length depends on the framing; cuts beyond the end would be no cuts.
        local total = #"HTTP/1.1 200 Scripted\r\nContent-Type: application/json\r\n" + #body + ({
          length = #("Content-Length: " .. #body .. "\r\n\r\n"),
          -- All but the very last byte: "0\r\n\r" says that the body is complete.
          chunked = #"Transfer-Encoding: chunked\r\n\r\n7\r\n\r\n17\r\n\r\n48\r\n\r\n0\r\n\r",
          close = #"Connection: close\r\n\r\n" - 1,
        })[framing]
        for cut = 0, total - 1 do
          replies[#replies + 1] = { type = "application/json", body = text, framing = framing, cut = cut }
        end
        replies[#replies + 1] = { type = "application/json", body = text, framing = framing }
        local server = start { unix = unix, routes = { { path = LIST, replies = replies } } }
        local client = connect(server)
        local errors, value, err = 0, nil, nil -- luacheck: ignore 311
        repeat
          value, err = list(client)
          if not value then
            errors = errors + 1
            assert.is_true(err.kind == "interrupted" or err.kind == "protocol")
          end
        until value or errors > total
        assert.equal(total + 1, count(server, "GET", LIST)) -- not before the last one
        assert.is_true(errors >= total - 1)                 -- a first one on a reused connection was sent again
        assert.same({ "é😀", { "/web" }, 1700000000, 1500.0, true },
          { value[1].Id, value[1].Names, value[1].Created, value[1].Size, value[1].On })
      end)
    end

    it("inside its headers is none, although nothing else was to come", function()
      local replies = {}
      local head = "HTTP/1.1 204 No Content\r\nApi-Version: 1.41\r\n\r\n"
      for cut = 0, #head - 2 do replies[#replies + 1] = { raw = head, cut = cut } end
      replies[#replies + 1] = { status = 204 }
      local server = start { unix = unix, routes = { { path = "/v1.41/containers/web/kill", replies = replies } } }
      local client = connect(server)
      local errors = 0
      repeat
        local ok, err = client:call("ContainerKill", { id = "web" })
        if not ok then
          errors = errors + 1
          assert.is_true(err.kind == "interrupted" or err.kind == "protocol")
        end
      until ok or errors > #head
      assert.equal(#head - 1, errors)
    end)

    it("mid-body by the engine's half-close, or a reset, is interrupted (fault 6)", function()
      for _, how in ipairs { "half_close", "reset", "close" } do
        local client = answering({ type = "application/json", length = 1000, body = { body, { [how] = true } } },
          { unix = unix })
        fails(client, "interrupted")
      end
    end)
  end)

  describe("a slow reply" .. where, function()
    it("of one byte at a time is the same reply (fault 50; semantics 7)", function()
      local function get(reply)
        local server = start { unix = unix, routes = { { path = LIST, reply = reply } } }
        return assert(list(connect(server)))
      end
      local whole = get { type = "application/json", body = body }
      for _, framing in ipairs { "length", "chunked", "close" } do
        assert.same(whole, get { type = "application/json", body = body, framing = framing, each = 1 })
      end
      local bytes = {}
      for i = 1, #body do bytes[i] = body:sub(i, i) end
      assert.same(whole, get { type = "application/json", body = bytes, framing = "chunked" })
    end)

    it("that never comes is a timeout, and leaves the client usable (fault 5)", function()
      for _, reply in ipairs {
        { raw = { { wait = true } } },
        { length = 10, body = { { wait = true } } },
        { framing = "chunked", body = { "[", { wait = true } } },
      } do
        local client, server = answering(reply, { unix = unix })
        local value, err = list(client, { timeout = 0.1 })
        assert.is_nil(value)
        assert.equal("timeout", err.kind)
        server:wait_closed(1) -- its connection is no good any more
        assert.equal("good", assert(list(client))[1].Id)
        assert.equal(1, client:connections())
      end
    end)
  end)

  describe("an engine that closes a kept-alive connection under a request" .. where, function()
    -- The ping is answered on connection 1; what comes there next is read, and nothing answered.
    local function closing(method, path, good)
      local server = start { unix = unix, routes = {
        { connection = 1, method = method, path = path, reply = { raw = "" } },
        { method = method, path = path, reply = good },
      } }
      local client = connect(server)
      assert(client:ping())
      return client, server
    end

    it("is sent a GET again", function()
      local client, server = closing("GET", LIST, { json = { { Id = "good" } } })
      assert.equal("good", assert(list(client))[1].Id)
      assert.equal(2, count(server, "GET", LIST))
    end)

    it("is sent a DELETE and a start again, which do no harm twice (semantics 18, fault 11)", function()
      local path = "/v1.41/containers/web"
      local client, server = closing("DELETE", path, { status = 204 })
      assert.is_true(client:call("ContainerDelete", { id = "web" }))
      assert.equal(2, count(server, "DELETE", path))
      client, server = closing("POST", path .. "/start", { status = 304 })
      assert.is_true(client:call("ContainerStart", { id = "web" }))
      assert.equal(2, count(server, "POST", path))
    end)

    it("is not sent a create again: nobody knows whether it was carried out (fault 10)", function()
      local client, server = closing("POST", "/v1.41/containers/create", { status = 201, json = { Id = "twice" } })
      local value, err = client:call("ContainerCreate", { name = "web", body = { Image = "busybox" } })
      assert.is_nil(value)
      assert.equal("interrupted", err.kind)
      assert.equal(1, count(server, "POST", "create"))
      assert.equal("twice", assert(client:call("ContainerCreate", { body = { Image = "busybox" } })).Id)
    end)

    it("is not sent anything else again that would be done twice, with a body or without", function()
      for _, case in ipairs {
        { "ContainerRestart", "/v1.41/containers/web/restart", { id = "web" }, 204 },
        { "ContainerKill", "/v1.41/containers/web/kill", { id = "web" }, 204 },
        { "ContainerRename", "/v1.41/containers/web/rename", { id = "web", name = "new" }, 204 },
        { "ContainerPause", "/v1.41/containers/web/pause", { id = "web" }, 204 },
        { "ContainerPrune", "/v1.41/containers/prune", {}, 200 },
        { "NetworkConnect", "/v1.41/networks/net/connect", { id = "net", body = { Container = "web" } }, 200 },
      } do
        local id, path, params, status = table.unpack(case)
        local client, server = closing("POST", path, { status = status, json = status == 200 and {} or nil })
        local value, err = client:call(id, params)
        assert.is_nil(value, id)
        assert.equal("interrupted", err.kind)
        assert.equal(1, count(server, "POST", path))
        assert.is_truthy(client:call(id, params))
      end
    end)

    it("in the middle of a large body is not sent it again", function()
      local server = start { unix = unix, connections = {
        { raw = { { read = 40 }, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", { read = 20000 } } },
      } }
      local client = connect(server, { api_version = "1.41" })
      assert(list(client))
      local big = { Image = "x", Env = { "A=" .. ("y"):rep(1 << 20) } }
      local value, err = client:call("ContainerCreate", { body = big })
      assert.is_nil(value)
      assert.equal("interrupted", err.kind)
      assert(client:ping())
      assert.equal(0, count(server, "POST", "create")) -- on a connection of its own, if there is a second one
    end)

    it("between two requests is just asked on a new one, whatever it is", function()
      local server = start { unix = unix, routes = {
        { path = LIST, reply = { json = {}, after = "close" } },
        { path = "/v1.41/containers/create", reply = { status = 201, json = { Id = "once" } } },
      } }
      local function sockets() return env.run(("ls -l /proc/%d/fd | grep -c socket"):format(server.pid)) end
      local listening = sockets() -- and what it may have inherited
      local client = connect(server)
      assert(list(client))
      env.wait(5, "the engine's end of the connection", function() return sockets() == listening end)
      assert.equal("once", assert(client:call("ContainerCreate", { body = { Image = "x" } })).Id)
      assert.equal(1, count(server, "POST", "create"))
    end)
  end)
end

describe("an error's body (semantics 40, fault 7)", function()
  it("from a proxy, in HTML, is quoted and cut", function()
    local html = "<html>\r\n<body>\0\27[31m502 Bad Gateway " .. ("é"):rep(4000) .. "</body></html>"
    for _, status in ipairs { 500, 502, 503 } do
      local client = answering { status = status, type = "text/html", body = html }
      local err = fails(client, "engine", "status " .. status .. ": <html>")
      assert.equal(status, err.status)
      local quoted = err.message:match("status %d+: (.*)$")
      assert.is_nil(quoted:find("[%c]"))
      assert.is_true(#quoted <= 256 + #"…")
      assert.matches("…$", quoted)
      assert.is_truthy(utf8.len(quoted))
    end
  end)

  it("of bytes that are no text is escaped, and no longer for that", function()
    local client = answering { status = 500, body = ("\0\255"):rep(5000) }
    local err = fails(client, "engine", "\\x00\\xFF")
    assert.is_true(#err.message:match("status 500: (.*)$") <= 256 + #"…")
  end)

  it("that is empty, cut, or larger than a message may be, is told by its status", function()
    local client = answering { status = 503 }
    fails(client, "engine", "status 503$")
    client = answering { status = 500, type = "application/json", body = '{"message":"oh' }
    fails(client, "engine", "status 500: {\"message\":\"oh$")
    client = answering { status = 500, body = { { text = ("z"):rep(1 << 20), ["repeat"] = 3 } } }
    fails(client, "engine", "status 500: zzz")
    client = answering { status = 500, length = 100, body = '{"message":"x', after = "close" }
    fails(client, "interrupted")
  end)

  it("in JSON is its message, by status", function()
    for status, kind in pairs {
      [400] = "invalid", [401] = "unauthorized", [403] = "forbidden", [404] = "not_found", [409] = "conflict",
      [413] = "too_large", [429] = "rate_limited", [500] = "engine", [501] = "engine", [599] = "engine",
      [418] = "protocol",
    } do
      local client = answering { status = status, json = { message = " no\nsuch thing " } }
      local err = fails(client, kind)
      assert.equal("ContainerList: no\\x0Asuch thing", err.message)
      assert.equal(status, err.status)
    end
  end)

  it("whose message is no string, or is not an object, is quoted", function()
    for _, text in ipairs { '{"message":{"a":1}}', '["x"]', '"x"', "null", '{"message":12}' } do
      local client = answering { status = 500, type = "application/json", body = text }
      fails(client, "engine", text:gsub("%p", "%%%0"))
    end
  end)

  it("is missing after a HEAD", function()
    local server = start { routes = { { method = "HEAD", path = "/v1.41/containers/web/archive",
      reply = { status = 500, length = 5 } } } }
    local client = connect(server)
    local ok, err = client:call("ContainerArchiveInfo", { id = "web", path = "/x" })
    assert.is_nil(ok)
    assert.equal("engine", err.kind)
  end)
end)

describe("a 200", function()
  it("with HTML is no Engine's", function()
    local client = answering { type = "text/html", body = "<html>Please log in</html>" }
    fails(client, "protocol", "not JSON.*<html>Please log in</html>")
  end)

  it("with nothing where JSON belongs is none", function()
    for _, framing in ipairs { "length", "chunked", "close" } do
      local client = answering { type = "application/json", framing = framing }
      fails(client, "protocol", "empty")
    end
  end)

  it("with JSON that is cut although all bytes came names the place (fault 8)", function()
    for _, text in ipairs {
      '[{"Id":"a"', '["\xC3', '["\\uD83D', '["\\uD83D"]', '["\xC3("]', '[1,]', '[1]]', '{"a":1,}', "[" .. ("["):rep(70),
    } do
      local client = answering { type = "application/json", body = text }
      fails(client, "protocol", "not JSON %(.* at byte %d+%)")
    end
  end)

  it("of another shape than promised is told as such", function()
    local server = start { routes = {
      { path = "/v1.41/info", replies = { { json = { 1 } }, { body = '"x"' }, { body = "null" } } },
      { path = "/v1.41/version", reply = { body = "[]" } },
    } }
    local client = connect(server)
    for _ = 1, 3 do
      local value, err = client:info()
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
    end
    assert.equal("protocol", select(2, client:version()).kind)
  end)

  it("behind any number of 100s is taken", function()
    local ok = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n[{\"Id\":\"cont\"}]"
    for _, before in ipairs {
      "HTTP/1.1 100 Continue\r\n\r\n", ("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"):rep(5),
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    } do
      local client = answering { raw = before .. ok, after = "keep" }
      assert.equal("cont", assert(list(client))[1].Id)
      assert.equal("good", assert(list(client))[1].Id)
    end
  end)
end)

describe("a reply that is too large", function()
  it("is refused by LIMIT_REPLY, whatever its framing", function()
    for _, framing in ipairs { "length", "chunked", "close" } do
      local client = answering { framing = framing, type = "application/json",
        body = { '["', { text = ("x"):rep(1 << 20), ["repeat"] = 65 }, '"]' } }
      fails(client, "too_large", "LIMIT_REPLY")
    end
  end)

  it("in its headers is refused by LIMIT_HEADERS", function()
    local many, lines = {}, {}
    for i = 1, 5000 do many[i] = { "X-Header-" .. i, ("v"):rep(20) } end
    for i = 1, 3 do lines[i] = { "X-Long", ("v"):rep(200000) } end
    for _, headers in ipairs { many, lines, { { "X-Long", ("v"):rep(90000) } } } do
      local client = answering { headers = headers, json = {} }
      fails(client, "too_large", "LIMIT_HEADERS")
    end
    local client = answering { raw = "HTTP/1.1 200 " .. ("v"):rep(300000) .. "\r\n\r\n" }
    fails(client, "too_large", "LIMIT_HEADERS")
  end)
end)

describe("what is no HTTP, or bad HTTP", function()
  local cases = {
    ["another protocol"] = "SSH-2.0-OpenSSH_9.2\r\n",
    ["HTTP/0.9"] = '[{"Id":"old"}]',
    ["an empty line"] = "\r\n\r\n",
    ["zeros"] = ("\0"):rep(1000),
    ["a status that is none"] = "HTTP/1.1 abc Nope\r\n\r\n[]",
    ["a status of two digits"] = "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n[]",
    ["a version that is none"] = "HTTP/9.7 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    ["a negative length"] = "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n[]",
    ["a length that is no number"] = "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
    ["a chunk size that is none"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
    ["a chunk size beyond 64 bits"] =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n[]\r\n0\r\n\r\n",
    ["a chunk that is longer than said"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[]\r\n0\r\n\r\n",
    ["an unasked 101"] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\n[]",
    ["an unasked encoding"] = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\8\0",
    ["a body where none may be"] = "HTTP/1.1 204 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n[]",
    ["a status of the proxy's own"] = "HTTP/1.1 299 Custom\r\nContent-Length: 2\r\n\r\n[]",
  }
  for name, raw in pairs(cases) do
    it("is an error, and the next call works: " .. name, function()
      local client = answering { raw = raw }
      local value, err = list(client)
      assert.is_nil(value)
      assert.is_true(err.kind == "protocol" or err.kind == "interrupted" or err.kind == "engine")
      assert.equal("good", assert(list(client))[1].Id)
    end)
  end
end)

describe("a redirect (semantics 42)", function()
  for _, status in ipairs { 301, 302, 303, 307, 308 } do
    it(status .. " is not followed", function()
      local server <close> = scripted.start { routes = {
        { path = "/elsewhere", reply = { json = { { Id = "stolen" } } } },
        { reply = { status = status, headers = { Location = "/elsewhere" } } , prefix = "/v1.41/" },
      } }
      local client = connect(server)
      local value, err = list(client)
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
      assert.equal(status, err.status)
      value, err = client:call("ContainerCreate", { body = { Image = "x" } })
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
      assert.equal(0, count(server, "GET", "elsewhere") + count(server, "POST", "elsewhere"))
      assert.equal(1, count(server, "POST", "create"))
    end)
  end
end)

describe("what is sent", function()
  it("is JSON with its Content-Type, and no Expect (semantics 41)", function()
    local server = start { routes = {
      { path = "/v1.41/containers/create", reply = { status = 201, json = { Id = "x" } } },
    } }
    local client = connect(server)
    assert(client:call("ContainerCreate", { body = { Image = "x", Env = { ("A=%s"):format(("y"):rep(100000)) } } }))
    local request = server:requests()[2]
    assert.equal("application/json", request.headers["content-type"])
    assert.is_nil(request.headers.expect)
    assert.equal(#request.body, tonumber(request.headers["content-length"]))
    assert.equal("docker", request.headers.host)
  end)

  it("escapes what a query holds, and refuses ids that would change the path (semantics 42)", function()
    local server = start { routes = { { path = LIST, reply = { json = {} } } } }
    local client = connect(server)
    assert(client:call("ContainerList", { filters = { name = { "a b&c=d#\"é\0\n" } } }))
    local path = server:requests()[2].path
    assert.matches("^/v1%.41/containers/json%?filters=[%w%%%-%._~:/]*$", path)
    local before = #server:requests()
    for _, id in ipairs {
      "", "a/b", "..", ".", "a\0b", "a\nb", "a b", "a\rb", "a?b", "a#b", "a%2fb", "\127", "a\tb",
    } do
      for _, operation in ipairs { "ContainerInspect", "NetworkInspect", "VolumeInspect", "ContainerDelete" } do
        local ok, err = pcall(function()
          client:call(operation, { id = id, name = operation == "VolumeInspect" and id or nil })
        end)
        assert.is_false(ok)
        assert.matches("^spec/engine/hostile_spec.lua:%d+: " .. operation .. ": ", err)
      end
    end
    for _, image in ipairs { "", "a\0b", "a\nb", "../x", "A B", "a//b", "x?y" } do
      assert.is_false(pcall(client.call, client, "ImageInspect", { name = image }))
    end
    assert.equal(before, #server:requests())
  end)

  it("is given to concurrent callers in one loop, each its own", function()
    local routes = {}
    for i = 1, 40 do
      local path = ("/v1.41/containers/c%d/json"):format(i)
      routes[i] = { path = path, reply = { delay = (i % 5) / 500, json = { Id = "c" .. i } } }
    end
    local client = connect(start { routes = routes })
    local seen = {}
    loop.run(function()
      for i = 1, 40 do
        loop.spawn(function() seen[i] = assert(client:call("ContainerInspect", { id = "c" .. i })).Id end)
      end
    end)
    for i = 1, 40 do assert.equal("c" .. i, seen[i]) end
    assert.is_true(client:connections() <= 32)
  end)
end)

describe("an engine that is not there (fault 2)", function()
  local function kind(host, pattern)
    local client = assert(docker.connect { host = host, timeout = LONG })
    local ok, err = client:ping()
    assert.is_nil(ok)
    assert.equal("unreachable", err.kind)
    assert.matches(pattern, err.message)
    assert.equal(0, client:connections())
    client:close()
  end

  it("says so in three ways: missing, refused, permission", function()
    local dir = env.tmpdir()
    kind("unix://" .. dir .. "/none.sock", "the socket does not exist")
    env.run("python3 -c 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' " .. dir .. "/dead.sock")
    kind("unix://" .. dir .. "/dead.sock", "connection refused")
    kind("tcp://127.0.0.1:1", "connection refused")
    kind("tcp://nowhere.invalid:2375", "cannot reach")
    kind("unix://" .. dir, "unix://") -- a folder
  end)
end)
