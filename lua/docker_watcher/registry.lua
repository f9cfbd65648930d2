--- A client of the OCI distribution API: which tags a repository has, and which digest a tag names.
--
-- What it promises: credentials reach the registry's own origin and its token server only (registry/auth.lua); plain
-- http is spoken to registries on this machine and to those that the operator declared insecure; a listing is whole
-- or an error, never shorter; a digest is one that the registry stated in full. What it refuses: pages at another
-- origin, redirects to private addresses, schema 1 manifests. Bounds: registry/limits.lua.

local auth = require "docker_watcher.registry.auth"
local errors = require "docker_watcher.error"
local headers = require "docker_watcher.registry.headers"
local json = require "docker_watcher.json"
local limits_default = require "docker_watcher.registry.limits"
local secret = require "docker_watcher.secret"
local url = require "docker_watcher.registry.url"

local registry = {}

-- With any of the four left out, registries answer with converted manifests of another digest, or 404.
local ACCEPT = table.concat({
  "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

local HUB = { ["docker.io"] = true, ["index.docker.io"] = true, ["registry-1.docker.io"] = true }

--- A client of all registries, made by registry.new.
---@class docker_watcher.Registry
local methods = {}
local meta = { __index = methods, __name = "docker_watcher.registry" }

--- A client for all registries.
---@param world table  parse_reference (docker's), http (docker_watcher.http), now (monotonic seconds), wall (seconds
---  since 1970; os.time), settings (the configuration's `registries`), limits (changes to registry/limits.lua),
---  sha256 (function(bytes) → hex; optional), stored (function(domain, options) → docker_watcher.found | nil, err: the
---  docker command's credentials, for registries that have none in settings; optional)
---@return docker_watcher.Registry
function registry.new(world)
  local limits = {}
  for name, value in pairs(limits_default) do limits[name] = value end
  for name, value in pairs(world.limits or {}) do
    if limits_default[name] == nil then error(("registry.new: there is no limit '%s'"):format(tostring(name)), 2) end
    limits[name] = value
  end
  local function request(wanted) return world.http.request(wanted) end
  return setmetatable({
    parse_reference = world.parse_reference,
    request = request,
    now = world.now,
    wall = world.wall or os.time,
    settings = world.settings or {}, -- host[:port] → { username =, password =, insecure = }
    limits = limits,
    sha256 = world.sha256,           -- nil: a registry that states no digest gets an error
    stored = world.stored,
    kept = {},                       -- domain → { credential =, source =, expires = }: what `stored` gave
    auth = auth.new { request = request, now = world.now, limits = limits },
  }, meta)
end

-- ── where requests go ──────────────────────────────────────────────────────────────────────────────────────────────

--- The operator's settings of a registry; Docker Hub goes by three names.
local function settings_of(self, domain)
  if self.settings[domain] then return self.settings[domain] end
  if HUB[domain] then
    for name in pairs(HUB) do
      if self.settings[name] then return self.settings[name] end
    end
  end
  return {}
end

--- The credentials of a registry, opened, as the Engine's pull wants them; nil where there are none.
---@param domain string  "docker.io", "registry.example.com:5000"
---@return { username: string, password: string }?
function methods:credentials(domain)
  local settings = settings_of(self, domain)
  if settings.username == nil or settings.password == nil then return nil end
  return { username = secret.open(settings.username), password = secret.open(settings.password) }
end

--- What `stored` gave for a registry, while it is fresh.
local function kept(self, domain)
  local entry = self.kept[domain]
  return entry and entry.expires > self.now() and entry or nil
end

--- The registry wants to know who we are: looks the docker command's credentials up, unless the operator's settings
--- have some. Not before that, so that no helper runs for images that are public. true, or nil, err.
local function look_up(self, target, options)
  if target.credential or not self.stored then return true end
  local entry = kept(self, target.registry)
  if not entry then
    local found, err = self.stored(target.registry, options)
    if not found then
      local subject = target.registry .. "/" .. target.path
      return nil, errors.new(err.kind, ("%s: %s"):format(subject, err.message), { subject = subject, cause = err })
    end
    local given = found.auth or {}
    entry = { source = found.source, expires = self.now() + self.limits.stored_seconds }
    if given.identitytoken or given.username then
      entry.credential = {
        username = given.username, identitytoken = given.identitytoken, source = found.source,
        password = not given.identitytoken and given.password or nil, -- beside such a token it is empty
        fingerprint = table.concat({ given.username or "", given.password or "", given.identitytoken }, "\0"),
      }
    end
    self.kept[target.registry] = entry
  end
  target.credential, target.source = entry.credential, entry.source
  return true
end

--- Where the image's repository lives; nil, err where the name is none.
---@param image string
---@return docker_watcher.registry.target? target, docker_watcher.error? err
local function find_target(self, image)
  local reference, err = self.parse_reference(image)
  if not reference then return nil, err end
  local domain = reference.domain
  local authority = HUB[domain] and "registry-1.docker.io" or domain
  local settings = settings_of(self, domain)
  local probe, reason = url.parse("https://" .. authority)
  if not probe then
    return nil, errors.new("invalid", ("%s: the registry '%s' %s"):format(image, domain, reason), { subject = image })
  end
  local plain = settings.insecure
  if plain == nil then plain = url.is_loopback(probe.host) end
  local base = url.parse((plain and "http://" or "https://") .. authority)
  local credential = self:credentials(domain)
  if credential then credential.fingerprint = credential.username .. "\0" .. credential.password end
  local entry = not credential and kept(self, domain)
  if entry then credential = entry.credential end
  return {
    registry = domain, path = reference.path, plain = plain, host = base.host, origin = base.origin,
    root = base.scheme .. "://" .. authority .. "/v2/" .. reference.path, credential = credential,
  }
end

-- ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────────

local function fail(target, op, kind, message, fields)
  fields = fields or {}
  fields.op, fields.subject = op, target.registry .. "/" .. target.path
  return nil, errors.new(kind, ("%s: %s"):format(fields.subject, message), fields)
end

--- What a registry says of an error: its code and message, in at most 200 printable bytes.
local function excerpt(body)
  if type(body) ~= "string" or body == "" then return "" end
  local answer = json.decode(body)
  local first = type(answer) == "table" and type(answer.errors) == "table" and answer.errors[1]
  if type(first) ~= "table" then return "" end
  local parts = {}
  for _, part in ipairs { first.code, first.message } do
    if type(part) == "string" and part ~= "" then parts[#parts + 1] = part end
  end
  local text = table.concat(parts, ": "):gsub("[^\x20-\x7e]", "?")
  return text == "" and "" or (" (%s)"):format(#text > 200 and text:sub(1, 200) .. "…" or text)
end

--- nil, err for a status that is no success.
local function fail_status(self, target, op, what, response)
  local status, said = response.status, excerpt(response.body)
  local fields = { status = status }
  if status == 404 then
    return fail(target, op, "not_found", ("no %s there, or it is private%s"):format(what, said), fields)
  elseif status == 403 then
    return fail(target, op, "forbidden", ("no access to %s%s"):format(what, said), fields)
  elseif status == 429 then
    fields.retry_after = headers.retry_after(response.headers["retry-after"], self.wall(),
      self.limits.retry_after_seconds)
    return fail(target, op, "rate_limited", "asked too often" .. said, fields)
  elseif status == 408 or status >= 500 then
    fields.retry_after = headers.retry_after(response.headers["retry-after"], self.wall(),
      self.limits.retry_after_seconds)
    return fail(target, op, "unreachable", ("the registry answers %d%s"):format(status, said), fields)
  end
  return fail(target, op, "protocol", ("the registry answers %d to the question for %s%s"):format(status, what, said),
    fields)
end

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

--- The next hop of a redirect, if it is one that we follow.
local function redirect(target, op, from, location)
  local to, reason
  if location == "" then
    reason = "without saying where"
  else
    to, reason = url.resolve(from, location)
    if reason then reason = "to an address that " .. reason end
  end
  if to and to.origin ~= from.origin then
    if to.scheme == "http" and not (target.plain and to.host == target.host) then
      reason = ("to plain http at %s"):format(to.origin)
    elseif to.host ~= target.host and url.is_private(to.host)
      and (url.is_link_local(to.host) or not url.is_private(target.host)) then
      reason = ("to the private address %s"):format(to.origin)
    end
  end
  if reason then return fail(target, op, "protocol", "the registry redirects " .. reason .. ": not followed") end
  return to
end

--- Sends GET or HEAD, logs in where asked to, follows redirects.
local function ask(self, target, op, wanted)
  local here = assert(url.parse(wanted.url))
  for _ = 0, self.limits.redirects do
    local tries = 0 -- how often this hop has answered 401
    local authorization = self.auth:at_hand(target, here.origin)
    while true do
      local left = wanted.deadline - self.now()
      if left <= 0 then return fail(target, op, "timeout", "the time for it is over") end
      local response, err = self.request {
        method = wanted.method, url = url.format(here), max_body = wanted.max_body, ctx = wanted.ctx, timeout = left,
        headers = { Accept = wanted.accept, Authorization = authorization, ["User-Agent"] = "docker-watcher" },
      }
      if not response then
        return fail(target, op, err.kind, err.message, { cause = err, status = err.status })
      end
      if response.status ~= 401 then
        if not REDIRECTS[response.status] then return response end
        here, err = redirect(target, op, here, headers.join(response.headers.location))
        if not here then return nil, err end
        break -- to the next hop, with what is at hand there
      end
      tries = tries + 1
      if here.origin == target.origin then
        local known
        known, err = look_up(self, target, { ctx = wanted.ctx, timeout = left })
        if not known then return nil, err end
      end
      authorization, err = self.auth:answer(target, here.origin, response.headers["www-authenticate"], {
        refused = authorization, tries = tries, ctx = wanted.ctx, timeout = left,
      })
      if not authorization then
        self.kept[target.registry] = nil -- somebody may log in meanwhile
        return nil, err
      end
    end
  end
  return fail(target, op, "protocol", ("more than %d redirects (redirects)"):format(self.limits.redirects))
end

local function check_options(options, op)
  for name in pairs(options or {}) do
    if name ~= "timeout" and name ~= "ctx" then
      error(("%s: unknown option '%s'; known: timeout, ctx"):format(op, tostring(name)), 3)
    end
  end
  return options or {}
end

-- ── tags ───────────────────────────────────────────────────────────────────────────────────────────────────────────

local function is_tag(text)
  return #text <= 128 and text:find "^[%w_][%w_.-]*$" ~= nil
end

--- Adds a page's tags to the list; answers how many were new. nil, err where the page is none.
local function add_page(self, target, listing, body)
  local page = json.decode(body)
  if type(page) ~= "table" then return fail(target, "tags", "protocol", "the list of tags is no JSON") end
  if page.tags == nil or page.tags == json.null then return 0 end
  if type(page.tags) ~= "table" then return fail(target, "tags", "protocol", "the list of tags is no list") end
  local count = 0
  for key, tag in pairs(page.tags) do
    if math.type(key) == nil or type(tag) ~= "string" then
      return fail(target, "tags", "protocol", "the list of tags holds something that is no tag")
    end
  end
  for _, tag in ipairs(page.tags) do
    if not listing.seen[tag] and is_tag(tag) then -- what no reference can name cannot be deployed
      listing.seen[tag], count = true, count + 1
      listing.tags[#listing.tags + 1] = tag
    end
  end
  if #listing.tags > self.limits.tags then
    return fail(target, "tags", "too_large", ("more than %d tags (tags)"):format(self.limits.tags))
  end
  return count
end

--- Where the next page is; nil at the end.
local function next_page(self, target, here, response)
  if #headers.join(response.headers.link) > self.limits.link_bytes then
    return fail(target, "tags", "too_large", "its Link is longer than link_bytes")
  end
  local link = headers.next_link(response.headers.link)
  if not link then return nil end
  local to, reason = url.resolve(here, link)
  if not to then return fail(target, "tags", "protocol", ("the link to the next page %s"):format(reason)) end
  if to.origin ~= here.origin then
    return fail(target, "tags", "protocol", ("the link to the next page leads to %s: not followed"):format(to.origin))
  end
  return to
end

--- All tags of an image's repository, in the registry's order, which means nothing.
---@param image string  its tag and digest, if any, have no say
---@param options { timeout: number?, ctx: any }?
---@return string[]? tags, docker_watcher.error? err
function methods:tags(image, options)
  options = check_options(options, "tags")
  local target, err = find_target(self, image)
  if not target then return nil, err end
  local over = self.now() + (options.timeout or self.limits.listing_seconds)
  local here = url.parse(("%s/tags/list?n=%d"):format(target.root, self.limits.page_tags))
  local listing, bytes, visited = { tags = {}, seen = {} }, 0, {}
  for _ = 1, self.limits.pages do
    local address = url.format(here)
    visited[address] = true
    local response
    response, err = ask(self, target, "tags", {
      method = "GET", url = address, accept = "application/json", max_body = self.limits.page_bytes, ctx = options.ctx,
      deadline = math.min(over, self.now() + self.limits.request_seconds),
    })
    if not response then return nil, err end
    if response.status ~= 200 then return fail_status(self, target, "tags", "repository", response) end
    bytes = bytes + #response.body
    if bytes > self.limits.listing_bytes then
      return fail(target, "tags", "too_large", "the list of tags is longer than listing_bytes")
    end
    local count
    count, err = add_page(self, target, listing, response.body)
    if not count then return nil, err end
    here, err = next_page(self, target, here, response)
    if err then return nil, err end
    if not here or count == 0 or visited[url.format(here)] then return listing.tags end
  end
  return fail(target, "tags", "too_large", ("more than %d pages of tags (pages)"):format(self.limits.pages))
end

-- ── manifests ──────────────────────────────────────────────────────────────────────────────────────────────────────

--- The media type without parameters, in small letters.
local function media_type(response)
  return headers.join(response.headers["content-type"]):match "^%s*([^;%s]*)":lower()
end

--- Which manifest a tag (or digest) names, by HEAD: costs no pull.
---@param image string
---@param tag string  a tag, or a digest
---@param options { timeout: number?, ctx: any }?
---@return { digest: string, media_type: string, size: integer? }? manifest, docker_watcher.error? err
function methods:head(image, tag, options)
  options = check_options(options, "head")
  if type(tag) ~= "string" or not (is_tag(tag) or headers.digest(tag)) then
    error(("head: '%s' is neither a tag nor a digest"):format(tostring(tag)), 2)
  end
  local target, err = find_target(self, image)
  if not target then return nil, err end
  local wanted = {
    method = "HEAD", url = target.root .. "/manifests/" .. tag, accept = ACCEPT, ctx = options.ctx,
    max_body = self.limits.manifest_bytes, deadline = self.now() + (options.timeout or self.limits.request_seconds),
  }
  local response
  response, err = ask(self, target, "head", wanted)
  if not response then return nil, err end
  if response.status ~= 200 then return fail_status(self, target, "head", "tag " .. tag, response) end
  if media_type(response):find("manifest.v1+", 1, true) and media_type(response):find("docker", 1, true) then
    return fail(target, "head", "protocol", ("schema 1 not supported: tag %s is of that old form"):format(tag))
  end
  local digest = headers.digest(response.headers["docker-content-digest"])
  if not digest then
    if not self.sha256 then
      return fail(target, "head", "protocol", ("the registry states no digest of tag %s"):format(tag))
    end
    wanted.method = "GET"
    response, err = ask(self, target, "head", wanted)
    if not response then return nil, err end
    if response.status ~= 200 then return fail_status(self, target, "head", "tag " .. tag, response) end
    digest = "sha256:" .. self.sha256(response.body)
  end
  if headers.digest(tag) and digest:sub(1, 6) == tag:sub(1, 6) and digest ~= tag then
    return fail(target, "head", "protocol", ("asked for %s, and the registry answers with %s"):format(tag, digest))
  end
  return {
    digest = digest, media_type = media_type(response),
    size = math.tointeger(tonumber(headers.join(response.headers["content-length"]))),
  }
end

return registry
