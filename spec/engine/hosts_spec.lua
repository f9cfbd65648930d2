-- Our tasks inside other event loops (src/host.c), with a real engine: luv, which has a libuv loop of its own beside
-- ours, cqueues, and a poll(2) of the program's own.

local child = require "spec.support.child"
local env = require "spec.support.env"
local hosts = require "spec.support.hosts"
local scripted = require "spec.support.scripted"

local function container()
  local name = env.dispose("container", env.name("hosted"))
  assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, { Image = env.image })))
  return name
end

-- A server that takes requests and never answers them.
local function mute()
  return scripted.start { routes = { { prefix = "/", reply = { raw = { { wait = true } } } } } }
end

for _, host in ipairs { "luv", "cqueues", "poll(2)" } do
  local function check(source, ...)
    return child.check(hosts[host] .. "\n" .. source, ...)
  end

  describe("inside " .. host, function()
    after_each(env.cleanup)

    it("50 containers are inspected at a time while the host's own timer ticks", function()
      local out = check([[
        local client = assert(docker.connect {})
        local flying, most, ticks, good, over = 0, 0, 0, 0, false
        every(0.001, function()
          if flying > 0 then ticks = ticks + 1 end
          return not over
        end)
        main(function()
          assert(client:ping())
          for round = 1, 1000 do
            local tasks = {}
            for i = 1, 50 do
              tasks[i] = loop.spawn(function()
                flying = flying + 1
                if flying > most then most = flying end
                local found, err = client:inspect_container(arg[1])
                flying = flying - 1
                return assert(found, err).name
              end)
            end
            for i = 1, 50 do if tasks[i]:join() == arg[1] then good = good + 1 end end
            if ticks >= 10 then print(good == round * 50, most > 25); break end -- the first may be back early
          end
          over = true
        end)
        print(#failed)
      ]], container())
      assert.equal("true\ttrue\n0\n", out)
    end)

    it("a log is followed while the container runs", function()
      local name = env.dispose("container", env.name("hosted"))
      assert.equal(201, (env.engine("POST", "/containers/create?name=" .. name, {
        Image = env.image, Cmd = { "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.05; done" },
      })))
      assert.equal(204, (env.engine("POST", "/containers/" .. name .. "/start")))
      assert.equal("line 1 line 2 line 3 \n", check([[
        local client = assert(docker.connect {})
        main(function()
          local text = ""
          for chunk in client:logs(arg[1], { follow = true }) do text = text .. chunk end
          print((text:gsub("\n", " ")))
        end)
      ]], name))
    end)

    it("deadlines, cancelled contexts and sleeps end although only the host waits", function()
      local server <close> = mute()
      assert.equal("sleep\ttrue\ndeadline\ttimeout\ncancel\tcancelled\n", check([[
        local client = assert(docker.connect { host = arg[1], api_version = "1.41" })
        local ctx = docker.context {}
        main(function()
          loop.spawn(function()
            print("deadline", select(2, client:info { timeout = 0.1 }).kind)
            every(0.001, function() ctx:cancel(); return false end) -- from a callback of the host's
          end)
          loop.spawn(function() print("cancel", select(2, client:info { ctx = ctx }).kind) end)
          print("sleep", loop.sleep(0.01))
        end)
      ]], server.host))
    end)

    it("a callback of the host's may make blocking calls, spawn and cancel tasks", function()
      local server <close> = mute()
      assert.equal("blocking\ttrue\tfalse\nspawned\ttrue\nsleeper\tcancelled\n", check([[
        local client, silent = assert(docker.connect {}), assert(docker.connect { host = arg[2] })
        local sleeper = loop.spawn(function() print("sleeper", select(2, silent:ping()).kind) end)
        main(function()
          local inside = true
          every(0.001, function()
            print("blocking", client:inspect_container(arg[1]).name == arg[1], inside)
            loop.spawn(function()
              print("spawned", client:inspect_container(arg[1]).name == arg[1])
              every(0.001, function() sleeper:cancel(); return false end)
            end)
            return false
          end)
          loop.sleep(0)
          inside = false
        end)
      ]], container(), server.host))
    end)

    it("a task's error is raised by step, once, and the others live on", function()
      assert.equal("still here\n1\toh no\n", check [[
        main(function()
          loop.spawn(function() loop.sleep(0.001); error("oh no", 0) end)
          loop.sleep(0.02)
          print "still here"
        end)
        print(#failed, failed[1]:match("^[^\n]*"))
      ]])
    end)
  end)
end

describe("inside luv", function()
  after_each(env.cleanup)

  it("children and signals of both loops reach those who wait for them", function()
    assert.equal("child of luv\t3\nsignal of luv\nsignal of ours\n", child.check(hosts.luv .. "\n" .. [[
      local hangups = 0
      local theirs = uv.new_signal()
      theirs:start("sighup", function() print "signal of luv"; hangups = hangups + 1; theirs:close() end)
      local ours
      main(function()
        ours = loop.signal("SIGHUP", function()
          while hangups == 0 do loop.sleep(0.001) end
          print "signal of ours"
          ours:close()
        end)
        local done
        uv.spawn("sh", { args = { "-c", "exit 3" } }, function(code) print("child of luv", code); done = true end)
        while not done do loop.sleep(0.001) end
        os.execute("kill -HUP $PPID")
        while hangups == 0 do loop.sleep(0.001) end
        loop.sleep(0.01)
      end)
    ]]))
  end)
end)
