-- docker_watcher.docker.credentials: which credentials a registry gets. The rules with files and helpers of strings;
-- then real helper programs, and bad ones.

local credentials = require "docker_watcher.docker.credentials"
local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local errors = require "docker_watcher.error"
local json = require "docker_watcher.json"
local loop = require "docker_watcher.loop"

local HUB = "https://index.docker.io/v1/"

local function b64(text) return env.run("base64 -w 0", text) end

-- A process for each is slow; all of these are used many times.
local ENCODED = {}
for _, pair in ipairs { "ann:secret", "bob:a:b:c", "ann:", "ann:secret\0\0", "h:hub", "ann:p\0q", "noColon", ":nouser",
  "ann:\xff\xfe" } do
  ENCODED[pair] = b64(pair)
end

--- What is configured by this config.json (a table or text) and this DOCKER_AUTH_CONFIG.
local function load(content, variable)
  if type(content) == "table" then content = json.encode(content) end
  if type(variable) == "table" then variable = json.encode(variable) end
  local environment = { DOCKER_AUTH_CONFIG = variable, DOCKER_CONFIG = "/c" }
  return credentials.load(nil, function(name) return environment[name] end, {
    read = function(path)
      assert.equal("/c/config.json", path)
      return content
    end,
  })
end

--- A run that answers by the helper's name, action and input; `asked` lists what it was asked.
local function helpers(answers, asked)
  return function(wanted)
    assert.equal(2, #wanted.argv)
    local name = wanted.argv[1]:match "^docker%-credential%-(.*)$"
    local question = ("%s %s %s"):format(name, wanted.argv[2], wanted.stdin)
    if asked then asked[#asked + 1] = question end
    local answer = answers[question] or { status = 1, stdout = "credentials not found in native keychain\n" }
    if answer.kind then return nil, answer end
    answer.stderr = answer.stderr or ""
    return answer
  end
end

local function gives(username, secret)
  return { status = 0, stdout = json.encode { ServerURL = "whatever", Username = username, Secret = secret } }
end

local function lookup(content, variable, registry, answers, asked)
  local config, err = load(content, variable)
  if not config then return nil, err end
  return credentials.lookup(config, registry, helpers(answers or {}, asked))
end

local function basic(pair) return { auth = ENCODED[pair] } end

local function auth(username, password, server)
  return { username = username, password = password, serveraddress = server }
end

describe("credentials.lookup", function()
  -- what, config.json, DOCKER_AUTH_CONFIG, registry, auth, source, answers of helpers
  local cases = {
    { "no file: none", nil, nil, "r.io", nil, "none for r.io in /c/config.json" },
    { "an empty file: none", "", nil, "r.io", nil, "none for r.io" },
    { "another registry's", { auths = { ["q.io"] = basic "ann:secret" } }, nil, "r.io", nil, "none for r.io" },
    { "auth", { auths = { ["r.io"] = basic "ann:secret" } }, nil, "r.io", auth("ann", "secret", "r.io"),
      'auths["r.io"] in /c/config.json' },
    { "auth, split at the first colon", { auths = { ["r.io:5000"] = basic "bob:a:b:c" } }, nil, "r.io:5000",
      auth("bob", "a:b:c", "r.io:5000") },
    { "NULs behind it cut off", { auths = { ["r.io"] = basic "ann:secret\0\0" } }, nil, "r.io",
      auth("ann", "secret", "r.io") },
    { "line ends in base64", { auths = { ["r.io"] = { auth = ENCODED["ann:secret"]:sub(1, 4) .. "\r\n"
      .. ENCODED["ann:secret"]:sub(5) } } }, nil, "r.io", auth("ann", "secret", "r.io") },
    { "username and password", { auths = { ["r.io"] = { username = "u", password = "p" } } }, nil, "r.io",
      auth("u", "p", "r.io") },
    { "auth beats username and password", { auths = { ["r.io"] = { username = "u", password = "p",
      auth = ENCODED["ann:secret"] } } }, nil, "r.io", auth("ann", "secret", "r.io") },
    { "an identity token beside an empty password", { auths = { ["r.io"] = { auth = ENCODED["ann:"],
      identitytoken = "tok" } } }, nil, "r.io",
      { username = "ann", password = "", identitytoken = "tok", serveraddress = "r.io" } },
    { "a registry token", { auths = { ["r.io"] = { registrytoken = "tok" } } }, nil, "r.io",
      { registrytoken = "tok", serveraddress = "r.io" } },
    { "an entry that is empty: none", { auths = { ["r.io"] = json.decode "{}" } }, nil, "r.io", nil,
      'auths["r.io"] in /c/config.json is empty' },
    { "fields in other cases, nulls", '{"Auths":{"r.io":{"Auth":"' .. ENCODED["ann:secret"]
      .. '","identitytoken":null}},"credHelpers":null,"credsStore":null}', nil, "r.io", auth("ann", "secret", "r.io") },
    -- older keys
    { "a key with a scheme", { auths = { ["https://r.io"] = basic "ann:secret" } }, nil, "r.io",
      auth("ann", "secret", "r.io"), 'auths["https://r.io"]' },
    { "a key with scheme and path", { auths = { ["http://r.io:5000/v1/"] = basic "ann:secret" } }, nil, "r.io:5000",
      auth("ann", "secret", "r.io:5000") },
    { "a key with a path", { auths = { ["r.io/v2/x"] = basic "ann:secret" } }, nil, "r.io",
      auth("ann", "secret", "r.io") },
    { "the plain key beats an older one", { auths = { ["https://r.io/v1/"] = basic "bob:a:b:c",
      ["r.io"] = basic "ann:secret" } }, nil, "r.io", auth("ann", "secret", "r.io") },
    { "IPv6", { auths = { ["https://[::1]:5000/v2/"] = basic "ann:secret" } }, nil, "[::1]:5000",
      auth("ann", "secret", "[::1]:5000") },
    { "another port is another registry", { auths = { ["r.io:5000"] = basic "ann:secret" } }, nil, "r.io", nil },
    { "so is a host that only ends or begins alike", { auths = { ["xr.io"] = basic "ann:secret",
      ["r.io.x"] = basic "ann:secret", ["https://x/r.io"] = basic "ann:secret" } }, nil, "r.io", nil },
    -- Docker Hub
    { "Docker Hub by its key", { auths = { [HUB] = basic "h:hub" } }, nil, "docker.io", auth("h", "hub", HUB) },
    { "and by its other name", { auths = { [HUB] = basic "h:hub" } }, nil, "index.docker.io", auth("h", "hub", HUB) },
    { "Docker Hub by a name that people write", { auths = { ["docker.io"] = basic "h:hub" } }, nil, "docker.io",
      auth("h", "hub", HUB) },
    { "its key beats that", { auths = { ["docker.io"] = basic "bob:a:b:c", [HUB] = basic "h:hub" } }, nil, "docker.io",
      auth("h", "hub", HUB) },
    -- helpers
    { "credHelpers", { credHelpers = { ["r.io"] = "x" } }, nil, "r.io", auth("u", "s", "r.io"),
      'docker-credential-x (credHelpers["r.io"] in /c/config.json)', { ["x get r.io"] = gives("u", "s") } },
    { "credHelpers beats credsStore and auths", { credHelpers = { ["r.io"] = "x" }, credsStore = "y",
      auths = { ["r.io"] = basic "ann:secret" } }, nil, "r.io", auth("u", "s", "r.io"), nil,
      { ["x get r.io"] = gives("u", "s"), ["y get r.io"] = gives("no", "no") } },
    { "only for just that host", { credHelpers = { ["*.io"] = "x", ["r.io:443"] = "x", ["https://r.io"] = "x" } }, nil,
      "r.io", nil, "none for r.io" },
    { "credHelpers for Docker Hub", { credHelpers = { [HUB] = "x" } }, nil, "docker.io", auth("u", "s", HUB), nil,
      { ["x get " .. HUB] = gives("u", "s") } },
    { "credsStore", { credsStore = "y", auths = { ["r.io"] = json.decode "{}" } }, nil, "r.io",
      auth("u", "s", "r.io"), "docker-credential-y (credsStore in /c/config.json)",
      { ["y get r.io"] = gives("u", "s") } },
    { "credsStore and Docker Hub", { credsStore = "y" }, nil, "docker.io", auth("u", "s", HUB), nil,
      { ["y get " .. HUB] = gives("u", "s") } },
    { "a helper that has none is no error, and no reason to look further", { credsStore = "y",
      auths = { ["r.io"] = basic "ann:secret" } }, nil, "r.io", nil,
      "docker-credential-y (credsStore in /c/config.json) has none for r.io" },
    { "a helper that gives empty words has none", { credsStore = "y" }, nil, "r.io", nil, "has none for r.io",
      { ["y get r.io"] = gives("", "") } },
    { "an empty name in credHelpers: auths", { credsStore = "y", credHelpers = { ["r.io"] = "" },
      auths = { ["r.io"] = basic "ann:secret" } }, nil, "r.io", auth("ann", "secret", "r.io") },
    { "an identity token from a helper", { credsStore = "y" }, nil, "r.io",
      { identitytoken = "tok", serveraddress = "r.io" }, nil, { ["y get r.io"] = gives("<token>", "tok") } },
    { "an answer with names in other cases", { credsStore = "y" }, nil, "r.io", auth("u", "s", "r.io"), nil,
      { ["y get r.io"] = { status = 0, stdout = ' {"username":"u","SECRET":"s"}\n' } } },
    -- DOCKER_AUTH_CONFIG
    { "DOCKER_AUTH_CONFIG beats all", { credHelpers = { ["r.io"] = "x" }, auths = { ["r.io"] = basic "bob:a:b:c" } },
      { auths = { ["r.io"] = basic "ann:secret" } }, "r.io", auth("ann", "secret", "r.io"), "DOCKER_AUTH_CONFIG" },
    { "and leaves the rest to the file", { auths = { ["r.io"] = basic "bob:a:b:c" } },
      { auths = { ["q.io"] = basic "ann:secret" } }, "r.io", auth("bob", "a:b:c", "r.io") },
    { "empty, it is unset", { auths = { ["r.io"] = basic "bob:a:b:c" } }, "", "r.io", auth("bob", "a:b:c", "r.io") },
    { "with no auths", { auths = { ["r.io"] = basic "bob:a:b:c" } }, "{}", "r.io", auth("bob", "a:b:c", "r.io") },
  }
  for _, case in ipairs(cases) do
    it("finds: " .. case[1], function()
      local found, err = lookup(case[2], case[3], case[4], case[7])
      assert.is_nil(err, tostring(err))
      assert.same(case[5], found.auth)
      assert.truthy(found.source:find(case[6] or "", 1, true), found.source)
    end)
  end

  it("asks a helper once, with the key on its input, a deadline and a cap", function()
    local config = assert(load { credsStore = "y" })
    local seen
    credentials.lookup(config, "r.io", function(wanted)
      seen = wanted
      return { status = 0, stdout = "{}" }
    end)
    assert.same({ argv = { "docker-credential-y", "get" }, stdin = "r.io", timeout = 30, max_output = 1 << 20 }, seen)
    credentials.lookup(config, "r.io", function(wanted)
      seen = wanted
      return { status = 0, stdout = "{}" }
    end, { timeout = 3, deadline = loop.now() + 100 })
    assert.equal(3, seen.timeout)
    credentials.lookup(config, "r.io", function(wanted)
      seen = wanted
      return { status = 0, stdout = "{}" }
    end, { deadline = loop.now() - 1 })
    assert.equal(0, seen.timeout)
  end)

  local SECRET = "hunter2"
  local FOUND_LONG = ("x"):rep(16385)
  -- what, config.json, DOCKER_AUTH_CONFIG, kind, words of the message, answer of helper y
  local bad = {
    { "broken JSON", '{"auths":{"r.io":{"auth":"hunter2"}},}', nil, "invalid",
      { "/c/config.json: line 1, column 38" } },
    { "JSON cut off", '{"auths":{"r.io":{"auth":"hunter2', nil, "invalid", { "/c/config.json: line 1" } },
    { "no object", '"hunter2"', nil, "invalid", { "/c/config.json: a JSON object expected" } },
    { "auths is a list", '{"auths":["hunter2"]}', nil, "invalid", { "/c/config.json: auths: an object expected" } },
    { "credHelpers is text", '{"credHelpers":"hunter2"}', nil, "invalid", { "credHelpers: an object expected" } },
    { "credsStore is a number", '{"credsStore":7}', nil, "invalid", { "credsStore: a string expected" } },
    { "an entry is text", '{"auths":{"r.io":"hunter2"}}', nil, "invalid", { 'r.io: an object expected' } },
    { "auth is a number", '{"auths":{"r.io":{"auth":7}}}', nil, "invalid",
      { 'auths["r.io"] in /c/config.json: auth' } },
    { "auth is no base64", '{"auths":{"r.io":{"auth":"hunter2!"}}}', nil, "invalid", { "standard base64 expected" } },
    { "auth lacks padding", { auths = { ["r.io"] = { auth = "YW5uOnNlY3JldA" } } }, nil, "invalid",
      { "standard base64 expected" } },
    { "auth is url-safe base64", { auths = { ["r.io"] = { auth = "YW5uOj8_Pz8-" } } }, nil, "invalid",
      { "standard base64 expected" } },
    { "auth holds no colon", { auths = { ["r.io"] = basic "noColon" } }, nil, "invalid",
      { "base64 of user:password" } },
    { "auth holds no user", { auths = { ["r.io"] = basic ":nouser" } }, nil, "invalid", { "base64 of user:password" } },
    { "a NUL in the password", { auths = { ["r.io"] = basic "ann:p\0q" } }, nil, "invalid", { "password has a NUL" } },
    { "a password that JSON cannot carry", { auths = { ["r.io"] = basic "ann:\xff\xfe" } }, nil, "invalid",
      { "password is not UTF-8" } },
    { "a password longer than any", { auths = { ["r.io"] = { username = "u", password = FOUND_LONG } } }, nil,
      "invalid", { "password is longer than 16384 bytes" } },
    { "a helper's name with a slash", { credsStore = "../../tmp/x" }, nil, "invalid", { "plain name of a helper" } },
    { "a helper's name with a blank", { credHelpers = { ["r.io"] = "x -f" } }, nil, "invalid",
      { 'credHelpers["r.io"] in /c/config.json', "plain name" } },
    { "a helper's name that is a number", { credHelpers = { ["r.io"] = 7 } }, nil, "invalid", { "plain name" } },
    { "DOCKER_AUTH_CONFIG is broken", nil, "{hunter2", "invalid", { "DOCKER_AUTH_CONFIG: line 1" } },
    { "DOCKER_AUTH_CONFIG has more than auths", nil, '{"auths":{},"credsStore":"hunter2"}', "invalid",
      { "DOCKER_AUTH_CONFIG: only auths is known there, not credsStore" } },
    { "DOCKER_AUTH_CONFIG has more than auth", nil, '{"auths":{"q.io":{"auth":"' .. ENCODED["ann:secret"]
      .. '","email":"hunter2"}}}', "invalid", { 'DOCKER_AUTH_CONFIG: auths["q.io"]: only auth' } },
    { "DOCKER_AUTH_CONFIG has an entry without auth", nil, '{"auths":{"q.io":{}}}', "invalid",
      { 'auths["q.io"]: auth is missing' } },
    { "DOCKER_AUTH_CONFIG has text for an entry", nil, '{"auths":{"q.io":"hunter2"}}', "invalid",
      { 'auths["q.io"]: an object expected' } },
    { "a helper that fails, with a secret on both outputs", { credsStore = "y" }, nil, "unauthorized",
      { "docker-credential-y get (credsStore in /c/config.json) ended with status 1", "by hand" },
      { status = 1, stdout = "password hunter2 is bad", stderr = "hunter2" } },
    { "a helper that says what is known to be safe", { credsStore = "y" }, nil, "unauthorized",
      { "status 1: no credentials server URL" }, { status = 1, stdout = "no credentials server URL\n" } },
    { "a helper that says that it has none, and more", { credsStore = "y" }, nil, "unauthorized", { "status 1" },
      { status = 1, stdout = "credentials not found in native keychain hunter2" } },
    { "a helper that was killed", { credsStore = "y" }, nil, "unauthorized", { "ended with signal SIGSEGV" },
      { signal = "SIGSEGV", stdout = "credentials not found in native keychain" } },
    { "a helper that prints no JSON", { credsStore = "y" }, nil, "unauthorized", { "its answer is not what" },
      { status = 0, stdout = "hunter2" } },
    { "a helper that prints nothing", { credsStore = "y" }, nil, "unauthorized", { "its answer is not what" },
      { status = 0, stdout = "" } },
    { "a helper with a number for a secret", { credsStore = "y" }, nil, "unauthorized", { "its answer is not what" },
      { status = 0, stdout = '{"Username":"u","Secret":7}' } },
    { "a helper with a NUL in the secret", { credsStore = "y" }, nil, "unauthorized", { "has a NUL" },
      { status = 0, stdout = '{"Username":"u","Secret":"hunter2\\u0000"}' } },
    { "a helper that is not there", { credsStore = "y" }, nil, "unauthorized",
      { "docker-credential-y get (credsStore in /c/config.json): there is no such program in PATH" },
      errors.new("not_found", "process.run docker-credential-y: there is no such program in PATH") },
    { "a helper that takes too long", { credsStore = "y" }, nil, "timeout", { "docker-credential-y", "killed" },
      errors.new("timeout", "process.run docker-credential-y: did not end and was killed") },
    { "a helper that prints too much", { credsStore = "y" }, nil, "too_large", { "docker-credential-y" },
      errors.new("too_large", "process.run docker-credential-y: printed more") },
    { "a helper in a call that is cancelled", { credsStore = "y" }, nil, "cancelled", { "docker-credential-y" },
      errors.new("cancelled", "process.run docker-credential-y: cancelled") },
  }
  for _, case in ipairs(bad) do
    it("fails on: " .. case[1], function()
      local found, err = lookup(case[2], case[3], "r.io", { ["y get r.io"] = case[6], ["y list "] = case[6] })
      assert.is_nil(found)
      assert.is_true(errors.is(err))
      assert.equal(case[4], err.kind, tostring(err))
      for _, words in ipairs(case[5]) do assert.truthy(tostring(err):find(words, 1, true), tostring(err)) end
      assert.is_nil(tostring(err):find(SECRET, 1, true), tostring(err))
    end)
  end

  it("lets another registry's broken entry be", function()
    local found = assert(lookup({ auths = { ["q.io"] = { auth = "!" }, ["r.io"] = basic "ann:secret" } }, nil, "r.io"))
    assert.equal("ann", found.auth.username)
  end)
end)

describe("credentials.all", function()
  local function all(content, variable, answers, asked)
    return credentials.all(assert(load(content, variable)), helpers(answers or {}, asked))
  end

  it("is every entry of auths that holds something, by its key", function()
    assert.same({
      ["r.io"] = auth("ann", "secret", "r.io"), ["https://q.io/v1/"] = auth("bob", "a:b:c", "https://q.io/v1/"),
      [HUB] = auth("h", "hub", HUB),
    }, (all { auths = {
      ["r.io"] = basic "ann:secret", ["https://q.io/v1/"] = basic "bob:a:b:c", [HUB] = basic "h:hub",
      ["empty.io"] = json.decode "{}",
    } }))
    assert.same({}, (all(nil)))
  end)

  it("is what the helper of credsStore lists, credHelpers over it, DOCKER_AUTH_CONFIG over all", function()
    local asked = {}
    local found, problems = all({
      auths = { ["not.io"] = basic "ann:secret" }, credsStore = "y", credHelpers = { ["b.io"] = "x", ["c.io"] = "x" },
    }, { auths = { ["c.io"] = basic "ann:secret" } }, {
      ["y list "] = { status = 0, stdout = '{"a.io":"u","b.io":"u","gone.io":"u"}' },
      ["y get a.io"] = gives("a", "1"), ["y get b.io"] = gives("b", "2"), ["x get b.io"] = gives("b", "3"),
    }, asked)
    assert.same({ ["a.io"] = auth("a", "1", "a.io"), ["b.io"] = auth("b", "3", "b.io"),
      ["c.io"] = auth("ann", "secret", "c.io") }, found)
    assert.same({}, problems)
    assert.same({ "y list ", "y get a.io", "y get b.io", "y get gone.io", "x get b.io" }, asked)
  end)

  it("leaves out helpers of credHelpers that fail, and says so", function()
    local found, problems = all({ credHelpers = { ["a.io"] = "x", ["b.io"] = "x" } }, nil, {
      ["x get a.io"] = { status = 2, stdout = "hunter2" }, ["x get b.io"] = gives("b", "3"),
    })
    assert.same({ ["b.io"] = auth("b", "3", "b.io") }, found)
    assert.equal(1, #problems)
    assert.matches('^docker%-credential%-x get %(credHelpers%["a.io"%] in /c/config.json%) ended with status 2',
      tostring(problems[1]))
  end)

  it("fails where credsStore's helper does, an entry is broken, or the call is cancelled", function()
    local found, err = all({ credsStore = "y" }, nil, { ["y list "] = { status = 2, stdout = "hunter2" } })
    assert.is_nil(found)
    assert.equal("unauthorized", err.kind)
    found, err = all({ credsStore = "y" }, nil, { ["y list "] = { status = 0, stdout = "hunter2" } })
    assert.is_nil(found)
    assert.matches("its list is not", tostring(err))
    found, err = all { auths = { ["r.io"] = { auth = "!" } } }
    assert.is_nil(found)
    assert.equal("invalid", err.kind)
    found, err = all({ credHelpers = { ["a.io"] = "x" } }, nil, { ["x get a.io"] = errors.new("cancelled", "enough") })
    assert.is_nil(found)
    assert.equal("cancelled", err.kind)
  end)
end)

describe("real helpers", function()
  after_each(env.cleanup)

  -- Helpers are found by PATH, which only a new process can have changed.
  local function in_process(scripts, content, body, head)
    local dir = env.tmpdir()
    for name, text in pairs(scripts) do
      local path = ("%s/docker-credential-%s"):format(dir, name)
      env.write_file(path, text)
      env.run("chmod +x " .. path)
    end
    env.write_file(dir .. "/config.json", json.encode(content))
    local code = (head or "") .. [[
      local credentials = require "docker_watcher.docker.credentials"
      local loop = require "docker_watcher.loop"
      local docker = require "docker_watcher.docker"
      local config = assert(credentials.load())
      local function show(found, err)
        if not found then return ("%s: %s"):format(err.kind, err) end
        local a = found.auth or {}
        return ("%s %s %s"):format(a.username, a.password, a.identitytoken)
      end
      ]] .. body
    env.write_file(dir .. "/main.lua", code)
    local result = env.sh(("unset DOCKER_AUTH_CONFIG; export DOCKER_CONFIG=%s PATH=%s:$PATH; %s %s/main.lua"):format(
      dir, dir, env.lua, dir))
    assert.is_true(result.ok, result.err .. result.out)
    return result.out, dir
  end

  local GOOD = [[#!/bin/sh
[ "$1" = get ] || exit 9
read -r key
printf '{"ServerURL":"%s","Username":"for %s","Secret":"s"}' "$key" "$key"
]]

  it("are asked, in plain Lua and in tasks, without a shell", function()
    local out, dir = in_process({ good = GOOD }, { credsStore = "good" }, [[
      print(show(credentials.lookup(config, "r.io:5000")))
      print(show(credentials.lookup(config, "$(touch $DOCKER_CONFIG/pwned);`id`")))
      local turns = 0
      print(loop.run(function()
        local task = loop.spawn(function() return show(credentials.lookup(config, "docker.io")) end)
        return task:join()
      end))]])
    assert.equal("for r.io:5000 s nil\nfor $(touch $DOCKER_CONFIG/pwned);`id` s nil\nfor " .. HUB .. " s nil\n", out)
    assert.is_false(env.sh("test -e " .. dir .. "/pwned").ok)
  end)

  it("that hang are killed with what they started, and the loop goes on meanwhile", function()
    local hang = [[#!/bin/sh
sleep 1000 &
echo $! >"$DOCKER_CONFIG/pid"
wait
]]
    local out, dir = in_process({ hang = hang }, { credsStore = "hang" }, [[
      loop.run(function()
        local turns, ended = 0, false
        loop.spawn(function() while not ended do loop.sleep(0.01) turns = turns + 1 end end)
        print(show(credentials.lookup(config, "r.io", nil, { timeout = 0.5 })))
        ended = true
        print(turns > 3)
      end)
      local ctx = docker.context { timeout = 0.2 }
      print(show(credentials.lookup(config, "r.io", nil, { ctx = ctx })))]])
    local both = "^timeout: docker%-credential%-hang get [^\n]* killed\ntrue\n%l+: docker%-credential%-hang get "
    assert.matches(both, out)
    local pid = env.read_file(dir .. "/pid"):match "%d+"
    env.wait(5, "the end of what the helper started", function() return not env.sh("kill -0 " .. pid).ok end)
  end)

  it("that print a gigabyte are stopped at the cap", function()
    local out = in_process({ much = "#!/bin/sh\nhead -c 1073741824 /dev/zero\n" }, { credsStore = "much" }, [[
      print(show(credentials.lookup(config, "r.io")))
      for line in io.lines "/proc/self/status" do
        if line:find "^VmHWM" then print(tonumber(line:match "%d+") < MOST) end
      end]], ("MOST=%d;"):format(env.build:find "asan" and 400000 or 40000))
    assert.matches("^too_large: docker%-credential%-much get .*\ntrue\n$", out)
  end)

  it("that fail with secrets on both outputs, are missing or may not be run: no word of theirs is told", function()
    local out = in_process({
      loud = "#!/bin/sh\necho 'the password is hunter2'; echo 'hunter2' >&2; exit 1\n",
      none = "#!/bin/sh\necho 'credentials not found in native keychain'; exit 1\n", broken = "\1\2",
    }, { credHelpers = { ["l.io"] = "loud", ["m.io"] = "missing", ["n.io"] = "none", ["b.io"] = "broken" } }, [[
      for _, registry in ipairs { "l.io", "m.io", "n.io", "b.io" } do
        print(show(credentials.lookup(config, registry)))
      end]])
    assert.is_nil(out:find("hunter2", 1, true), out)
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.matches('^unauthorized: docker%-credential%-loud get %(credHelpers%["l.io"%] in .*%) ended with status 1; ',
      lines[1])
    assert.matches("^unauthorized: docker%-credential%-missing get .*no such program", lines[2])
    assert.equal("nil nil nil", lines[3])
    assert.matches("^unauthorized: docker%-credential%-broken get ", lines[4])
  end)

  it("may take their own time, helper_timeout of connect, within the call's", function()
    local out = in_process({ hang = "#!/bin/sh\nexec sleep 1000\n" }, { credsStore = "hang" }, [[
      local client = docker.connect { host = "unix:///nonexistent.sock", helper_timeout = 0.2 }
      local began = loop.now()
      for _, options in ipairs { {}, { timeout = 1000 } } do
        local _, err = client:pull_image("r.io/a/b", "1", options)
        print(err.kind, err.op, err.subject, err)
      end
      client = docker.connect { host = "unix:///nonexistent.sock" }
      print(select(2, client:pull_image("r.io/a/b:1", nil, { timeout = 0.2 })).kind)
      print(loop.now() - began < 20)]])
    local line = "timeout\tpull_image\tr.io/a/b:1\tpull_image r.io/a/b:1: docker-credential-hang get [^\n]*\n"
    assert.matches("^" .. (line .. line):gsub("%-", "%%-"):gsub("%[^\n%]%*", "[^\n]*") .. "timeout\ntrue\n$", out)
  end)
end)

describe("pull_image", function()
  after_each(env.cleanup)

  it("checks its arguments before it looks for credentials", function()
    local dir = env.tmpdir()
    env.write_file(dir .. "/config.json", "broken")
    local client <close> = docker.connect { host = "unix:///nonexistent.sock", config_dir = dir }
    local cases = {
      { { "A:B:C" }, "image 'A:B:C'" }, { { "a", 5 }, "tag: string or nil expected" },
      { { "a", "1", 5 }, "options table expected as argument 3" },
      { { "a", "1", { paltform = "x" } }, "unknown option 'paltform' (did you mean 'platform'?)" },
      { { "a", "1", { auth = "x" } }, "option 'auth': table expected" },
      { { "a", "1", { auth = true } }, "option 'auth': table expected" },
      { { "sha256:" .. ("a"):rep(64) }, "an image's id can't be pulled" },
    }
    for _, case in ipairs(cases) do
      local line = debug.getinfo(1, "l").currentline + 1
      local ok, text = pcall(function() return (client:pull_image(table.unpack(case[1]))) end)
      assert.is_false(ok)
      assert.truthy(text:find(("credentials_spec.lua:%d: pull_image: "):format(line), 1, true), text)
      assert.truthy(text:find(case[2], 1, true), text)
    end
    local _, err = client:pull_image("r.io/a/b", "1")
    assert.equal("invalid", err.kind)
    local beginning = ("pull_image r.io/a/b:1: %s/config.json: line 1, column 1: "):format(dir)
    assert.equal(beginning, tostring(err):sub(1, #beginning))
    -- Given or refused on purpose: nothing is looked up.
    for _, options in ipairs { { auth = { username = "u", password = "p" } }, { auth = false } } do
      assert.equal("unreachable", select(2, client:pull_image("r.io/a/b", "1", options)).kind)
      assert.is_not_nil(options.auth)
    end
  end)
end)
