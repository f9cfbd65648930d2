-- docker_watcher.http (src/http.c, src/transport.c): requests to any http(s) URL. Faults 6, 7, 9, 24, 40, 46.

local child = require "spec.support.child"
local env = require "spec.support.env"
local http = require "docker_watcher.http"
local loop = require "docker_watcher.loop"
local scripted = require "spec.support.scripted"

local LONG = 30

-- A server with these routes, and the beginning of its URLs.
local function start(routes, more)
  local scenario = { unix = false, routes = routes, api_version = false }
  for k, v in pairs(more or {}) do scenario[k] = v end
  local server = scripted.start(scenario)
  env.defer(function() server:stop() end)
  return server.host:gsub("^tcp", "http"), server
end

local function misuse(pattern, options)
  local ok, err = pcall(function() return (http.request(options)) end)
  assert.is_false(ok)
  assert.matches("^spec/unit/http_spec.lua:%d+: request: " .. pattern, err)
  return err
end

describe("http.request", function()
  after_each(env.cleanup)

  it("answers status, headers and body", function()
    local url, server = start {
      { path = "/a", query = "x=1", reply = { status = 418, body = "tea\0pot", headers = { ["X-One"] = "1" } } },
    }
    local reply = assert(http.request { url = url .. "/a?x=1&y=%20" })
    assert.same({ status = 418, body = "tea\0pot", headers = { ["x-one"] = "1", ["content-length"] = "7" } }, reply)
    local request = server:requests()[1]
    assert.equal("GET", request.method)
    assert.equal("/a?x=1&y=%20", request.path)
    assert.equal("docker-watcher", request.headers["user-agent"])
    assert.is_nil(request.headers.authorization)
    assert.is_nil(request.headers.cookie)
  end)

  it("gives headers by their names in lower case, as a list where there are several", function()
    local url = start { { reply = { headers = {
      { "WWW-Authenticate", "Basic" }, { "www-authenticate", "Bearer a=\"b\"" }, { "Www-Authenticate", "" },
      { "Link", "  spaced\t" }, { "X-Empty", "" },
    } } } }
    local headers = assert(http.request { url = url }).headers
    assert.same({ "Basic", "Bearer a=\"b\"", "" }, headers["www-authenticate"])
    assert.equal("spaced", headers.link)
    assert.equal("", headers["x-empty"])
  end)

  it("knows the methods", function()
    local url, server = start { { reply = { body = "x" } } }
    for method in ("GET HEAD POST PUT PATCH DELETE POST GET DELETE PUT HEAD"):gmatch "%a+" do
      local sends = method ~= "GET" and method ~= "HEAD"
      local reply = assert(http.request { method = method, url = url, body = sends and "b" .. method or nil })
      assert.equal(method == "HEAD" and "" or "x", reply.body)
      local requests = server:requests()
      local last = requests[#requests]
      assert.equal(method, last.method)
      assert.equal(sends and "b" .. method or "", last.body)
      assert.equal(sends and "application/octet-stream" or nil, last.headers["content-type"])
      assert.is_nil(last.headers.expect)
    end
    for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE" } do
      assert(http.request { method = method, url = url })
      local requests = server:requests()
      assert.equal(method, requests[#requests].method)
      assert.equal("", requests[#requests].body)
    end
    assert.equal(1, (server:connections()))
  end)

  it("sends headers as they are given, empty ones too, and its own Content-Type only where there is none", function()
    local url, server = start { { reply = {} } }
    assert(http.request { method = "POST", url = url, body = "{}", headers = {
      Authorization = "Bearer x", ["X-Empty"] = "", Accept = "a, b",
      ["content-type"] = "application/json; charset=utf-8",
    } })
    local headers = server:requests()[1].headers
    assert.equal("Bearer x", headers.authorization)
    assert.equal("", headers["x-empty"])
    assert.equal("application/json; charset=utf-8", headers["content-type"])
    assert.equal("a, b", headers.accept)
    assert(http.request { url = url }) -- nothing of it is left for the next
    headers = server:requests()[2].headers
    assert.is_nil(headers.authorization)
    assert.is_nil(headers["x-empty"])
  end)

  it("sends bodies of bytes", function()
    local url, server = start { { reply = {} } }
    local body = ("\0\1\255\r\n"):rep(20000)
    assert(http.request { method = "PUT", url = url, body = body })
    assert(http.request { method = "POST", url = url, body = "" })
    local requests = server:requests()
    assert.equal(body, requests[1].body)
    assert.equal("", requests[2].body)
    assert.equal("0", requests[2].headers["content-length"])
  end)

  it("refuses a body over max_body by that name, and takes one that just fits", function()
    for _, framing in ipairs { "length", "chunked", "close" } do
      local url = start { { reply = { body = ("x"):rep(1000), framing = framing } } }
      assert.equal(1000, #assert(http.request { url = url, max_body = 1000 }).body)
      local reply, err = http.request { url = url, max_body = 999 }
      assert.is_nil(reply)
      assert.equal("too_large", err.kind)
      assert.matches("max_body", err.message)
      assert.equal("too_large", select(2, http.request { url = url, max_body = 0 }).kind)
    end
    local url = start { { reply = { status = 500, body = ("x"):rep(200000) } } }
    assert.equal(200000, #assert(http.request { url = url }).body) -- error bodies are bodies
    assert.equal("too_large", select(2, http.request { url = url, max_body = 199999 }).kind)
    url = start { { reply = {} } }
    assert.equal("", assert(http.request { url = url, max_body = 0 }).body)
  end)

  it("does not follow redirects: credentials stay where they were meant to go", function()
    local url, server = start {
      { path = "/to", reply = { body = "there" } },
      { times = 1, reply = { status = 301, headers = { Location = "/to" } } },
      { reply = { status = 307, headers = { Location = "/to" } } },
    }
    for _, status in ipairs { 301, 307 } do
      local reply = assert(http.request { method = "POST", url = url .. "/from", body = "x" })
      assert.equal(status, reply.status)
      assert.equal("/to", reply.headers.location)
    end
    assert.equal(2, #server:requests())
  end)

  it("refuses headers that would be more than headers", function()
    local url = "http://127.0.0.1:1/"
    for _, name in ipairs { "", "a b", "a:b", "a\r\nb", "a\0b", "\xC3\xA9", "a(b" } do
      misuse("headers: a name", { url = url, headers = { [name] = "x" } })
    end
    for _, value in ipairs { "a\r\nHost: evil", "a\nb", "a\rb", "a\0b" } do
      local err = misuse("headers: X%-Secret: CR, LF or NUL", { url = url, headers = { ["X-Secret"] = value } })
      assert.is_nil(err:find("evil"))
    end
    misuse("headers: Content%-Type", { url = url, method = "POST", body = "", headers = { ["Content-Type"] = "a\nb" } })
    misuse("headers: Content%-Type", { url = url, method = "POST", body = "",
      headers = { ["Content-Type"] = ("a"):rep(500) } })
    misuse("headers: names and values are strings", { url = url, headers = { Accept = 1 } })
    misuse("headers: names and values are strings", { url = url, headers = { "Accept" } })
    local many = {}
    for i = 1, 100 do many["X-" .. i] = "x" end
    misuse("more than 64 headers", { url = url, headers = many })
    misuse("headers is longer than LIMIT_HEADERS", { url = url, headers = { X = ("x"):rep(70000) } })
  end)

  it("refuses other misuse at the caller's line", function()
    local url = "http://127.0.0.1:1/"
    misuse("option 'url' is missing", {})
    misuse("unknown option 'urll' %(did you mean 'url'%?%)", { urll = url })
    misuse("method: GET, HEAD", { url = url, method = "get" })
    misuse("method: GET, HEAD", { url = url, method = "CONNECT" })
    misuse("GET sends no body", { url = url, body = "x" })
    misuse("HEAD sends no body", { url = url, method = "HEAD", body = "" })
    misuse("option 'body': string expected, got table", { url = url, method = "POST", body = {} })
    misuse("option 'max_body'", { url = url, max_body = -1 })
    misuse("option 'max_body': integer expected", { url = url, max_body = 1.5 })
    misuse("option 'timeout': seconds", { url = url, timeout = -1 })
    misuse("option 'url': holds a NUL byte", { url = url .. "\0" })
    misuse("url is longer than LIMIT_PATH", { url = url .. ("x"):rep(70000) })
    misuse("body is longer than LIMIT_REQUEST", { url = url, method = "PUT", body = ("x"):rep((16 << 20) + 1) })
    for _, bad in ipairs { "", "file:///etc/passwd", "ftp://x/", "127.0.0.1", "HTTP", "//x", "gopher://x" } do
      misuse("url: http:// or https:// expected", { url = bad })
    end
    for _, bad in ipairs { " ", "\n", "\r\nX: y", "\t", "\127" } do
      misuse("url: a blank or control byte", { url = url .. bad })
    end
    assert.has_error(function() http.request() end)
    assert.has_error(function() http.request("http://x/") end)
  end)

  it("refuses URLs without a good host or port, and does not repeat what may be a password", function()
    for _, bad in ipairs {
      "http://", "http:///x", "http://:80/", "http://h:80x/", "http://[::1/", "http://user:pa/sw@host/",
      "http://user:pa?sw@host/", "http://user:pa#sw@host/", "http://@/", "http://[::1]x/",
    } do
      local err = misuse("url: its host or port is missing or malformed$", { url = bad })
      assert.is_nil(err:find("pa", 1, true))
    end
  end)

  it("keeps credentials of the URL out of errors", function()
    for _, url in ipairs {
      "http://user:hunter2@127.0.0.1:1/x?token=hunter2#hunter2", "http://user:p@hunter2@127.0.0.1:1/",
      "http://hunter2:hunter2@nowhere.invalid/", "https://user:hunter2@127.0.0.1:1/?hunter2",
    } do
      local reply, err = http.request { url = url, headers = { Authorization = "hunter2" } }
      assert.is_nil(reply)
      assert.is_true(err.kind == "unreachable" or err.kind == "protocol")
      for _, text in pairs(err) do assert.is_nil(tostring(text):find("hunter2", 1, true)) end
    end
    local _, err = http.request { url = "http://127.0.0.1:1/v2/@scope/app?q=1" }
    assert.equal("127.0.0.1:1/v2/@scope/app", err.subject)
  end)

  it("tells refused, not found, and not answered apart in words (faults 24, 46)", function()
    local _, err = http.request { url = "http://127.0.0.1:1/" }
    assert.equal("unreachable", err.kind)
    assert.matches("connection refused", err.message)
    assert.equal("request", err.op)
    _, err = http.request { url = "http://nowhere.invalid/" }
    assert.equal("unreachable", err.kind)
    assert.matches("[Rr]esolve", err.message)
    local url = start({}, { connections = { { raw = "HTTP/1.1 400 Bad Request\r\n\r\n" } } })
    _, err = http.request { url = url:gsub("^http", "https") }
    assert.equal("unreachable", err.kind)
    assert.matches("no secure connection", err.message)
  end)

  it("that is cut is an error, never a shorter body (faults 6, 9)", function()
    for _, reply in ipairs {
      { length = 100, body = "half", after = "close" }, { length = 100, body = "half", after = "reset" },
      { framing = "chunked", body = "half", cut = 62 }, { raw = "HTTP/1.1 200 OK\r\nX-Cu" }, { raw = "" },
      { length = 100, body = { "half", { half_close = true } } },
    } do
      local url = start { { times = 1, reply = reply }, { reply = { body = "whole" } } }
      local value, err = http.request { url = url }
      assert.is_nil(value)
      assert.equal("interrupted", err.kind)
      assert.equal("whole", assert(http.request { url = url }).body)
    end
  end)

  it("that is no HTTP is a protocol error", function()
    local url = start { { reply = { raw = "SSH-2.0-OpenSSH\r\n" } } }
    assert.equal("protocol", select(2, http.request { url = url }).kind)
  end)

  it("ends by its timeout, at once by one of 0", function()
    local url, server = start { { reply = { length = 5, body = { "x", { wait = true } } } } }
    local reply, err = http.request { url = url, timeout = 0.05 }
    assert.is_nil(reply)
    assert.equal("timeout", err.kind)
    server:wait_closed(1)
    reply, err = http.request { url = url, timeout = 0 }
    assert.is_nil(reply)
    assert.equal("timeout", err.kind)
    assert.equal(1, #server:requests())
  end)

  it("is cancelled with its task, and that is not lost where the reply came first", function()
    local url, server = start {
      { path = "/never", reply = { length = 5, body = { { wait = true } } } }, { reply = { body = "x" } },
    }
    loop.run(function()
      local task = loop.spawn(function() return http.request { url = url .. "/never", timeout = LONG } end)
      while #server:requests() < 1 do loop.sleep(0.002) end
      task:cancel()
      local reply, err = task:join()
      assert.is_nil(reply)
      assert.equal("cancelled", err.kind)
      for _ = 1, 20 do -- whichever comes first: exactly one wait is told
        task = loop.spawn(function()
          local first, first_err = http.request { url = url }
          local second, second_err = loop.sleep(first and LONG or 0)
          return first or first_err.kind, second or second_err.kind
        end)
        loop.spawn(function() loop.sleep(0.001); task:cancel() end)
        coroutine.yield()
        local till = loop.now() + 0.003 -- both the reply and the timer are there when the loop looks
        while loop.now() < till do till = till + 0 end
        local first, second = task:join()
        assert.is_true(first == "cancelled" and second == true or type(first) == "table" and second == "cancelled")
      end
    end)
  end)

  it("50 at once in one loop, and their connections are used again", function()
    local routes = {}
    for i = 1, 50 do routes[i] = { path = "/" .. i, reply = { body = "body " .. i } } end
    local url, server = start(routes)
    local client = http.client {}
    for round = 1, 2 do
      local bodies = {}
      loop.run(function()
        for i = 1, 50 do
          loop.spawn(function() bodies[i] = assert(client:request { url = url .. "/" .. i }).body end)
        end
      end)
      for i = 1, 50 do assert.equal("body " .. i, bodies[i]) end
      assert.is_true((server:connections()) <= 50 + (round - 1) * 18)
    end
    for _ = 1, 20 do assert(client:request { url = url .. "/1" }) end
    local before = server:connections()
    for _ = 1, 20 do assert(client:request { url = url .. "/1" }) end
    assert.equal(before, (server:connections()))
    client:close()
    server:wait_closed(before)
  end)

  it("sends again what may be sent again when a kept-alive connection dies under it, and nothing else", function()
    for method, times in pairs { GET = 2, HEAD = 2, PUT = 2, DELETE = 2, POST = 1, PATCH = 1 } do
      for _, body in ipairs { false, "x" } do
        local url, server = start {
          { path = "/first", reply = {} }, { path = "/x", connection = 1, reply = { raw = "" } },
          { path = "/x", reply = { body = "x" } },
        }
        local client <close> = http.client {}
        assert(client:request { url = url .. "/first" })
        local sent = method ~= "GET" and method ~= "HEAD" and body or nil
        local reply, err = client:request { method = method, url = url .. "/x", body = sent }
        if times == 2 then assert.equal(200, assert(reply).status) else assert.equal("interrupted", err.kind) end
        assert.equal(1 + times, #server:requests())
      end
    end
  end)

  it("does without descriptors for a while, and then goes on (fault 40)", function()
    local url = start { { reply = { body = "x" } } }
    local out = child.check([[
      local url = ...
      assert(http.request { url = url })
      local client = docker.connect { host = (url:gsub("^http", "tcp")) }
      local files = {}
      while true do
        local file = io.open("/dev/null")
        if not file then break end
        files[#files + 1] = file
      end
      local value, err = client:ping()
      print(value, err.kind)
      for _, file in ipairs(files) do file:close() end
      print(http.request { url = url }.status, (select(2, client:ping()).kind))
    ]], url)
    assert.equal("nil\tunreachable\n200\tprotocol\n", out)
  end)

  it("whose host is being looked up does not block the others, and may be closed (fault 46)", function()
    local out = child.check [[
      local client = http.client {}
      local order = {}
      loop.run(function()
        local task = loop.spawn(function()
          order[#order + 1] = select(2, client:request { url = "http://nowhere.invalid/" }).kind
        end)
        loop.sleep(0)
        client:close()
        task:join()
      end)
      print(order[1])
    ]]
    assert.is_true(out == "cancelled\n" or out == "unreachable\n")
  end)
end)

describe("http.client", function()
  after_each(env.cleanup)

  it("is closed by close, __close and the collector, in any order, and then refuses", function()
    local url, server = start { { reply = {} } }
    do
      local client <close> = http.client {}
      assert(client:request { url = url })
      client:close()
      client:close()
      local ok, err = pcall(function() return (client:request { url = url }) end)
      assert.is_false(ok)
      assert.matches("^spec/unit/http_spec.lua:%d+: the http client is closed", err)
    end
    assert(http.client {}:request { url = url })
    collectgarbage()
    collectgarbage()
    server:wait_closed(2)
  end)

  it("closed under its requests ends them", function()
    local url, server = start { { reply = { length = 9, body = { { wait = true } } } } }
    local kinds = {}
    loop.run(function()
      local client = http.client {}
      for i = 1, 5 do
        loop.spawn(function() kinds[i] = select(2, client:request { url = url, timeout = LONG }).kind end)
      end
      while #server:requests() < 5 do loop.sleep(0.002) end
      client:close()
    end)
    assert.same({ "cancelled", "cancelled", "cancelled", "cancelled", "cancelled" }, kinds)
    server:wait_closed(5)
  end)

  it("refuses what it does not know", function()
    assert.has_error(function() http.client { verfy = false } end)
    assert.has_error(function() http.client { verify = "no" } end)
    assert.has_error(function() http.client("x") end)
    assert.has_error(function() http.client {}.request({}, {}) end)
  end)

  it("goes with the Lua state, requests under way and all", function()
    local url = start { { reply = { length = 9, body = { { wait = true } } } } }
    assert.equal("", child.check([[
      local url = ...
      a = http.client {}
      loop.spawn(function() a:request { url = url } end)
      loop.spawn(function() http.request { url = url, ctx = docker.context { timeout = 60 } } end)
      loop.spawn(function() http.client {}:request { url = url } end)
      for _ = 1, 50 do loop.step(); loop.sleep(0.001) end
    ]], url))
  end)
end)

describe("TLS", function()
  after_each(env.cleanup)

  it("is verified, unless a client is told otherwise or given the CA", function()
    local registry = env.start_registry("--tls")
    local url = "https://" .. registry.host .. "/v2/"
    local _, err = http.request { url = url }
    assert.equal("unreachable", err.kind)
    assert.matches("certificate", err.message)
    assert.is_truthy(http.client { ca = registry.ca }:request { url = url })
    assert.is_truthy(http.client { verify = false }:request { url = url })
    _, err = http.client { ca = "/nonexistent.pem" }:request { url = url }
    assert.equal("unreachable", err.kind)
    assert.equal("unreachable", select(2, http.request { url = url }).kind)
  end)
end)
