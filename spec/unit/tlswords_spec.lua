-- What libcurl said of a TLS connection that came to nothing (src/tlswords.c), as text for an error message, and what
-- to do next.

local pure = require "spec.support.pureprobe"

describe("tlswords", function()
  local cases = {
    { "SSL certificate problem: unable to get local issuer certificate", "nobody who is trusted here", "tls%.ca" },
    { "SSL certificate problem: self-signed certificate in certificate chain", "nobody who is trusted", "tls%.ca" },
    { "server certificate verification failed. CAfile: none CRLfile: none", "nobody who is trusted here", "tls%.ca" },
    { "SSL certificate problem: certificate has expired", "its certificate has expired", "clock is wrong" },
    { "server certificate expiration date has passed.", "its certificate has expired", "clock is wrong" },
    { "SSL certificate problem: certificate is not yet valid", "not valid yet", "clock right" },
    { "SSL: no alternative certificate subject name matches target host name 'h'", "another host", "subjectAltName" },
    { "SSL: certificate subject name (server) does not match target host name 'h'", "another host", "subjectAltName" },
    { "OpenSSL SSL_read: OpenSSL/3.0.22: error:0A000412:SSL routines::sslv3 alert bad certificate, errno 0",
      "^it refuses our certificate %(alert bad certificate%)$", "must be signed", true },
    { "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0",
      "%(alert certificate required%)$", "must be signed", true },
    { "TLSv1.3 (IN), TLS alert, unknown CA: tlsv1 alert unknown ca", "refuses", "must be signed", true },
    { "error setting certificate file: /nowhere/ca.pem", "trusted certificates .*/nowhere/ca.pem", "tls%.ca" },
    { "error setting certificate verify locations:  CAfile: /nowhere CApath: none", "CAfile: /nowhere", "tls%.ca" },
    { "could not load PEM client certificate from x.pem, OpenSSL error error:80000002:system library::No such file or "
      .. "directory, (no key found, wrong pass phrase, or wrong file format?)", "certificate .*x%.pem", "cert%.pem" },
    { "unable to set private key file: 'key' type PEM", "file of our key .*'key'", "key%.pem" },
    { "OpenSSL/3.0.22: error:0A00010B:SSL routines::wrong version number", "nobody speaks TLS there", "2376" },
  }
  for _, case in ipairs(cases) do
    it("knows: " .. case[1]:sub(1, 80), function()
      local text, advice, refused = pure.tlswords(case[1], 256, true)
      assert.matches(case[2], text)
      assert.matches(case[3], advice)
      assert.equal(case[4] or false, refused)
    end)
  end

  it("tells a certificate that is missing from one that is refused", function()
    local text, advice = pure.tlswords("sslv3 alert bad certificate, errno 0", 256, false)
    assert.equal("it wants a certificate of ours (alert bad certificate)", text)
    assert.matches("^Name a certificate", advice)
    text, advice = pure.tlswords(nil, 256, false)
    assert.matches("wants a certificate of ours$", text)
    assert.matches("^Name a certificate", advice)
    assert.matches("refuses our certificate$", (pure.tlswords(nil, 256, true)))
  end)

  it("leaves what it does not know as it is", function()
    for _, text in ipairs { "", "handshake failure", "Connection reset by peer" } do
      local same, advice, refused = pure.tlswords(text, 256, true)
      assert.equal(text, same)
      assert.is_nil(advice)
      assert.is_false(refused)
    end
  end)

  it("keeps to the room that there is", function()
    for size = 1, 120 do
      assert.is_true(#pure.tlswords("certificate has expired", size, true) < size)
      assert.is_true(#pure.tlswords(nil, size, true) < size)
    end
    assert.equal(255, #pure.tlswords("certificate has expired" .. ("x"):rep(250), 256, true))
  end)
end)
