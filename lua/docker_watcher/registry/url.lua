--- Addresses: taken apart, put together, and judged for safety. Pure.
--
-- The judgement is by what is written, not by what a name resolves to: literal addresses of private, loopback and
-- link-local networks, in any spelling that resolvers accept, are told from public ones.

local url = {}

---@class docker_watcher.url
---@field scheme "http" | "https"
---@field host string      in small letters; IPv6 in brackets
---@field port integer
---@field authority string as written: host[:port]
---@field path string      begins with "/"
---@field query string?
---@field origin string    "https://host:port": equal for equal scheme, host and port

local PORTS = { http = 80, https = 443 }

--- Parses an absolute http or https address without user information; nil and the reason where it is none.
---@param text string
---@return docker_watcher.url? parsed, string? reason
function url.parse(text)
  if #text > 8192 then return nil, "longer than 8192 bytes" end
  if text:find "[%c%s\\]" or text:find "[\x80-\xff]" then return nil, "holds characters that no address has" end
  local scheme, authority, rest = text:match "^(%a[%w+.-]*)://([^/?#]*)([^#]*)"
  scheme = scheme and scheme:lower()
  if not PORTS[scheme] then return nil, "no absolute http or https address" end
  if authority:find("@", 1, true) then return nil, "holds a user name" end
  local host, port = authority:match "^(%[[%x:.]+%]):?(%d*)$"
  if not host then host, port = authority:match "^([%w._-]+):?(%d*)$" end
  if not host then return nil, "has no valid host" end
  local number = port == "" and PORTS[scheme] or math.tointeger(tonumber(port))
  if not number or number < 1 or number > 65535 then return nil, "has no valid port" end
  local path, query = rest:match "^([^?]*)%??(.*)$"
  host = host:lower()
  return {
    scheme = scheme, host = host, port = number, authority = authority, path = path == "" and "/" or path,
    query = rest:find("?", 1, true) and query or nil, origin = ("%s://%s:%d"):format(scheme, host, number),
  }
end

---@param u docker_watcher.url
---@return string
function url.format(u)
  return ("%s://%s%s%s"):format(u.scheme, u.authority, u.path, u.query and "?" .. u.query or "")
end

--- "a/../b/./c" → "b/c" (RFC 3986, 5.2.4)
local function remove_dots(path)
  local kept = {}
  for segment in (path:sub(2) .. "/"):gmatch "(.-)/" do
    if segment == ".." then
      kept[#kept] = nil
    elseif segment ~= "." then
      kept[#kept + 1] = segment
    end
  end
  return "/" .. table.concat(kept, "/")
end

--- Resolves a reference (absolute, //host/path, /path, path or ?query) against an address.
---@param base docker_watcher.url
---@param reference string
---@return docker_watcher.url? parsed, string? reason
function url.resolve(base, reference)
  if reference:find "^%a[%w+.-]*:" then return url.parse(reference) end
  if reference:find "^//" then return url.parse(base.scheme .. ":" .. reference) end
  local root = base.scheme .. "://" .. base.authority
  if reference:find "^%?" then return url.parse(root .. base.path .. reference) end
  local path, query = reference:match "^([^?#]*)(%??[^#]*)"
  if path:byte() ~= ("/"):byte() then path = base.path:match "^(.*/)" .. path end
  return url.parse(root .. remove_dots(path) .. query)
end

--- Percent-encodes all but the unreserved characters (RFC 3986, 2.3).
---@param text string
---@return string
function url.escape(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- The numbers of a dotted quad; nil where the text is none.
local function quad(host)
  local a, b, c, d = host:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$"
  if not a then return nil end
  for _, text in ipairs { a, b, c, d } do
    if #text > 3 or (#text > 1 and text:byte() == ("0"):byte()) or tonumber(text) > 255 then return nil end
  end
  return tonumber(a), tonumber(b), tonumber(c)
end

--- Is the host this very machine?
---@param host string
---@return boolean
function url.is_loopback(host)
  return host == "localhost" or host:find "%.localhost$" ~= nil or quad(host) == 127 or host == "[::1]"
end

--- Is the host an address that only works on the wire at hand (cloud metadata servers live there)?
---@param host string
---@return boolean
function url.is_link_local(host)
  local a, b = quad(host)
  return (a == 169 and b == 254) or host:find "^%[fe[89ab]" ~= nil
end

--- Is the host one that strangers must not send us to: this machine, a private or link-local network, or an address in
-- a spelling that only tricks use (2130706433, 0x7f.1)?
---@param host string
---@return boolean
function url.is_private(host)
  if url.is_loopback(host) then return true end
  local ipv6 = host:match "^%[(.*)%]$"
  if ipv6 then -- all but global unicast, 2000::/3; and not 6to4 or Teredo, which carry an IPv4 address
    local first = tonumber(ipv6:match "^%x+" or "0", 16)
    return first < 0x2000 or first > 0x3fff or first == 0x2002 or ipv6:find "^2001:0*:" ~= nil
  end
  local a, b, c = quad(host)
  if a then
    return a == 0 or a == 10 or a == 127 or a >= 224 or (a == 169 and b == 254) or (a == 172 and b >= 16 and b <= 31)
      or (a == 192 and b == 168) or (a == 100 and b >= 64 and b <= 127) or (a == 192 and b == 0 and c == 0)
      or (a == 198 and (b == 18 or b == 19))
  end
  local last = host:match "([^.]*)%.?$"
  return last:find "^%d+$" ~= nil or last:find "^0x%x*$" ~= nil -- a number, whatever its base
end

return url
