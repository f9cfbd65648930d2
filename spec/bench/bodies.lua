--[[ bodies.lua FOLDER [ROWS]: writes the replies that nginx serves to `make bench`, the same bytes in every run.

  list.json                             ROWS (1,000) listed containers, about 1.5 MB; shaped like Engine 20.10's
  image.json                            an inspected image
  pull.json, pull-2m.json, pull-20m.json  the progress of a pull of 20 layers; the same drawn out to 2 and 20 MB

The container that is inspected is a real one: `run` saves the Engine's own reply. ]]

local folder, rows = table.unpack(arg)
rows = math.tointeger(tonumber(rows or 1000))
assert(folder and rows, "usage: bodies.lua FOLDER [ROWS]")

local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- Digits that look like a digest and differ with n (xorshift, from a seed that is fixed).
local function hex(n, digits)
  local state = n * 0x9E3779B97F4A7C15 | 1
  local parts = {}
  for i = 1, (digits + 15) // 16 do
    state = state ~ (state << 13)
    state = state ~ (state >> 7)
    state = state ~ (state << 17)
    parts[i] = string.format("%016x", state)
  end
  return table.concat(parts):sub(1, digits)
end

local ROW <const> = [[{"Id":"%s","Names":["/dw-shop-staging-1.%d.%d"],"Image":"registry.example.com/shop/web:1.%d.%d",]]
  .. [["ImageID":"sha256:%s","Command":"/docker-entrypoint.sh nginx -g 'daemon off;'","Created":%d,]]
  .. [["Ports":[{"IP":"0.0.0.0","PrivatePort":8080,"PublicPort":%d,"Type":"tcp"},]]
  .. [[{"IP":"::","PrivatePort":8080,"PublicPort":%d,"Type":"tcp"},{"PrivatePort":9090,"Type":"tcp"}],]]
  .. [["Labels":{"docker-watcher.project":"shop","docker-watcher.stage":"staging","docker-watcher.tag":"1.%d.%d",]]
  .. [["docker-watcher.digest":"sha256:%s","docker-watcher.instance-id":"%s",]]
  .. [["org.opencontainers.image.created":"2026-01-%02dT12:00:00Z","org.opencontainers.image.title":"shop/web",]]
  .. [["org.opencontainers.image.version":"1"},"State":"running","Status":"Up %d hours",]]
  .. [["HostConfig":{"NetworkMode":"staging-net"},"NetworkSettings":{"Networks":{"staging-net":{"IPAMConfig":null,]]
  .. [["Links":null,"Aliases":null,"NetworkID":"%s","EndpointID":"%s","Gateway":"172.20.0.1",]]
  .. [["IPAddress":"172.20.%d.%d","IPPrefixLen":16,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,]]
  .. [["MacAddress":"02:42:ac:14:%02x:%02x","DriverOpts":null}}},"Mounts":[{"Type":"volume","Name":"shop-data-%d",]]
  .. [["Source":"/var/lib/docker/volumes/shop-data-%d/_data","Destination":"/data","Driver":"local","Mode":"z",]]
  .. [["RW":true,"Propagation":""}]}]]

local function row(i)
  local minor, patch, port, high, low = i // 10, i % 10, 32768 + i, i // 250, i % 250 + 2
  return string.format(ROW, hex(i, 64), minor, patch, minor, patch, hex(i % 40 + 1000000, 64), 1767225600 + i * 977,
    port, port, minor, patch, hex(i + 2000000, 64), hex(i + 3000000, 16), i % 28 + 1, i % 47 + 2, hex(4000000, 64),
    hex(i + 5000000, 64), high, low, high, low, i, i)
end

local IMAGE <const> = [[{"Id":"sha256:%s","RepoTags":["bench/app:20layers"],"RepoDigests":["bench/app@sha256:%s"],]]
  .. [["Parent":"","Comment":"","Created":"2026-01-01T00:00:00Z","Container":"","DockerVersion":"","Author":"",]]
  .. [["Config":{"Hostname":"","User":"","Env":["PATH=/bin"],"Cmd":["/bin/sh"],"ExposedPorts":{"8080/tcp":{}},]]
  .. [["WorkingDir":"/","Entrypoint":null,"Labels":{"team":"web"},"Volumes":null},"Architecture":"amd64","Os":"linux",]]
  .. [["Size":20971520,"VirtualSize":20971520,"RootFS":{"Type":"layers","Layers":["sha256:%s"]}}]]

local BAR <const> = [[{"status":"%s","progressDetail":{"current":%d,"total":%d},]]
  .. [["progress":"[%s\u003e%s]  %.1fkB/1.049MB","id":"%s"}]]

--- The lines that the Engine writes for a pull; each phase of a layer is reported `steps` times.
local function progress(steps)
  local out = {}
  local function say(format, ...) out[#out + 1] = string.format(format, ...) .. "\r\n" end
  local total <const> = 1048896
  say('{"status":"Pulling from bench/app","id":"20layers"}')
  for layer = 1, 20 do say('{"status":"Pulling fs layer","progressDetail":{},"id":"%s"}', hex(layer, 12)) end
  for layer = 4, 20 do say('{"status":"Waiting","progressDetail":{},"id":"%s"}', hex(layer, 12)) end
  local function bar(status, layer, step)
    local done = total * step // steps
    local filled = 50 * step // steps
    say(BAR, status, done, total, ("="):rep(filled), (" "):rep(50 - filled), done / 1000, hex(layer, 12))
  end
  for layer = 1, 20 do
    for step = 1, steps do bar("Downloading", layer, step) end
    say('{"status":"Verifying Checksum","progressDetail":{},"id":"%s"}', hex(layer, 12))
    say('{"status":"Download complete","progressDetail":{},"id":"%s"}', hex(layer, 12))
  end
  for layer = 1, 20 do
    for step = 1, steps do bar("Extracting", layer, step) end
    say('{"status":"Pull complete","progressDetail":{},"id":"%s"}', hex(layer, 12))
  end
  say('{"status":"Digest: sha256:%s"}', hex(7000000, 64))
  say('{"status":"Status: Downloaded newer image for bench/app:20layers"}')
  return table.concat(out)
end

local list = {}
for i = 1, rows do list[i] = row(i) end
local lines = {} -- all of stdout, so that they may be gathered
for i = 1, 40000 do
  local line = "2026-01-01T00:00:00Z GET /shop/item/" .. i .. " 200 0.0123"
  line = line .. (" "):rep(106 - #line) .. "\n"
  lines[i] = string.pack(">BxxxI4", 1, #line) .. line
end
write("logs.frames", table.concat(lines))
write("list.json", "[" .. table.concat(list, ",") .. "]\n")
write("image.json", IMAGE:format(hex(6000000, 64), hex(7000000, 64), hex(8000000, 64)))
write("pull.json", progress(8))
write("pull-2m.json", progress(280))
write("pull-20m.json", progress(2800))
