-- The docker command's credentials, used by pull_image: real engine, real registries with a login, real helpers. And
-- what `docker login` writes, where the docker command is installed.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local json = require "docker_watcher.json"

local function b64(text) return env.run("base64 -w 0", text) end

describe("pull_image without auth", function()
  after_each(env.cleanup)

  --- A private image, and a folder for config.json and helpers.
  local function private(options)
    local registry = env.start_registry(options)
    local image = ("%s/%s:1"):format(registry.host, env.name "private")
    env.tinyimage(image, ("--label spec=%s --user %s"):format(env.name "l", registry.login))
    env.dispose("image", image)
    return image, registry, env.tmpdir()
  end

  local function configure(dir, content) env.write_file(dir .. "/config.json", json.encode(content)) end

  local function helper(dir, name, script)
    local path = ("%s/docker-credential-%s"):format(dir, name)
    env.write_file(path, "#!/bin/sh\n" .. script)
    env.run("chmod +x " .. path)
  end

  --- Pulls in a process of its own, with helpers of dir in its PATH; what it prints.
  local function pull(dir, image, environment, options)
    local result = env.sh(("unset DOCKER_AUTH_CONFIG; export DOCKER_CONFIG=%s PATH=%s:$PATH; %s %s -e %s"):format(dir,
      dir, environment or "", env.lua, env.quote(([[
        local client <close> = require "docker_watcher.docker".connect { host = %q }
        local pulled, err = client:pull_image(%q, nil, %s)
        print(pulled and pulled.status or err.kind .. " " .. tostring(err))]]):format(env.docker_host, image,
        options or "{}"))))
    assert.is_true(result.ok, result.err)
    return (result.out:gsub("\n$", ""))
  end

  local function assert_refused(said, words)
    assert.matches("^unauthorized pull_image ", said)
    for _, text in ipairs(words) do assert.truthy(said:find(text, 1, true), said) end
    assert.is_nil(said:find("secret", 1, true), said)
    assert.is_nil(said:find("mistaken", 1, true), said)
  end

  for _, kind in ipairs { "htpasswd", "token" } do
    it("uses auths, helpers and DOCKER_AUTH_CONFIG for a registry with a login: " .. kind, function()
      local image, registry, dir = private("--auth " .. kind)
      local host = registry.host
      local function forget() env.engine("DELETE", "/images/" .. image) end

      local nobody = pull(dir, image)
      assert_refused(nobody, { ("there are none for %s in %s/config.json"):format(host, dir) })

      configure(dir, { auths = { [host] = { auth = b64 "dw:secret" } } })
      assert.equal("downloaded", pull(dir, image))
      assert_refused(pull(dir, image, nil, "{ auth = false }"), { "no credentials were given" })
      assert_refused(pull(dir, image, nil, "{ auth = { username = 'dw', password = 'mistaken' } }"), {})
      forget()

      configure(dir, { auths = { [("http://%s/v2/"):format(host)] = { auth = b64 "dw:secret" } } })
      assert.equal("downloaded", pull(dir, image))
      forget()

      configure(dir, { auths = { [host] = { auth = b64 "dw:mistaken" } } })
      assert_refused(pull(dir, image), { ('with the credentials of auths["%s"] in %s/config.json'):format(host, dir) })
      local variable = json.encode { auths = { [host] = { auth = b64 "dw:secret" } } }
      assert.equal("downloaded", pull(dir, image, "export DOCKER_AUTH_CONFIG=" .. env.quote(variable) .. ";"))
      forget()
      variable = json.encode { auths = { [host] = { auth = b64 "dw:mistaken2" } } }
      assert_refused(pull(dir, image, "export DOCKER_AUTH_CONFIG=" .. env.quote(variable) .. ";"),
        { "with the credentials of DOCKER_AUTH_CONFIG" })

      helper(dir, "good", [[[ "$1 $(cat)" = "get ]] .. host .. [[" ] || exit 9
        printf '{"Username":"dw","Secret":"secret"}']])
      helper(dir, "stale", [[printf '{"Username":"dw","Secret":"mistaken"}']])
      configure(dir, { credHelpers = { [host] = "good" }, credsStore = "stale",
        auths = { [host] = { auth = b64 "dw:mistaken" } } })
      assert.equal("downloaded", pull(dir, image))
      forget()
      configure(dir, { credsStore = "stale", auths = { [host] = { auth = b64 "dw:secret" } } })
      assert_refused(pull(dir, image), { "with the credentials of docker-credential-stale (credsStore in " })
      helper(dir, "stale", "echo 'secret'; exit 1")
      assert_refused(pull(dir, image), { "docker-credential-stale get (credsStore in ", "ended with status 1" })
    end)
  end

  it("uses the identity token that a helper, or config.json, gives", function()
    local image, registry, dir = private "--auth token"
    helper(dir, "tok", [[printf '{"Username":"<token>","Secret":"refresh-dw"}']])
    configure(dir, { credsStore = "tok" })
    assert.equal("downloaded", pull(dir, image))
    assert.matches('"method": "POST"', env.read_file(registry.dir .. "/token.log"))
    env.engine("DELETE", "/images/" .. image)
    configure(dir, { auths = { [registry.host] = { auth = b64 "dw:", identitytoken = "refresh-dw" } } })
    assert.equal("downloaded", pull(dir, image))
    configure(dir, { auths = { [registry.host] = { auth = b64 "dw:", identitytoken = "mistaken-token" } } })
    assert_refused(pull(dir, image), { "with the credentials of auths[" })
  end)

  it("asks no helper where none is needed: local operations, explicit auth", function()
    local image, registry, dir = private "--auth htpasswd"
    helper(dir, "trap", "touch $DOCKER_CONFIG/asked; exit 1")
    configure(dir, { credsStore = "trap" })
    assert.equal("downloaded", pull(dir, image, nil, "{ auth = { username = 'dw', password = 'secret' } }"))
    local client <close> = docker.connect { host = env.docker_host, config_dir = dir }
    assert(client:inspect_image(image))
    assert(client:list_images())
    assert(client:tag_image(image, registry.host .. "/other:1"))
    assert(client:remove_image(registry.host .. "/other:1"))
    assert.is_false(env.sh("test -e " .. dir .. "/asked").ok)
    assert_refused(pull(dir, image), { "docker-credential-trap" })
    assert.is_true(env.sh("test -e " .. dir .. "/asked").ok)
  end)

  it("uses what `docker login` writes", function()
    if not env.sh("docker login --help").ok then return pending("the docker command is not installed") end
    local image, registry, dir = private "--auth htpasswd"
    env.run(("DOCKER_CONFIG=%s DOCKER_HOST=%s docker login -u dw --password-stdin %s"):format(dir, env.docker_host,
      registry.host), "secret")
    assert.matches('"auth"', env.read_file(dir .. "/config.json"))
    assert.equal("downloaded", pull(dir, image))
    env.run(("DOCKER_CONFIG=%s docker logout %s"):format(dir, registry.host))
    assert_refused(pull(dir, image), { "there are none for " .. registry.host })
  end)
end)
