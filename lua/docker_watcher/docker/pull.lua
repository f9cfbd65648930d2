--- client:pull_image with the credentials that the docker command would use. The pull itself is src/pull.c.
--
-- Without the option `auth` they are looked up by the image's registry; auth = { … } beats that, and auth = false
-- pulls anonymously on purpose. Arguments are checked before a helper is run.

local core = require "docker_watcher.core"

local pull = {}

local OPTIONS = { auth = "any", platform = "string", on_progress = "function" }

--- A copy of the options with these credentials, and with the time that is left.
local function with(options, auth, started)
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  copy.auth = auth
  if options.timeout and started then copy.timeout = math.max(0, options.timeout - (core.loop.now() - started)) end
  return copy
end

function pull.pull_image(client, image, tag, options)
  local unfit = options ~= nil and type(options) ~= "table" or tag ~= nil and type(tag) ~= "string"
  if unfit or options and options.auth then
    return core.pull_image(client, image, tag, options)
  elseif options and options.auth == false then
    return core.pull_image(client, image, tag, with(options, nil))
  end
  options = core.check_options("pull_image", options, OPTIONS, 3)
  local name = core.check_image("pull_image", image)
  local reference = core.parse_reference(name)
  if not reference or #name == 71 and name:find "^sha256:" then -- an id: refused there
    return core.pull_image(client, image, tag, options)
  end
  local credentials = require "docker_watcher.docker.credentials"
  local started = core.loop.now()
  local found, err = credentials.find(client, reference.domain, options)
  if not found then
    name = reference.familiar
    if not reference.tag and not reference.digest then
      name = ("%s%s%s"):format(name, tag and tag:find(":", 1, true) and "@" or ":", tag or "latest")
    end
    return require "docker_watcher.error".about(err, "pull_image", name)
  end
  local pulled
  pulled, err = core.pull_image(client, image, tag, with(options, found.auth, started))
  if not pulled then return credentials.explain(err, found) end
  return pulled
end

return pull
