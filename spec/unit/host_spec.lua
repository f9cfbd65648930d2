-- loop.fd, next_timeout and step (src/host.c): our tasks in a loop of somebody else's, which is poll(2) here. What luv
-- and cqueues make of them is in spec/engine/hosts_spec.lua.

local child = require "spec.support.child"
local docker = require "docker_watcher.docker"
local http = require "docker_watcher.http"
local loop = require "docker_watcher.loop"
local poll = require "spec.support.pollprobe"
local scripted = require "spec.support.scripted"

local LONG = 30

-- Asked for once: each fd() looks at events, as step() and next_timeout() do.
local fd = loop.fd()

-- The whole of a host: steps until nothing lives. It knows only what step told it before the wait. Answers how often
-- it went round.
local function drive()
  local turns = 0
  while loop.step() > 0 do
    turns = turns + 1
    poll(fd, loop.next_timeout())
  end
  return turns
end

-- What follows every piece of work: nothing left to do, and the descriptor says so.
local function settled()
  assert.equal(0, loop.step())
  assert.is_nil(loop.next_timeout())
  assert.is_false(poll(fd, 0))
end

describe("a program's own poll()", function()
  after_each(settled)

  it("drives tasks", function()
    assert.equal("integer", math.type(fd))
    assert.equal(fd, loop.fd())
    local finished = 0
    for i = 1, 3 do loop.spawn(function() loop.sleep(i / 200); finished = finished + 1 end) end
    assert.equal(0, loop.next_timeout()) -- there is something to start
    local turns = drive()
    assert.equal(3, finished)
    assert.is_true(turns < 20, turns .. " turns") -- it waits rather than spins
  end)

  it("drives requests, and sleeps while they take their time", function()
    local server <close> = scripted.start {
      unix = false,
      routes = { { prefix = "/", reply = { framing = "chunked", body = { "o", { delay = 0.1 }, "k" } } } },
    }
    local url, bodies = server.host:gsub("^tcp", "http") .. "/", {}
    for i = 1, 10 do loop.spawn(function() bodies[i] = assert(http.request { url = url }).body end) end
    local turns = drive()
    assert.equal("okokokokokokokokokok", table.concat(bodies))
    assert.is_true(turns < 300, turns .. " turns")
  end)

  it("ends a call at its deadline, and a context's", function()
    local server <close> = scripted.start {
      unix = false, routes = { { prefix = "/", reply = { raw = { { wait = true } } } } },
    }
    local url, kinds = server.host:gsub("^tcp", "http") .. "/", {}
    loop.spawn(function() kinds[1] = select(2, http.request { url = url, timeout = 0.05 }).kind end)
    loop.spawn(function()
      kinds[2] = select(2, http.request { url = url, ctx = docker.context { timeout = 0.08 } }).kind
    end)
    drive()
    assert.same({ "timeout", "timeout" }, kinds)
  end)

  it("is raised the errors of tasks, and the others live on", function()
    local done
    loop.spawn(function() error("mine", 0) end)
    loop.spawn(function() error({ "a value" }) end)
    loop.spawn(function() loop.sleep(0.001); done = true end)
    local ok, err = pcall(loop.step)
    assert.is_false(ok)
    assert.matches("^mine\nstack traceback", err)
    assert.is_true(poll(fd, 0)) -- there is more to do at once
    ok, err = pcall(loop.step)
    assert.is_false(ok)
    assert.same({ "a value" }, err)
    drive()
    assert.is_true(done)
  end)

  it("is asked to step again behind an error: it does not know how many live", function()
    loop.spawn(function() error("mine", 0) end)
    assert.is_false(pcall(loop.step))
    assert.equal(0, loop.next_timeout())
    assert.is_true(poll(fd, 0))
  end)

  it("finds a task's error where it is joined", function()
    local caught
    local failing = loop.spawn(function() loop.sleep(0.001); error("mine", 0) end)
    loop.spawn(function() caught = select(2, pcall(failing.join, failing)) end)
    drive()
    assert.matches("^mine", caught)
  end)

  it("may step in a coroutine, too", function()
    local task = loop.spawn(function() return loop.sleep(0.001) end)
    coroutine.wrap(drive)()
    assert.is_true(task:join())
  end)
end)

describe("the descriptor", function()
  after_each(settled)

  it("is readable as long as a task waits to be started, whoever looks", function()
    loop.spawn(function() end)
    for _ = 1, 3 do
      assert.is_true(poll(fd, 0))
      assert.equal(0, loop.next_timeout())
    end
    loop.step()
  end)

  it("is readable as long as a task yields of itself", function()
    local left = 3
    loop.spawn(function() while left > 0 do left = left - 1; coroutine.yield() end end)
    local turns = 0
    while loop.step() > 0 do
      assert.is_true(poll(fd, 0))
      turns = turns + 1
      assert.is_true(turns < 10)
    end
  end)

  it("is not while tasks only sleep", function()
    local task = loop.spawn(function() return loop.sleep(LONG) end)
    assert.equal(1, loop.step())
    assert.is_false(poll(fd, 0))
    local wait = loop.next_timeout()
    assert.is_true(wait > LONG - 5 and wait <= LONG)
    task:cancel()
    drive()
  end)

  for what, cancel in pairs {
    ["a task"] = function(task) task:cancel() end,
    ["its context"] = function(_, ctx) ctx:cancel() end,
    ["the client that it uses"] = function(_, _, client) client:close() end,
  } do
    it("becomes readable when the host cancels " .. what, function()
      local server <close> = scripted.start { routes = { { prefix = "/", reply = { raw = { { wait = true } } } } } }
      local client <close> = docker.connect { host = server.host, api_version = "1.41" }
      local ctx, kind = docker.context {}, nil
      local task = loop.spawn(function() kind = select(2, client:info { ctx = ctx }).kind end)
      loop.step()
      loop.next_timeout()
      while poll(fd, 0.05) do loop.step() end -- until it is sent
      cancel(task, ctx, client)
      assert.is_true(poll(fd, LONG))
      loop.step()
      assert.equal("cancelled", kind)
    end)
  end

  it("becomes readable when a blocking call has taken a task's events along", function()
    local server <close> = scripted.start {
      routes = {
        { path = "/v1.41/info", reply = { framing = "chunked", type = "application/json",
          body = { { wait_for = "slow" }, '{"ID":"one"}' } } },
        { path = "/v1.41/version", reply = { framing = "chunked", type = "application/json",
          body = { { delay = 0.2 }, '{"Version":"20.10"}' } } },
      },
    }
    local client <close> = docker.connect { host = server.host, api_version = "1.41" }
    local id
    loop.spawn(function() id = assert(client:info()).id end)
    loop.step()
    while poll(fd, 0.05) do loop.step() end
    server:signal("slow") -- it answers while the host's callback blocks
    assert.equal("20.10", assert(client:version()).version)
    assert.is_nil(id)
    assert.is_true(poll(fd, LONG))
    loop.step()
    drive()
    assert.equal("one", id)
  end)

  it("knows of a timer that a blocking call's turn has let expire", function()
    local woken
    loop.spawn(function() woken = loop.sleep(0.01) end)
    loop.step()
    loop.sleep(0.05) -- blocks: a host's callback
    assert.is_true(poll(fd, 0))
    drive()
    assert.is_true(woken)
  end)

  it("knows of a signal that next_timeout has seen", function()
    assert.equal("true\t0\ngot it\n", child.check [[
      local poll = require "spec.support.pollprobe"
      local got
      loop.signal("SIGHUP", function() got = "got it" end)
      local fd = loop.fd()
      assert(loop.step() == 0 and loop.next_timeout() == nil)
      os.execute("kill -HUP $PPID")
      assert(poll(fd, 30))
      loop.next_timeout()
      print(poll(fd, 0), math.tointeger(loop.next_timeout()))
      loop.step()
      print(got)
    ]])
  end)
end)
