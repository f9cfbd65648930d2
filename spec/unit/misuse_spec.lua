-- What bad input to the container operations gets: an error at the caller's line that names the argument, before any
-- request. The client's socket does not exist, so whatever asked would get nil, err of kind "unreachable" instead.

local docker = require "docker_watcher.docker"

local client = docker.connect { host = "unix:///nonexistent/docker-watcher.sock" }
local long = ("x"):rep(256)
local loop = {} -- a table that holds itself
loop.loop = loop

--- A case: what is called, in a function of one line, and text that the message must have behind the file and line.
local cases = {
  { "an id that is a number",
    function() client:start_container(1) end,
    "start_container: container: string expected, got number" },
  { "no id", function() client:inspect_container() end, "inspect_container: container: string expected, got no value" },
  { "an empty id", function() client:stop_container("") end, "stop_container: container: the id or name is empty" },
  { "an empty id (semantics 42)",
    function() client:remove_container("") end,
    "remove_container: container: the id or name is empty" },
  { "an id with '/'", function() client:restart_container("a/b") end, "restart_container: container: '/'" },
  { "'..' as an id", function() client:inspect_container("..") end, "inspect_container: container: '..' is no id" },
  { "an id with NUL", function() client:wait_container("a\0b") end, "wait_container: container: byte 0" },
  { "an id with a newline", function() client:wait_healthy("a\nb") end, "wait_healthy: container: byte 10" },
  { "an id with a blank", function() client:logs("a b") end, "logs: container: byte 32" },
  { "an id that is too long", function() client:logs(long) end, "logs: container: longer than 255 bytes" },
  { "a table without id",
    function() client:start_container({}) end,
    "start_container: container: the table given has no string field 'id'" },
  { "options that are no table",
    function() client:start_container("a", 5) end,
    "start_container: options table expected" },
  { "a negative timeout",
    function() client:start_container("a", { timeout = -1 }) end,
    "start_container: option 'timeout': seconds" },
  { "a timeout that is NaN", function() client:start_container("a", { timeout = 0 / 0 }) end, "option 'timeout'" },
  { "a ctx that is none", function() client:start_container("a", { ctx = {} }) end, "option 'ctx': context" },
  { "an unknown option",
    function() client:start_container("a", { tiemout = 1 }) end,
    "unknown option 'tiemout' (did you mean 'timeout'?)" },
  { "an unknown option of stop",
    function() client:stop_container("a", { stop_timout = 1 }) end,
    "did you mean 'stop_timeout'?" },
  { "stop_timeout below -1",
    function() client:stop_container("a", { stop_timeout = -2 }) end,
    "stop_container: option 'stop_timeout'" },
  { "stop_timeout with a fraction",
    function() client:restart_container("a", { stop_timeout = 1.5 }) end,
    "restart_container: option 'stop_timeout'" },
  { "an empty signal",
    function() client:stop_container("a", { signal = "" }) end,
    "stop_container: option 'signal': it is empty" },
  { "force that is a string",
    function() client:remove_container("a", { force = "yes" }) end,
    "option 'force': boolean expected, got string" },
  { "an unknown condition",
    function() client:wait_container("a", { condition = "gone" }) end,
    "option 'condition': not-running, next-exit or removed" },

  { "list: a status that is none",
    function() client:list_containers { status = "up" } end,
    "option 'status': created" },
  { "list: a status in a list",
    function() client:list_containers { status = { "running", 1 } } end,
    "option 'status'" },
  { "list: a label's value",
    function() client:list_containers { labels = { a = 1 } } end,
    "option 'labels': 'a': string, or true" },
  { "list: a label's name",
    function() client:list_containers { labels = { ["a=b"] = "c" } } end,
    "option 'labels': 'a=b' is no label's name" },
  { "list: labels as a list",
    function() client:list_containers { labels = { "a" } } end,
    "option 'labels': names are strings" },
  { "list: an empty name", function() client:list_containers { name = "" } end, "option 'name'" },
  { "list: a project that is none",
    function() client:list_containers { project = "Shop" } end,
    "option 'project': lower-case" },
  { "list: a negative limit", function() client:list_containers { limit = -1 } end, "option 'limit'" },
  { "list: a filter's value",
    function() client:list_containers { filters = { label = { {} } } } end,
    "option 'filters': 'label'" },
  { "list: an unknown option", function() client:list_containers { lables = {} } end, "did you mean 'labels'?" },

  { "logs: neither stdout nor stderr",
    function() client:logs("a", { stdout = false, stderr = false }) end,
    "options 'stdout' and 'stderr'" },
  { "logs: a negative tail", function() client:logs("a", { tail = -1 }) end, "option 'tail'" },
  { "logs: a tail that is a word", function() client:logs("a", { tail = "some" }) end, "option 'tail'" },
  { "logs: a since in the past of Unix", function() client:logs("a", { since = -5 }) end, "option 'since': seconds" },
  { "logs: 'until' is a word of Lua", function() client:logs("a", { ["until"] = 5 }) end, "did you mean 'until_'?" },

  { "create: no table",
    function() client:create_container("web") end,
    "create_container: options table expected, got string" },
  { "create: no image", function() client:create_container {} end, "option 'image' is missing" },
  { "create: an image in capitals",
    function() client:create_container { image = "Web/App" } end,
    "create_container: image 'Web/App'" },
  { "create: an image with an empty tag",
    function() client:create_container { image = "app:" } end,
    "invalid reference format" },
  { "create: an unknown option",
    function() client:create_container { image = "a", prots = {} } end,
    "unknown option 'prots' (did you mean 'ports'?)" },
  { "create: the last option's near miss",
    function() client:create_container { image = "a", auto_remov = true } end,
    "did you mean 'auto_remove'?" },
  { "create: a name with a blank",
    function() client:create_container { image = "a", name = "a b" } end,
    "option 'name'" },
  { "create: a name that begins with '-'",
    function() client:create_container { image = "a", name = "-a" } end,
    "option 'name': letters" },
  { "create: a project without a stage",
    function() client:create_container { image = "a", project = "p" } end,
    "'stage' is missing" },
  { "create: a stage without a project",
    function() client:create_container { image = "a", stage = "s" } end,
    "'project' is missing" },
  { "create: a stage with capitals",
    function() client:create_container { image = "a", project = "p", stage = "S" } end,
    "option 'stage': lower-case" },
  { "create: a tag without a project",
    function() client:create_container { image = "a", tag = "1" } end,
    "option 'tag': it needs 'project' and 'stage'" },
  { "create: an empty tag",
    function() client:create_container { image = "a", project = "p", stage = "s", tag = "" } end,
    "option 'tag': it is empty" },
  { "create: a digest that is none",
    function() client:create_container { image = "a", project = "p", stage = "s", digest = "sha256:1" } end,
    "option 'digest'" },
  { "create: an env name with '='",
    function() client:create_container { image = "a", env = { ["A=B"] = "c" } } end,
    "option 'env': name 'A=B': it holds a '='" },
  { "create: an empty env name",
    function() client:create_container { image = "a", env = { [""] = "c" } } end,
    "option 'env': a name is empty" },
  { "create: an env item without a name",
    function() client:create_container { image = "a", env = { "A=b", "=c" } } end,
    "option 'env': item 2 has no name" },
  { "create: an env name with NUL",
    function() client:create_container { image = "a", env = { ["a\0"] = "c" } } end,
    "option 'env'" },
  { "create: an env value with NUL",
    function() client:create_container { image = "a", env = { A = "c\0" } } end,
    "the value of 'A' holds a NUL byte" },
  { "create: an env value that is a table",
    function() client:create_container { image = "a", env = { A = {} } } end,
    "the value of 'A': string, number or boolean expected, got table" },
  { "create: an env that is half a list",
    function() client:create_container { image = "a", env = { "A=b", C = "d" } } end,
    "option 'env'" },
  { "create: a label that is a number",
    function() client:create_container { image = "a", labels = { a = 1 } } end,
    "option 'labels': 'a': string expected, got number" },
  { "create: a label without a name",
    function() client:create_container { image = "a", labels = { [""] = "b" } } end,
    "option 'labels': a name is empty" },
  { "create: a label of ownership",
    function() client:create_container { image = "a", labels = { ["docker-watcher.stage"] = "b" } } end,
    "'docker-watcher.stage' is set by" },
  { "create: a label of ownership in raw",
    function() client:create_container { image = "a", raw = { Labels = { ["docker-watcher.tag"] = "b" } } } end,
    "'docker-watcher.tag' is set by" },
  { "create: a word for ports",
    function() client:create_container { image = "a", ports = "all" } end,
    "option 'ports': \"exposed\"" },
  { "create: ports as a list",
    function() client:create_container { image = "a", ports = { 8080 } } end,
    "option 'ports': keys like \"8080/tcp\"" },
  { "create: port 0",
    function() client:create_container { image = "a", ports = { ["0/tcp"] = true } } end,
    "a port (1 to 65535)" },
  { "create: port 65536",
    function() client:create_container { image = "a", ports = { ["65536"] = true } } end,
    "a port (1 to 65535)" },
  { "create: an unknown protocol",
    function() client:create_container { image = "a", ports = { ["80/http"] = true } } end,
    "'80/http': the protocol is tcp, udp or sctp" },
  { "create: host port 0",
    function() client:create_container { image = "a", ports = { ["80/tcp"] = 0 } } end,
    "'80/tcp': a host port (1 to 65535) expected, got 0" },
  { "create: host port 65536",
    function() client:create_container { image = "a", ports = { ["80/tcp"] = { { host_port = 65536 } } } } end,
    "a host port (1 to 65535)" },
  { "create: host port false",
    function() client:create_container { image = "a", ports = { ["80/tcp"] = false } } end,
    "'80/tcp': true, a host port" },
  { "create: a binding's unknown field",
    function() client:create_container { image = "a", ports = { ["80"] = { host_prt = 1 } } } end,
    "did you mean 'host_port'?" },
  { "create: a port twice",
    function() client:create_container { image = "a", ports = { ["80"] = true, ["80/tcp"] = true } } end,
    "is there twice" },
  { "create: aliases without a network",
    function() client:create_container { image = "a", aliases = { "b" } } end,
    "option 'aliases': it needs the option 'network'" },
  { "create: aliases on the host's network",
    function() client:create_container { image = "a", network = "host", aliases = { "b" } } end,
    "the network 'host' has no names" },
  { "create: a cmd with a number",
    function() client:create_container { image = "a", cmd = { "a", 1 } } end,
    "option 'cmd': a list of strings expected" },
  { "create: a cmd with a hole",
    function() client:create_container { image = "a", cmd = { "a", nil, "b" } } end,
    "option 'cmd': a list of strings expected" },
  { "create: an unknown restart policy",
    function() client:create_container { image = "a", restart = "sometimes" } end,
    "option 'restart'" },
  { "create: retries of another policy",
    function() client:create_container { image = "a", restart = "always:3" } end,
    "option 'restart'" },
  { "create: retries that are no number",
    function() client:create_container { image = "a", restart = "on-failure:" } end,
    "option 'restart'" },
  { "create: a health check's unknown field",
    function() client:create_container { image = "a", healthcheck = { tests = "b" } } end,
    "did you mean 'test'?" },
  { "create: an interval below 1 ms (semantics 25)",
    function() client:create_container { image = "a", healthcheck = { interval = 0.0001 } } end,
    "option 'healthcheck': interval: seconds, 0" },
  { "create: a test without its keyword",
    function() client:create_container { image = "a", healthcheck = { test = { "curl", "-f" } } } end,
    "test: a list begins with CMD" },
  { "create: a health check that is true",
    function() client:create_container { image = "a", healthcheck = true } end,
    "option 'healthcheck'" },
  { "create: a memory that is a word",
    function() client:create_container { image = "a", memory = "lots" } end,
    "option 'memory': a number of bytes" },
  { "create: a memory in an unknown unit",
    function() client:create_container { image = "a", memory = "5x" } end,
    "option 'memory': a number of bytes" },
  { "create: a memory below 0",
    function() client:create_container { image = "a", memory = -1 } end,
    "option 'memory': a number of bytes" },
  { "create: no cpus", function() client:create_container { image = "a", cpus = 0 } end, "option 'cpus'" },
  { "create: a mount without a target",
    function() client:create_container { image = "a", mounts = { { source = "b" } } } end,
    "option 'mounts': item 1: target is missing" },
  { "create: a bind without a source",
    function() client:create_container { image = "a", mounts = { { type = "bind", target = "/b" } } } end,
    "item 1: source is missing" },
  { "create: an unknown type of mount",
    function() client:create_container { image = "a", mounts = { { type = "usb", target = "/b" } } } end,
    "item 1: type" },
  { "create: a mount that is a string",
    function() client:create_container { image = "a", mounts = { "/a:/b" } } end,
    "item 1: table expected, got string" },
  { "create: a tmpfs without a path",
    function() client:create_container { image = "a", tmpfs = { "run" } } end,
    "option 'tmpfs'" },
  { "create: a device without a path",
    function() client:create_container { image = "a", devices = { "fuse" } } end,
    "option 'devices'" },
  { "create: a device's rights",
    function() client:create_container { image = "a", devices = { "/dev/a:/dev/b:x" } } end,
    "option 'devices'" },
  { "create: a limit that is text",
    function() client:create_container { image = "a", ulimits = { nofile = "many" } } end,
    "option 'ulimits': 'nofile'" },
  { "create: half a limit",
    function() client:create_container { image = "a", ulimits = { nofile = { soft = 1 } } } end,
    "option 'ulimits': 'nofile'" },
  { "create: what JSON cannot carry",
    function() client:create_container { image = "a", raw = { X = print } } end,
    "create_container: X: function cannot be sent as JSON" },
  { "create: a table that holds itself",
    function() client:create_container { image = "a", raw = loop } end,
    "contains itself" },
  { "create: an instance id with a blank",
    function() client:create_container { image = "a", project = "p", stage = "s", instance_id = "a b" } end,
    "option 'instance_id'" },

  { "container_name: a project in capitals",
    function() docker.container_name("P", "s", "1") end,
    "container_name: project 'P'" },
  { "container_name: no tag",
    function() docker.container_name("p", "s") end,
    "container_name: tag: string expected, got no value" },
  { "container_name: an empty tag",
    function() docker.container_name("p", "s", "") end,
    "container_name: tag: it is empty" },
  { "container_name: too long", function() docker.container_name(long, "s", "1") end, "LIMIT_CONTAINER_NAME" },
  { "parse_reference: no text",
    function() docker.parse_reference({}) end,
    "parse_reference: reference: string expected, got table" },
}

describe("misuse raises at the caller's line, before any request:", function()
  for _, case in ipairs(cases) do
    local what, call, text = table.unpack(case)
    it(what, function()
      local info = debug.getinfo(call, "S")
      local ok, message = pcall(call)
      assert.is_false(ok, "it did not raise")
      assert.is_string(message)
      local where = ("%s:%d: "):format(info.short_src, info.linedefined)
      assert.equal(where, message:sub(1, #where))
      assert.truthy(message:find(text, #where + 1, true), message)
    end)
  end

  it("and the same client asks, and fails as the world does, when the input is good", function()
    local ok, err = client:create_container {
      image = "a", ports = { ["80"] = { 8080, true } }, healthcheck = { retries = 3 },
    }
    assert.is_nil(ok)
    assert.equal("unreachable", err.kind)
  end)

  it("no message shows a value of env", function()
    for _, env in ipairs { { ["A="] = "hunter2" }, { A = "hunter2\0" }, { "=hunter2" }, { "A=hunter2\0" } } do
      local ok, message = pcall(function() client:create_container { image = "a", env = env } end)
      assert.is_false(ok)
      assert.is_nil(message:find("hunter2", 1, true), message)
    end
  end)
end)

describe("names", function()
  it("container_name is dw-{project}-{stage}-{tag}, and a changed tag has a hash behind it", function()
    assert.equal("dw-shop-staging-1.0.0", docker.container_name("shop", "staging", "1.0.0"))
    local slash = docker.container_name("shop", "staging", "a/b")
    local colon = docker.container_name("shop", "staging", "a:b")
    assert.truthy(slash:find("^dw%-shop%-staging%-a%-b%-%x%x%x%x%x%x%x%x$"), slash)
    assert.not_equal(slash, colon)
    assert.is_true(#docker.container_name("p", "s", ("t"):rep(4096)) <= 200)
  end)

  it("parse_reference gives familiar and full names (semantics 16)", function()
    assert.same({ domain = "docker.io", path = "library/ubuntu", familiar = "ubuntu:22.04", tag = "22.04" },
      docker.parse_reference("ubuntu:22.04"))
    local digest = "sha256:" .. ("a"):rep(64)
    assert.same({ domain = "host:5000", path = "app", familiar = "host:5000/app@" .. digest, digest = digest },
      docker.parse_reference("host:5000/app@" .. digest))
    assert.same({ domain = "docker.io", path = "acme/web", familiar = "acme/web" },
      docker.parse_reference("index.docker.io/acme/web"))
  end)

  it("parse_reference answers nil, err of kind invalid for what is no reference", function()
    for text, reason in pairs {
      ["acme/Web:1"] = "lowercase", [""] = "invalid reference format", [("a"):rep(64)] = "hexadecimal",
      ["a b"] = "invalid reference format",
    } do
      local ref, err = docker.parse_reference(text)
      assert.is_nil(ref)
      assert.equal("invalid", err.kind)
      assert.truthy(tostring(err):find(reason, 1, true), tostring(err))
    end
  end)
end)
