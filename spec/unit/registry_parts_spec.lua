-- The pure parts of the registry client: header fields, addresses, base64 (docker_watcher.registry.{headers,url,auth}).

local auth = require "docker_watcher.registry.auth"
local headers = require "docker_watcher.registry.headers"
local url = require "docker_watcher.registry.url"

describe("headers.challenges", function()
  for text, wanted in pairs {
    ['Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"'] =
      { { scheme = "bearer", params = { realm = "https://a/t", service = "s", scope = "repository:a/b:pull,push" } } },
    ['bearer realm=http://x'] = { { scheme = "bearer", params = { realm = "http://x" } } },
    ['Basic'] = { { scheme = "basic", params = {} } },
    ['Basic realm="a \\"q\\" b"'] = { { scheme = "basic", params = { realm = 'a "q" b' } } },
    ['Bearer realm="r",service="s",scope="*",Basic realm="b"'] = {
      { scheme = "bearer", params = { realm = "r", service = "s", scope = "*" } },
      { scheme = "basic", params = { realm = "b" } },
    },
    ['Negotiate, Bearer REALM = "r" , realm="other"'] =
      { { scheme = "negotiate", params = {} }, { scheme = "bearer", params = { realm = "r" } } },
    ['Bearer realm="open'] = { { scheme = "bearer", params = {} } },
    ['realm="x"'] = {}, [""] = {}, [",,,"] = {}, ['"'] = {}, ['Bearer realm='] = { { scheme = "bearer", params = {} } },
  } do
    it(("reads %q"):format(text), function() assert.same(wanted, headers.challenges(text)) end)
  end
  it("ends for any bytes", function()
    math.randomseed(7)
    local bits = { "Bearer", " ", ",", "=", '"', "\\", "realm", "<", ">", ";", "rel", "next", "\0", "\255" }
    for _ = 1, 500 do
      local parts = {}
      for i = 1, 30 do parts[i] = bits[math.random(#bits)] end
      assert.is_table(headers.challenges(table.concat(parts)))
      headers.next_link(table.concat(parts))
    end
  end)
end)

describe("headers.next_link", function()
  for text, wanted in pairs {
    ['</v2/_catalog?last=acme%2Fmulti&n=1>; rel="next"'] = "/v2/_catalog?last=acme%2Fmulti&n=1",
    ['<a>;rel=next'] = "a", ['<a>; rel="prev", <b>; rel="next"'] = "b", ['<a>; title="x, y; z"; rel="prev next"'] = "a",
    ['<a>; rel="NEXT"'] = "a", ['<a>; REL=next'] = "a", ['<a>; rel=prev; rel=next'] = false, ['<a>'] = false,
    ['<a; rel=next'] = false, ["a; rel=next"] = false, [""] = false, ['<a>; orderby="x"; rel="next"'] = "a",
  } do
    it(("reads %q"):format(text), function() assert.equal(wanted or nil, headers.next_link(text)) end)
  end
end)

describe("headers.date", function()
  for text, wanted in pairs {
    ["Thu, 01 Jan 1970 00:00:00 GMT"] = 0, ["Wed, 21 Oct 2015 07:28:00 GMT"] = 1445412480,
    ["Thu, 29 Feb 2024 12:00:00 GMT"] = 1709208000, ["Fri, 31 Dec 2100 23:59:59 GMT"] = 4133980799,
    ["Sun, 06 Nov 1994 08:49:37 GMT"] = 784111777,
  } do
    it("reads " .. text, function() assert.equal(wanted, headers.date(text)) end)
  end
  it("refuses others", function()
    for _, text in ipairs { "", "tomorrow", "Wed, 21 Foo 2015 07:28:00 GMT", "2015-10-21T07:28:00Z" } do
      assert.is_nil(headers.date(text))
    end
  end)
end)

describe("url", function()
  for text, wanted in pairs {
    ["https://a.b/c?d=e"] = "https://a.b:443", ["HTTP://A.b:80"] = "http://a.b:80",
    ["https://[::1]:5/x"] = "https://[::1]:5",
  } do
    it("parses " .. text, function() assert.equal(wanted, url.parse(text).origin) end)
  end
  for _, text in ipairs { "", "a.b", "//a.b", "ftp://a", "https://", "https://a:0", "https://a:70000", "https://a:x",
    "https://u@a", "https://a b", "https://a\\b", "https://a/\n", "https://[::1", "https://a/é", "https:///x" } do
    it(("refuses %q"):format(text), function()
      local parsed, reason = url.parse(text)
      assert.is_nil(parsed)
      assert.is_string(reason)
    end)
  end
  for reference, wanted in pairs {
    ["/x?y"] = "https://h:1/x?y", ["x"] = "https://h:1/a/x", ["?q"] = "https://h:1/a/b?q", ["//o/x"] = "https://o/x",
    ["http://o"] = "http://o/", ["../x"] = "https://h:1/x", ["/a/./b/../c"] = "https://h:1/a/c",
    ["../../../x"] = "https://h:1/x",
  } do
    it("resolves " .. reference, function()
      assert.equal(wanted, url.format(assert(url.resolve(url.parse "https://h:1/a/b?z", reference))))
    end)
  end
  for host, private in pairs {
    ["a.b"] = false, ["8.8.8.8"] = false, ["172.32.0.1"] = false, ["100.128.0.1"] = false,
    ["[2606:4700::1111]"] = false,
    ["10.1.1.1"] = true, ["172.16.0.1"] = true, ["192.168.1.1"] = true, ["127.0.0.1"] = true, ["0.0.0.0"] = true,
    ["169.254.1.1"] = true, ["100.64.0.1"] = true, ["224.0.0.1"] = true, ["localhost"] = true, ["x.localhost"] = true,
    ["[::1]"] = true, ["[::]"] = true, ["[fe80::1]"] = true, ["[fc00::1]"] = true, ["[::ffff:8.8.8.8]"] = true,
    ["[2002:7f00:1::]"] = true, ["2130706433"] = true, ["0x7f000001"] = true, ["127.1"] = true, ["0177.0.0.1"] = true,
    ["1.2.3.4.5"] = true, ["1.1.1.1."] = true, ["198.18.0.1"] = true, ["300.1.1.1"] = true,
  } do
    it(host .. (private and " is private" or " is public"), function()
      assert.equal(private, url.is_private(host))
    end)
  end
  it("escapes", function() assert.equal("a%2Fb%3Ac~%25%C3%A9", url.escape "a/b:c~%é") end)
end)

describe("auth.base64", function()
  for plain, wanted in pairs {
    [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=", foobar = "Zm9vYmFy",
    ["\255\254\253"] = "//79", ["\0"] = "AA==",
  } do
    it(("writes %q"):format(plain), function() assert.equal(wanted, auth.base64(plain)) end)
  end
end)
