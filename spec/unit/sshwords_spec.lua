-- What ssh printed when it failed (src/sshwords.c), as text for an error message, what to do next, and whether a
-- request may have reached the Engine.

local pure = require "spec.support.pureprobe"

local CHANGED = "@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n"
  .. "@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\nIT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n"
  .. "Offending ED25519 key in /home/me/.ssh/known_hosts:3\r\nHost key verification failed.\r\n"

describe("sshwords", function()
  local texts = {
    { "", "" },
    { "\r\n \n", "" },
    { "ssh: connect to host h port 22: Connection refused\r\n", "ssh: connect to host h port 22: Connection refused" },
    { "one\ntwo\n\n--- \nthree", "one; two; three" },
    { "a\tb\27[1mc\0d\127e\n", "a b [1mc d e" },
    { CHANGED, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!; IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING "
      .. "NASTY!; Offending ED25519 key in /home/me/.ssh/known_hosts:3; Host key verification failed" },
    { "Permission denied (publickey).\r\n", "Permission denied (publickey)" },
  }
  for _, case in ipairs(texts) do
    it(("joins lines: %q"):format(case[1]:sub(1, 40)):gsub("\\?\n", "\\n"), function()
      assert.equal(case[2], (pure.sshwords(case[1], 256)))
    end)
  end

  it("keeps the end where there is no room for all", function()
    assert.equal("…two; three", (pure.sshwords("one\ntwo\nthree\n", 14)))
    assert.equal("one; two; three", (pure.sshwords("one\ntwo\nthree\n", 19)))
    assert.equal("…three", (pure.sshwords("one\ntwo\nthree\n", 13)))
    assert.equal("…56789", (pure.sshwords("0123456789\n", 9)))
    for size = 0, 40 do
      local text = pure.sshwords("first line\nsecond line\n", size)
      assert.is_true(#text < math.max(size, 1))
      assert.is_truthy(size < 5 or text:find("line", 1, true) or text:find("e$"))
    end
  end)

  local advice = {
    { "me@h: Permission denied (publickey).\r\n", "ssh%-agent" },
    { "Received disconnect from h: 2: Too many authentication failures\r\n", "IdentitiesOnly" },
    { "No ED25519 host key is known for h.\r\nHost key verification failed.\r\n", "accept the host's key" },
    { CHANGED, "ssh%-keygen %-R" },
    { "ssh: Could not resolve hostname h: Name or service not known\r\n", "Check the host's name" },
    { "bash: line 1: docker: command not found\n", "Install Docker's client there", 127 },
    { "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "Start the Engine there", 1 },
    { "failed to open the raw stream connection: dial unix /nowhere: connect: no such file or directory",
      "Start the Engine there", 1 },
    { "failed to open the raw stream connection: dial unix /var/run/docker.sock: connect: permission denied",
      "group that owns the socket", 1 },
    { "docker: 'system dial-stdio' is not a docker command.", "18.09", 1 },
    { "kex_exchange_identification: Connection closed by remote host\r\n", "See what `ssh HOST docker version` says" },
    { "", "See what `ssh HOST docker version` says", -1 },
  }
  for _, case in ipairs(advice) do
    it(("advises on %q"):format(case[1]:sub(1, 40)):gsub("\\?\n", "\\n"), function()
      assert.matches(case[2], (select(2, pure.sshwords(case[1], 100, case[3]))))
    end)
  end

  local unreached = {
    { "h: Permission denied (publickey).", 255, true }, { "Host key verification failed.", 255, true },
    { "kex_exchange_identification: Connection closed by remote host", 255, true },
    { "ssh: connect to host h port 22: Connection timed out", 255, true },
    { "bash: line 1: docker: command not found", 127, true }, { "", 127, true }, { "Permission denied", 126, true },
    { "failed to open the raw stream connection: dial unix", 1, true },
    { "Timeout, server h not responding.", 255, false }, { "client_loop: send disconnect: Broken pipe", 255, false },
    { "", 255, false }, { "", 0, false }, { "EOF", 1, false }, { "Permission denied (publickey).", -1, false },
    { "failed to open the raw stream connection: dial unix", 0, false },
  }
  for _, case in ipairs(unreached) do
    it(("tells whether %q, %d is before the Engine"):format(case[1], case[2]), function()
      assert.equal(case[3], (select(3, pure.sshwords(case[1], 100, case[2]))))
    end)
  end
end)
