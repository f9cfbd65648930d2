-- docker_watcher.docker.contexts: where the Engine is. Tables of cases on a file system of strings; the same on real
-- files that the docker command made, where it is installed.

local contexts = require "docker_watcher.docker.contexts"
local core = require "docker_watcher.core"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local errors = require "docker_watcher.error"
local json = require "docker_watcher.json"

local HOME = "/home/ann"
local CONFIG = HOME .. "/.docker"
local CLEAN = "unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH;"

--- A reader of the files in a table: path → bytes, or { "reason" } where it cannot be read.
local function reader_of(files)
  local function folder(path)
    for name in pairs(files) do
      if name:sub(1, #path + 1) == path .. "/" then return true end
    end
    return false
  end
  local function get(path)
    local bytes = files[path]
    if type(bytes) == "table" then return nil, bytes[1] end
    return bytes
  end
  return {
    read = get,
    exists = function(path)
      local bytes, reason = get(path)
      if reason then return nil, reason end
      return bytes ~= nil or folder(path)
    end,
    list = function(path)
      local names, seen = {}, {}
      for name in pairs(files) do
        local first = name:sub(1, #path + 1) == path .. "/" and name:sub(#path + 2):match "^[^/]+"
        if first and not seen[first] then names[#names + 1], seen[first] = first, true end
      end
      return names
    end,
  }
end

local function meta_path(name, folder)
  return ("%s/contexts/meta/%s/meta.json"):format(folder or CONFIG, core.sha256(name))
end

local function tls_path(name, file, folder)
  return ("%s/contexts/tls/%s/docker/%s.pem"):format(folder or CONFIG, core.sha256(name), file)
end

local function meta(name, host, skip)
  return json.encode { Name = name, Metadata = {}, Endpoints = { docker = { Host = host, SkipTLSVerify = skip } } }
end

--- Files of a home with contexts a (tcp, TLS), b (a socket, with TLS files all the same), c (tcp, no verification).
local function home(more)
  local files = {
    [meta_path "a"] = meta("a", "tcp://a:1", false), [tls_path("a", "ca")] = "x", [tls_path("a", "cert")] = "x",
    [tls_path("a", "key")] = "x",
    [meta_path "b"] = meta("b", "unix:///b.sock", false), [tls_path("b", "ca")] = "x",
    [meta_path "c"] = meta("c", "tcp://c:1", true),
    [meta_path "plain"] = meta("plain", "tcp://p:1", false),
    [CONFIG .. "/config.json"] = [[{ "currentContext": "b" }]],
  }
  for path, bytes in pairs(more or {}) do files[path] = bytes or nil end
  return files
end

local function resolve(options, environment, files)
  environment = environment or {}
  environment.HOME = environment.HOME or HOME
  return contexts.resolve(options or {}, function(name) return environment[name] end, reader_of(files or {}))
end

local A_TLS = { ca = tls_path("a", "ca"), cert = tls_path("a", "cert"), key = tls_path("a", "key"), verify = true }

describe("contexts.resolve", function()
  -- what, options, environment, files, host, name
  local choices = {
    { "nothing said: the local socket", {}, {}, {}, "unix:///var/run/docker.sock", "default" },
    { "the option", { host = "unix:///o" }, { DOCKER_HOST = "unix:///h" }, home(), "unix:///o", "default" },
    { "DOCKER_HOST beats DOCKER_CONTEXT", {}, { DOCKER_HOST = "unix:///h", DOCKER_CONTEXT = "a" }, home(), "unix:///h",
      "default" },
    { "DOCKER_HOST that is empty is none", {}, { DOCKER_HOST = "", DOCKER_CONTEXT = "a" }, home(), "tcp://a:1", "a" },
    { "DOCKER_CONTEXT beats currentContext", {}, { DOCKER_CONTEXT = "a" }, home(), "tcp://a:1", "a" },
    { "DOCKER_CONTEXT that is empty is none", {}, { DOCKER_CONTEXT = "" }, home(), "unix:///b.sock", "b" },
    { "currentContext", {}, {}, home(), "unix:///b.sock", "b" },
    { "the option context beats DOCKER_HOST", { context = "a" }, { DOCKER_HOST = "unix:///h" }, home(), "tcp://a:1",
      "a" },
    { "context default means what no context says", { context = "default" }, { DOCKER_HOST = "unix:///h" }, home(),
      "unix:///h", "default" },
    { "DOCKER_CONTEXT=default", {}, { DOCKER_CONTEXT = "default" }, home(), "unix:///var/run/docker.sock", "default" },
    { "currentContext default", {}, {}, { [CONFIG .. "/config.json"] = '{"currentContext":"default"}' },
      "unix:///var/run/docker.sock", "default" },
    { "currentContext empty", {}, {}, { [CONFIG .. "/config.json"] = '{"currentContext":""}' },
      "unix:///var/run/docker.sock", "default" },
    { "null, and names in other cases, as Go reads them", {}, {},
      { [CONFIG .. "/config.json"] = '{"auths":null,"CURRENTCONTEXT":"a"}', [meta_path "a"] =
        '{"name":"a","endpoints":{"docker":{"host":"tcp://a:1"}}}' }, "tcp://a:1", "a" },
    { "an empty config.json", {}, {}, { [CONFIG .. "/config.json"] = " \n" }, "unix:///var/run/docker.sock",
      "default" },
    { "DOCKER_HOST without a scheme, among blanks", {}, { DOCKER_HOST = " 127.0.0.1:2375\n" }, {},
      "tcp://127.0.0.1:2375", "default" },
    { "a context without a host: the local socket", {}, { DOCKER_CONTEXT = "x" },
      { [meta_path "x"] = '{"Endpoints":{"docker":{}}}' }, "unix:///var/run/docker.sock", "x" },
    { "a config.json that is broken does not matter where DOCKER_HOST decides", {}, { DOCKER_HOST = "tcp://h:1" },
      { [CONFIG .. "/config.json"] = "{" }, "tcp://h:1", "default" },
    { "nor where DOCKER_CONTEXT does", {}, { DOCKER_CONTEXT = "a" }, home { [CONFIG .. "/config.json"] = "{" },
      "tcp://a:1", "a" },
    { "a name of any bytes", { context = "../ö" }, {}, { [meta_path "../ö"] = meta("../ö", "tcp://n:1", false) },
      "tcp://n:1", "../ö" },
  }
  for _, case in ipairs(choices) do
    it("takes " .. case[1], function()
      local place, err = resolve(case[2], case[3], case[4])
      assert.is_nil(err, tostring(err))
      assert.same({ case[5], case[6] }, { place.host, place.name })
    end)
  end

  it("looks for the folder in config_dir, DOCKER_CONFIG and HOME, in this order", function()
    local files = {}
    for _, folder in ipairs { "/o", "/e", CONFIG } do
      files[folder .. "/config.json"] = [[{ "currentContext": "x" }]]
      files[meta_path("x", folder)] = meta("x", "unix://" .. folder, false)
    end
    assert.equal("unix:///o", resolve({ config_dir = "/o" }, { DOCKER_CONFIG = "/e" }, files).host)
    assert.equal("unix:///e", resolve({}, { DOCKER_CONFIG = "/e" }, files).host)
    assert.equal("unix://" .. CONFIG, resolve({}, { DOCKER_CONFIG = "" }, files).host)
  end)

  it("finds the home of a user without HOME", function()
    local asked = {}
    assert.equal("unix:///var/run/docker.sock", contexts.resolve({}, function() end, {
      read = function(path) asked[#asked + 1] = path end,
    }).host)
    assert.same({ core.home() .. "/.docker/config.json" }, asked)
  end)

  it("reads no file where host or DOCKER_HOST decide and no TLS is asked for", function()
    local function never(path) error("read " .. path) end
    local blind = { read = never, exists = never, list = never }
    for _, host in ipairs { "tcp://h:1", "ssh://h", "unix:///h" } do
      assert.equal(host, contexts.resolve({ host = host }, function() end, blind).host)
      assert.equal(host, contexts.resolve({}, function(n) return n == "DOCKER_HOST" and host or nil end, blind).host)
    end
  end)

  describe("TLS", function()
    local PEMS = { ["/pem/ca.pem"] = "x", ["/pem/cert.pem"] = "x", ["/pem/key.pem"] = "x" }
    local ALL = { ca = "/pem/ca.pem", cert = "/pem/cert.pem", key = "/pem/key.pem" }
    local function tls(verify, files)
      local expected = { verify = verify }
      for name, path in pairs(files or ALL) do expected[name] = path end
      return expected
    end
    -- what, options, environment, files, tls, host
    local cases = {
      { "none where nobody asks", { host = "tcp://h:1" }, { DOCKER_CERT_PATH = "/pem" }, PEMS, nil },
      { "DOCKER_TLS_VERIFY verifies", { host = "tcp://h:1" }, { DOCKER_TLS_VERIFY = "1", DOCKER_CERT_PATH = "/pem" },
        PEMS, tls(true) },
      { "whatever its value is", { host = "tcp://h:1" }, { DOCKER_TLS_VERIFY = "0", DOCKER_CERT_PATH = "/pem" }, PEMS,
        tls(true) },
      { "an empty value is none", { host = "tcp://h:1" }, { DOCKER_TLS_VERIFY = "", DOCKER_CERT_PATH = "/pem" }, PEMS,
        nil },
      { "DOCKER_TLS does not verify", { host = "tcp://h:1" }, { DOCKER_TLS = "1", DOCKER_CERT_PATH = "/pem" }, PEMS,
        tls(false) },
      { "both: verified", {}, { DOCKER_HOST = "tcp://h:1", DOCKER_TLS = "1", DOCKER_TLS_VERIFY = "1",
        DOCKER_CERT_PATH = "/pem" }, PEMS, tls(true) },
      { "https as well", { host = "https://h:1" }, { DOCKER_TLS_VERIFY = "1", DOCKER_CERT_PATH = "/pem" }, PEMS,
        tls(true) },
      { "http never", { host = "http://h:1" }, { DOCKER_TLS_VERIFY = "1", DOCKER_CERT_PATH = "/pem" }, PEMS, nil },
      { "sockets never", {}, { DOCKER_HOST = "unix:///s", DOCKER_TLS_VERIFY = "1" }, {}, nil },
      { "ssh never", { host = "ssh://h" }, { DOCKER_TLS_VERIFY = "1" }, {}, nil },
      { "the folder is the docker command's own by default", { host = "tcp://h:1" }, { DOCKER_TLS_VERIFY = "1" },
        { [CONFIG .. "/ca.pem"] = "x" }, tls(true, { ca = CONFIG .. "/ca.pem" }) },
      { "which DOCKER_CONFIG moves", { host = "tcp://h:1" }, { DOCKER_TLS_VERIFY = "1", DOCKER_CONFIG = "/e" },
        { ["/e/ca.pem"] = "x" }, tls(true, { ca = "/e/ca.pem" }) },
      { "a certificate without its key is none", { host = "tcp://h:1" }, { DOCKER_TLS_VERIFY = "1" },
        { [CONFIG .. "/ca.pem"] = "x", [CONFIG .. "/cert.pem"] = "x" }, tls(true, { ca = CONFIG .. "/ca.pem" }) },
      { "without verification no CA is needed", { host = "tcp://h:1" }, { DOCKER_TLS = "1" }, {}, tls(false, {}) },
      { "TLS and no host: the docker command's default", {}, { DOCKER_TLS_VERIFY = "1", DOCKER_CERT_PATH = "/pem" },
        PEMS, tls(true), "tcp://localhost:2376" },
      { "the option beats the environment", { host = "tcp://h:1", tls = { ca = "/my.pem" } },
        { DOCKER_TLS_VERIFY = "1" }, {}, { ca = "/my.pem" } },
      { "a context's own files", { context = "a" }, {}, home(), A_TLS },
      { "whatever the environment says", { context = "a" }, { DOCKER_TLS = "1", DOCKER_CERT_PATH = "/pem" }, home(PEMS),
        A_TLS },
      { "the option beats a context's files", { context = "a", tls = { verify = false } }, {}, home(),
        { verify = false } },
      { "a context's socket never", { context = "b" }, { DOCKER_TLS_VERIFY = "1" }, home(), nil },
      { "SkipTLSVerify", { context = "c" }, {}, home(), { verify = false } },
      { "a context without TLS, whatever the environment says", { context = "plain" },
        { DOCKER_TLS_VERIFY = "1", DOCKER_CERT_PATH = "/pem" }, home(PEMS), nil },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        local place, err = resolve(case[2], case[3], case[4])
        assert.is_nil(err, tostring(err))
        assert.same(case[5], place.tls)
        if case[6] then assert.equal(case[6], place.host) end
      end)
    end
  end)

  describe("fails where", function()
    -- what, options, environment, files, kind, words of the message
    local cases = {
      { "the option's context is missing", { context = "nope" }, {}, home(), "not_found",
        { "no docker context 'nope'", "the option 'context' names it", "there are: default, a, b, c, plain" } },
      { "DOCKER_CONTEXT's is", {}, { DOCKER_CONTEXT = "nope" }, {}, "not_found",
        { "DOCKER_CONTEXT names it", "there are: default" } },
      { "currentContext's is", {}, {}, { [CONFIG .. "/config.json"] = '{"currentContext":"gone"}' }, "not_found",
        { "'gone'", "currentContext in " .. CONFIG .. "/config.json" } },
      { "config.json is broken", {}, {}, { [CONFIG .. "/config.json"] = '{\n  "auths": {},\n  "x" 5\n}' }, "invalid",
        { CONFIG .. "/config.json: line 3, column 7: " } },
      { "config.json is no object", {}, {}, { [CONFIG .. "/config.json"] = "[1]" }, "invalid", { "object expected" } },
      { "currentContext is no string", {}, {}, { [CONFIG .. "/config.json"] = '{"currentContext":{}}' }, "invalid",
        { "currentContext: a string expected" } },
      { "config.json may not be read", {}, {}, { [CONFIG .. "/config.json"] = { "Permission denied" } }, "invalid",
        { CONFIG .. "/config.json: Permission denied" } },
      { "a context's file is broken", { context = "x" }, {}, { [meta_path "x"] = "{" }, "invalid",
        { "the docker context 'x'", meta_path "x", "line 1" } },
      { "it has no endpoint for docker", { context = "x" }, {}, { [meta_path "x"] = '{"Endpoints":{}}' }, "invalid",
        { "no endpoint for docker" } },
      { "its host is no string", { context = "x" }, {}, { [meta_path "x"] = '{"Endpoints":{"docker":{"Host":7}}}' },
        "invalid", { "Host: a string expected" } },
      { "its TLS files may not be looked at", { context = "plain" }, {},
        home { [("%s/contexts/tls/%s/docker"):format(CONFIG, core.sha256 "plain")] = { "Permission denied" } },
        "invalid", { "contexts/tls/", "Permission denied" } },
      { "a TLS file may not be read", { context = "a" }, {}, home { [tls_path("a", "key")] = { "Permission denied" } },
        "invalid", { tls_path("a", "key") .. ": Permission denied" } },
      { "DOCKER_TLS_VERIFY is set and there is no CA", { host = "tcp://h:1" }, { DOCKER_TLS_VERIFY = "1" }, {},
        "invalid", { "DOCKER_TLS_VERIFY is set", CONFIG .. "/ca.pem", "DOCKER_CERT_PATH" } },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        local place, err = resolve(case[2], case[3], case[4])
        assert.is_nil(place)
        assert.is_true(errors.is(err))
        assert.equal(case[5], err.kind, tostring(err))
        for _, words in ipairs(case[6]) do assert.truthy(tostring(err):find(words, 1, true), tostring(err)) end
      end)
    end

    it("there are many others: names twenty and counts the rest", function()
      local files = {}
      for i = 1, 50 do files[meta_path("c" .. i)] = meta("c" .. i, "tcp://h:1") end
      local _, err = resolve({ context = "x\27[31m" }, {}, files)
      assert.matches("default, c1, c10, .* and 31 more$", tostring(err))
      assert.truthy(tostring(err):find("'x?[31m'", 1, true))
    end)
  end)
end)

describe("docker.connect", function()
  after_each(env.cleanup)

  --- What a process with this environment gets from an expression; client is connect's.
  local function connect(environment, options, expression)
    return env.sh(("%s %s %s -e %s"):format(CLEAN, environment, env.lua, env.quote(([[
        local docker = require "docker_watcher.docker"
        local client, err = docker.connect(%s)
        io.write(%s)]]):format(options, expression or "tostring(client or err)"))))
  end

  it("goes where the context leads", function()
    local dir = env.tmpdir()
    local folder = ("%s/contexts/meta/%s"):format(dir, core.sha256 "here")
    env.run("mkdir -p " .. folder)
    env.write_file(folder .. "/meta.json", meta("here", "unix:///there.sock"))
    env.write_file(dir .. "/config.json", [[{ "currentContext": "here" }]])
    local config = "DOCKER_CONFIG=" .. env.quote(dir)
    assert.equal("docker client (unix:///there.sock)", connect(config, "{}").out)
    assert.equal("docker client (unix:///there.sock)", connect("", ("{ config_dir = %q }"):format(dir)).out)
    assert.equal("docker client (unix:///h.sock)", connect(config .. " DOCKER_HOST=unix:///h.sock", "{}").out)
    assert.equal("docker client (unix:///there.sock)",
      connect(config .. " DOCKER_HOST=unix:///h.sock", "{ context = 'here' }").out)
    local missing = connect(config, "{ context = 'her' }").out
    assert.matches("^connect: there is no docker context 'her' .*there are: default, here$", missing)
    assert.equal("not_found connect her",
      connect(config, "{ context = 'her' }", "err.kind .. ' ' .. err.op .. ' ' .. err.subject").out)
  end)

  it("names who gave a host that is none, and raises only where it is the caller's", function()
    local out = connect("DOCKER_HOST=npipe:////./pipe/docker_engine", "{}", "err.kind .. ' ' .. tostring(err)").out
    assert.matches("^invalid connect: host 'npipe://[^']*' %(of DOCKER_HOST%): npipe:// is for Windows", out)
    local secret = connect("DOCKER_HOST=tcp://u:hunter2@h:1", "{}").out
    assert.matches("^connect: host %(of DOCKER_HOST%): ", secret)
    assert.is_nil(secret:find("hunter2", 1, true))
    local dir = env.tmpdir()
    local folder = ("%s/contexts/meta/%s"):format(dir, core.sha256 "w")
    env.run("mkdir -p " .. folder)
    env.write_file(folder .. "/meta.json", meta("w", "nonsense"))
    assert.matches("^connect: host 'nonsense' %(of the docker context 'w'%): ",
      connect("DOCKER_CONTEXT=w DOCKER_CONFIG=" .. env.quote(dir), "{}").out)
  end)

  local misuse = {
    { { host = "nonsense" }, "connect: host 'nonsense': " },
    { { host = "" }, "connect: option 'host': it is empty" },
    { { context = "" }, "connect: option 'context': it is empty" },
    { { config_dir = "" }, "connect: option 'config_dir': it is empty" },
    { { host = "unix:///x", context = "y" }, "connect: 'host' and 'context' both say" },
    { { contxt = "y" }, "connect: unknown option 'contxt' (did you mean 'context'?)" },
    { { context = 5 }, "connect: option 'context': string expected, got 5" },
    { { ctx = docker.context {} }, "connect: unknown option 'ctx'" },
    { { helper_timeout = "1" }, "connect: option 'helper_timeout': seconds" },
    { { tls = { verfy = true }, host = "tcp://h" }, "connect: tls: unknown option 'verfy' (did you mean 'verify'?)" },
  }
  for _, case in ipairs(misuse) do
    it("raises at the caller's line: " .. case[2], function()
      local line = debug.getinfo(1, "l").currentline + 1
      local ok, text = pcall(function() return (docker.connect(case[1])) end)
      assert.is_false(ok)
      assert.truthy(text:find(("contexts_spec.lua:%d: %s"):format(line, case[2]), 1, true), text)
    end)
  end
end)

describe("beside the docker command", function()
  after_each(env.cleanup)

  local installed = env.sh("docker context --help").ok

  it("finds the contexts that it makes, and chooses as it does", function()
    if not installed then return pending("the docker command is not installed") end
    local dir = env.tmpdir()
    local config = dir .. "/config"
    env.run(("mkdir -p %s/pem && cd %s/pem && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 2 "
      .. "-keyout key.pem -out cert.pem 2>/dev/null && cp cert.pem ca.pem"):format(dir, dir))
    local function cli(command, environment)
      return env.run(("%s DOCKER_CONFIG=%s %s docker %s"):format(CLEAN, config, environment or "", command))
    end
    cli "context create sock --docker host=unix:///tmp/sock.sock"
    cli "context create Plain.tcp_1 --docker host=tcp://127.0.0.1:1"
    cli(("context create tls --docker host=tcp://127.0.0.1:2,ca=%s/pem/ca.pem,cert=%s/pem/cert.pem,key=%s/pem/key.pem")
      :format(dir, dir, dir))
    cli(("context create skip --docker host=tcp://127.0.0.1:3,skip-tls-verify=true,ca=%s/pem/ca.pem"):format(dir))
    cli "context use sock"

    -- The same environment for both; the docker command tells what it resolved to. No empty variables: for 20.10 they
    -- were not as good as unset.
    local cases = {
      {}, { DOCKER_CONTEXT = "tls" }, { DOCKER_CONTEXT = "skip" }, { DOCKER_CONTEXT = "Plain.tcp_1" },
      { DOCKER_CONTEXT = "default" }, { DOCKER_HOST = "tcp://127.0.0.1:9" },
      { DOCKER_HOST = "unix:///tmp/h.sock", DOCKER_CONTEXT = "tls" },
      { DOCKER_HOST = "127.0.0.1:9" }, { DOCKER_CONTEXT = "missing" },
      { DOCKER_CONTEXT = "default", DOCKER_TLS_VERIFY = "1", DOCKER_CERT_PATH = dir .. "/pem" },
      { DOCKER_HOST = "tcp://127.0.0.1:9", DOCKER_TLS_VERIFY = "1", DOCKER_CERT_PATH = dir .. "/pem" },
      { DOCKER_HOST = "tcp://127.0.0.1:9", DOCKER_TLS = "1", DOCKER_CERT_PATH = dir .. "/pem" },
      { DOCKER_HOST = "tcp://127.0.0.1:9", DOCKER_TLS_VERIFY = "1" },
    }
    for _, environment in ipairs(cases) do
      local words = {}
      for name, value in pairs(environment) do words[#words + 1] = name .. "=" .. env.quote(value) end
      local line = table.concat(words, " ")
      local theirs = env.sh(("%s DOCKER_CONFIG=%s %s docker context inspect --format '%s'"):format(CLEAN, config, line,
        "{{.Name}} {{.Endpoints.docker.Host}} {{.Endpoints.docker.SkipTLSVerify}}"))
      environment.DOCKER_CONFIG = config
      local place = contexts.resolve({}, function(name) return environment[name] end)
      if theirs.ok then
        local name, host, skip = theirs.out:match "^(%S+) (%S+) (%S+)\n$"
        assert.same({ name, host }, place and { place.name, place.host }, line)
        assert.equal(skip == "true", place.tls ~= nil and place.tls.verify == false, line)
      else
        assert.is_nil(place, line .. theirs.err)
      end
    end
    local tls = contexts.resolve({ context = "tls", config_dir = config }, os.getenv).tls
    for _, name in ipairs { "ca", "cert", "key" } do
      assert.equal(env.read_file(("%s/pem/%s.pem"):format(dir, name)), env.read_file(tls[name]))
    end
    assert.is_true(tls.verify)
  end)
end)
