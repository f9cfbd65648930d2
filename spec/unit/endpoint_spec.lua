-- src/endpoint.c: the text of DOCKER_HOST.

local pure = require "spec.support.pureprobe"

local SCHEME = "unix:///path, tcp://host:port, http://, https:// or ssh://host expected"
local HOST = "a host name or address expected; IPv6 in brackets"
local PORT = "a port from 1 to 65535 expected behind the host's ':'"
local PREFIX = "a path behind the host may hold letters, digits and '/._~-' only, and no '..'"
local PASSWORD = "no password may stand in the address"
local USER = "a user name of letters, digits and '.', '_', '-' expected before the '@'"
local HTTP_USER = "a user name before '@' is only for ssh://"
local BYTE = "a control character in the address"

local function unix(path) return { kind = "unix", path = path, host = "", user = "", port = 0, tls = false } end
local function tcp(host, port, path, tls)
  return { kind = "tcp", path = path or "", host = host, user = "", port = port, tls = tls or false }
end
local function ssh(host, port, user, path)
  return { kind = "ssh", path = path or "", host = host, user = user or "", port = port, tls = false }
end

describe("an address of an Engine", function()
  local label = ("h"):rep(63)
  local good = {
    { "unix:///var/run/docker.sock", unix "/var/run/docker.sock" },
    { "unix://docker.sock", unix "docker.sock" },
    { "unix:///a b/ä%20?#.sock", unix "/a b/ä%20?#.sock" }, -- a path, not a URL
    { "unix://" .. ("p"):rep(107), unix(("p"):rep(107)) },
    { "tcp://localhost", tcp("localhost", 2375) },
    { "tcp://localhost:2375", tcp("localhost", 2375) },
    { "tcp://10.0.0.1:1", tcp("10.0.0.1", 1) },
    { "tcp://h:65535", tcp("h", 65535) },
    { "tcp://h:00080", tcp("h", 80) },
    { "tcp://my_host.example.com.", tcp("my_host.example.com.", 2375) },
    { "tcp://[::1]", tcp("::1", 2375) },
    { "tcp://[fe80::1]:2376", tcp("fe80::1", 2376) },
    { "tcp://[::ffff:10.0.0.1]:1", tcp("::ffff:10.0.0.1", 1) },
    { "tcp://h/", tcp("h", 2375) },
    { "tcp://h:1/", tcp("h", 1) },
    { "tcp://h:1/docker/v~1.0_x-y///", tcp("h", 1, "/docker/v~1.0_x-y") },
    { "http://h", tcp("h", 2375) },
    { "http://h:80/p", tcp("h", 80, "/p") },
    { "https://h", tcp("h", 2376, "", true) },
    { "https://h:443/p", tcp("h", 443, "/p", true) },
    { "tcp://" .. label .. "." .. label .. "." .. label .. "." .. label, -- 255 bytes
      tcp(label .. "." .. label .. "." .. label .. "." .. label, 2375) },
    { "tcp://h/" .. ("p"):rep(106), tcp("h", 2375, "/" .. ("p"):rep(106)) },
    { "ssh://h", ssh("h", 0) },
    { "ssh://h/", ssh("h", 0) },
    { "ssh://h:22/", ssh("h", 22) },
    { "ssh://me@h/run/user/1000/docker.sock", ssh("h", 0, "me", "/run/user/1000/docker.sock") },
    { "ssh://me@h:2222", ssh("h", 2222, "me") },
    { "ssh://my.na_me-1@[::1]", ssh("::1", 0, "my.na_me-1") },
    { "ssh://" .. ("u"):rep(63) .. "@h", ssh("h", 0, ("u"):rep(63)) },
  }
  for _, case in ipairs(good) do
    it("is understood: " .. case[1]:sub(1, 60), function()
      assert.same(case[2], assert(pure.endpoint_parse(case[1])))
    end)
  end

  it("gets 2376 and TLS where TLS is asked for", function()
    assert.same(tcp("h", 2376, "", true), pure.endpoint_parse("tcp://h", true))
    assert.same(tcp("h", 2375, "", true), pure.endpoint_parse("tcp://h:2375", true))
    assert.same(tcp("h", 2376, "", true), pure.endpoint_parse("http://h", true))
    assert.same(unix "/s", pure.endpoint_parse("unix:///s", true)) -- never over a socket
  end)

  local bad = {
    { "", SCHEME }, { "/var/run/docker.sock", SCHEME }, { "h:2375", SCHEME }, { "unix:/x", SCHEME },
    { "tcp:h", SCHEME },
    { "UNIX:///x", SCHEME }, { " tcp://h", SCHEME }, { "ftp://h", SCHEME }, { "://h", SCHEME }, { "tcp:/", SCHEME },
    { "unix://", "a socket's path expected behind unix://" },
    { "unix://" .. ("p"):rep(108), "the socket's path is longer than LIMIT_SOCKET_PATH" },
    { "unix:///a\0b", BYTE }, { "unix:///a\nb", BYTE }, { "tcp://h\127", BYTE }, { "tcp://h\r\nX: y", BYTE },
    { "fd://", "fd:// is for the daemon; unix:///path or tcp://host:port expected" },
    { "npipe:////./pipe/docker", "npipe:// is for Windows; unix:///path or tcp://host:port expected" },
    { "tcp://" .. ("h"):rep(1024), "the address is longer than LIMIT_ENDPOINT" },
    { "tcp://", HOST }, { "tcp://:2375", HOST }, { "tcp:///p", HOST }, { "tcp://-h", HOST }, { "tcp://.h", HOST },
    { "tcp://h h", HOST }, { "tcp://h?x", HOST }, { "tcp://h#x", HOST }, { "tcp://ä", HOST }, { "tcp://h%41", HOST },
    { "tcp://::1", HOST }, { "tcp://fe80::1:2375", HOST }, { "tcp://[", HOST }, { "tcp://[]", HOST },
    { "tcp://[::1", HOST }, { "tcp://[h]", HOST }, { "tcp://[::1%25eth0]", HOST }, { "tcp://[1]", HOST },
    { "tcp://[" .. (":"):rep(46) .. "]", HOST }, { "tcp://" .. ("h"):rep(256), HOST }, { "tcp://h:1:2", HOST },
    { "tcp://h:", PORT }, { "tcp://h:0", PORT }, { "tcp://h:65536", PORT }, { "tcp://h:99999999999999999999", PORT },
    { "tcp://h:-1", PORT }, { "tcp://h:+1", PORT }, { "tcp://h:8o", PORT }, { "tcp://h: 80", PORT },
    { "tcp://[::1]:", PORT }, { "tcp://[::1]80", PORT }, { "tcp://[::1]::80", PORT },
    { "tcp://h/a b", PREFIX }, { "tcp://h/a?b", PREFIX }, { "tcp://h/a#b", PREFIX }, { "tcp://h/a%2e", PREFIX },
    { "tcp://h/../b", PREFIX }, { "tcp://h/a/..", PREFIX }, { "tcp://h//a", PREFIX }, { "tcp://h/a//b", PREFIX },
    { "tcp://h/" .. ("p"):rep(107), PREFIX },
    { "tcp://me:secret@h", PASSWORD }, { "https://:secret@h:1/p", PASSWORD }, { "ssh://me:secret@h", PASSWORD },
    { "ssh://:@h", PASSWORD },
    { "tcp://me@h", HTTP_USER }, { "http://@h", HTTP_USER },
    { "ssh://", HOST }, { "ssh://me@", HOST }, { "ssh://-oProxyCommand=x", HOST }, { "ssh://h:0", PORT },
    { "ssh://@h", USER }, { "ssh://-oX@h", USER }, { "ssh://a b@h", USER }, { "ssh://a=b@h", USER },
    { "ssh://" .. ("u"):rep(64) .. "@h", USER }, { "ssh://me@h@h", HOST },
    { "ssh://h/a b", PREFIX }, { "ssh://h/$(x)", PREFIX }, { "ssh://h/a;b", PREFIX }, { "ssh://h/../b", PREFIX },
    { "ssh://h/a?b", PREFIX }, { "ssh://[-h]", HOST }, { "ssh://-h", HOST }, { "ssh://me@-h", HOST },
  }
  for _, case in ipairs(bad) do
    it(("is refused: %q"):format(case[1]:sub(1, 60)):gsub("\\\n", "\\n"), function()
      local e, reason = pure.endpoint_parse(case[1])
      assert.is_nil(e)
      assert.equal(case[2], reason)
      assert.is_nil(reason:find("secret", 1, true))
    end)
  end
end)
