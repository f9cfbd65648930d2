--- Who we are to a registry: Basic credentials and Bearer tokens, fetched when challenged, kept until they expire.
--
-- What it promises: credentials go to the registry's own origin and to the token server that it names, nowhere else;
-- a token server on plain http, or at a private address of another host, gets nothing; tokens are kept in memory only,
-- per (origin, realm, service, scope, credential), until their time (on the monotonic clock) less a tenth is over.

local errors = require "docker_watcher.error"
local headers = require "docker_watcher.registry.headers"
local json = require "docker_watcher.json"
local url = require "docker_watcher.registry.url"

local auth = {}

---@class docker_watcher.registry.target  where a request goes
---@field registry string   as in the image's name: "docker.io"
---@field path string       the repository
---@field plain boolean     is the registry one that speaks plain http?
---@field host string       its own host, without port
---@field origin string     its own origin
---@field credential docker_watcher.registry.credential?
---@field source string?    where credentials were looked for beside the configuration

---@class docker_watcher.registry.credential
---@field username string?       with password, or
---@field password string?
---@field identitytoken string?  a refresh token, which beats them
---@field fingerprint string
---@field source string?         where it came from, where that is not the configuration

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Base64, the standard alphabet with padding (RFC 4648, 4).
---@param bytes string
---@return string
function auth.base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for shift = 18, 0, -6 do
      local at = (bits >> shift & 63) + 1
      out[#out + 1] = ALPHABET:sub(at, at)
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

local function basic(credential)
  return "Basic " .. auth.base64(credential.username .. ":" .. credential.password)
end

--- Whose credentials they are, for messages.
local function whose(credential)
  return credential.source or ("'%s'"):format(credential.username)
end

--- What to do where there are no credentials.
local function advice(target)
  return ("give registries[\"%s\"] a username and password%s"):format(target.registry,
    target.source and ("; %s"):format(target.source) or "")
end

local auth_methods = {}
local auth_meta = { __index = auth_methods, __name = "docker_watcher.registry.auth" }

---@param world { request: function, now: fun(): number, limits: table }
function auth.new(world)
  return setmetatable({
    request = world.request, -- function(request) → response | nil, err
    now = world.now,         -- monotonic seconds
    limits = world.limits,
    tokens = {},             -- key → { token =, expires = }
    known = {},              -- origin and repository → the challenge last met there
  }, auth_meta)
end

--- Why a registry may not send us to this token server; nil where it may. Plain http: only a plain registry, to its
-- own host. Private addresses: only where the registry has one itself; loopback and link-local ones tell of a trick.
local function refuse_realm(realm, target)
  local both_loopback = url.is_loopback(realm.host) and url.is_loopback(target.host)
  if realm.host == target.host or both_loopback then
    return realm.scheme == "http" and not target.plain and "it is on plain http, and the registry is not" or nil
  elseif realm.scheme == "http" then
    return "it is on plain http, at another host"
  elseif url.is_private(realm.host) then
    if url.is_loopback(realm.host) or url.is_link_local(realm.host) or not url.is_private(target.host) then
      return "it has a private address, at another host"
    end
  end
end

local function fail(target, kind, message, fields)
  fields = fields or {}
  fields.op, fields.subject = "authenticate", target.registry .. "/" .. target.path
  return nil, errors.new(kind, ("%s: %s"):format(fields.subject, message), fields)
end

local function token_key(target, origin, challenge)
  local params = challenge.params
  local owner = target.credential and origin == target.origin and target.credential.fingerprint or ""
  return table.concat({ origin, params.realm, params.service or "", challenge.scope, owner }, "\0")
end

--- The challenge to answer: Bearer where its realm is usable, else Basic where we have credentials.
local function choose(list, target, credential)
  local offered = {}
  for _, challenge in ipairs(list) do
    offered[#offered + 1] = challenge.scheme
    if challenge.scheme == "bearer" and challenge.params.realm and url.parse(challenge.params.realm) then
      local scope = challenge.params.scope
      if scope == nil or scope == "" or scope == "*" then scope = ("repository:%s:pull"):format(target.path) end
      return { scheme = "bearer", params = challenge.params, scope = scope }
    end
  end
  for _, challenge in ipairs(list) do
    if challenge.scheme == "basic" and credential and credential.password then
      return { scheme = "basic", params = challenge.params }
    end
  end
  return nil, offered
end

--- Asks the token server. Credentials only where the challenge came from the registry's own origin.
local function fetch_token(self, target, challenge, credential, options)
  local realm, reason = url.parse(challenge.params.realm)
  reason = reason or refuse_realm(realm, target)
  if reason then
    return fail(target, "forbidden", ("will not ask the token server %s: %s"):format(
      realm and realm.origin or "that the registry names", reason))
  end
  local identity = credential and credential.identitytoken
  local query = {}
  if realm.query ~= "" and not identity then query[1] = realm.query end
  if challenge.params.service then query[#query + 1] = "service=" .. url.escape(challenge.params.service) end
  local wanted = { method = "GET", max_body = self.limits.token_bytes, ctx = options.ctx, timeout = options.timeout }
  wanted.headers = { Accept = "application/json" }
  if identity then -- OAuth 2's form: the scopes are one parameter
    query[#query + 1] = "scope=" .. url.escape(challenge.scope)
    query[#query + 1] = "grant_type=refresh_token&refresh_token=" .. url.escape(identity)
  else
    for scope in challenge.scope:gmatch "%S+" do query[#query + 1] = "scope=" .. url.escape(scope) end
    if credential then query[#query + 1] = "account=" .. url.escape(credential.username) end
  end
  query[#query + 1] = "client_id=docker-watcher"
  if identity then
    wanted.method, wanted.body = "POST", table.concat(query, "&")
    wanted.headers["Content-Type"] = "application/x-www-form-urlencoded"
  else
    realm.query = table.concat(query, "&")
    wanted.headers.Authorization = credential and basic(credential) or nil
  end
  wanted.url = url.format(realm)
  local response, err = self.request(wanted)
  if not response then
    return fail(target, err.kind, ("the token server %s: %s"):format(realm.origin, err.message), { cause = err })
  elseif response.status == 401 or response.status == 403 then
    return fail(target, "unauthorized", credential
      and ("the token server %s refuses the credentials of %s: check username and password"):format(
        realm.origin, whose(credential))
      or ("the token server %s wants credentials: %s"):format(realm.origin, advice(target)),
      { status = response.status })
  elseif response.status == 429 then
    return fail(target, "rate_limited", ("the token server %s says: asked too often"):format(realm.origin), {
      status = 429,
      retry_after = headers.retry_after(response.headers["retry-after"], os.time(), self.limits.retry_after_seconds),
    })
  elseif response.status ~= 200 then
    return fail(target, response.status >= 500 and "unreachable" or "protocol",
      ("the token server %s answers %d"):format(realm.origin, response.status), { status = response.status })
  end
  local answer = json.decode(response.body)
  if type(answer) ~= "table" then
    return fail(target, "protocol", ("the token server %s sends no JSON"):format(realm.origin))
  end
  local token = answer.token
  if type(token) ~= "string" or token == "" then token = answer.access_token end
  if type(token) ~= "string" or token == "" or #token > self.limits.token_length or token:find "[%c%s\x80-\xff]" then
    return fail(target, "protocol", ("the token server %s sends no usable token"):format(realm.origin))
  end
  local lives = answer.expires_in
  if type(lives) ~= "number" or lives ~= lives or lives < self.limits.token_seconds then
    lives = self.limits.token_seconds
  end
  return { token = token, expires = self.now() + lives * 0.9 }
end

--- The Authorization for a request, as far as it is known beforehand: nil where nothing was ever asked of us, or where
-- the token at hand is over.
---@param target docker_watcher.registry.target
---@param origin string  of the request
---@return string?
function auth_methods:at_hand(target, origin)
  local challenge = self.known[origin .. "\0" .. target.path]
  if not challenge then return nil end
  if challenge.scheme == "basic" then
    local credential = origin == target.origin and target.credential
    return credential and credential.password and basic(credential) or nil
  end
  local kept = self.tokens[token_key(target, origin, challenge)]
  return kept and kept.expires > self.now() and "Bearer " .. kept.token or nil
end

--- Answers a 401: the Authorization to try again with; nil, err where there is none.
---@param target docker_watcher.registry.target
---@param origin string  of the request that was refused
---@param value string|string[]|nil  its WWW-Authenticate
---@param options { refused: string?, tries: integer, ctx: any, timeout: number? }  refused: the Authorization that the
---  request carried; tries: how often it was answered by 401. One token, and after it Basic where that is asked for
---  (Harbor does so), is all that a request gets.
---@return string? authorization, docker_watcher.error? err
function auth_methods:answer(target, origin, value, options)
  if #headers.join(value) > self.limits.challenge_bytes then
    return fail(target, "too_large", "its WWW-Authenticate is longer than challenge_bytes", { status = 401 })
  end
  local credential = origin == target.origin and target.credential or nil
  local challenge, offered = choose(headers.challenges(value), target, credential)
  if not challenge then
    return fail(target, "unauthorized", #offered == 0 and "it answers 401 and does not say how to log in"
      or target.credential and ("it offers only %s, and we know Bearer and Basic"):format(table.concat(offered, ", "))
      or ("it wants credentials (%s): %s"):format(table.concat(offered, ", "), advice(target)), { status = 401 })
  end
  self.known[origin .. "\0" .. target.path] = challenge
  if challenge.scheme == "basic" then
    local authorization = basic(credential)
    if options.refused == authorization then
      return fail(target, "unauthorized", ("it refuses the credentials of %s: check username and password"):format(
        whose(credential)), { status = 401 })
    end
    return authorization
  end
  local key = token_key(target, origin, challenge)
  self.tokens[key] = nil
  if options.tries > 1 then
    return fail(target, "unauthorized", ("it refuses what its token server gave: no access %s"):format(
      credential and ("for %s"):format(whose(credential)) or "without credentials"), { status = 401 })
  end
  local token, err = fetch_token(self, target, challenge, credential, options)
  if not token then return nil, err end
  self.tokens[key] = token
  return "Bearer " .. token.token
end

return auth
