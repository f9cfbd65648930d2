-- loop.signal (src/signal.c), and Ctrl-C in lua5.4 while the loop waits (src/loop.c).

local child = require "spec.support.child"
local loop = require "docker_watcher.loop"

describe("loop.signal", function()
  it("runs a task for each signal, until it is closed", function()
    local out = child.check [[
      local pid = io.open("/proc/self/stat"):read("n")
      local count, handle = 0, nil
      handle = loop.signal("SIGUSR1", function()
        loop.sleep(0)
        count = count + 1
      end)
      loop.run(function()
        os.execute("kill -USR1 " .. pid)
        while count < 1 do loop.sleep(0.001) end
        os.execute("kill -USR1 " .. pid)
        while count < 2 do loop.sleep(0.001) end
      end)
      collectgarbage()
      loop.run(function() os.execute("kill -USR1 " .. pid); while count < 3 do loop.sleep(0.001) end end)
      handle:close()
      handle:close()
      print(count)
    ]]
    assert.equal("3\n", out)
  end)

  it("does not keep run from ending", function()
    assert.equal("done\n", child.check [[
      loop.signal("SIGTERM", function() end)
      loop.run(function() print("done") end)
    ]])
  end)

  it("reaches a program that steps by itself, with no task alive", function()
    assert.equal("got it\n", child.check [[
      local pid = io.open("/proc/self/stat"):read("n")
      local got
      loop.signal("SIGHUP", function() got = true end)
      assert(loop.next_timeout() == nil)
      os.execute("kill -HUP " .. pid)
      for _ = 1, 500 do
        loop.step()
        if got then break end
        loop.sleep(0.01)
      end
      print(got and "got it")
    ]])
  end)

  it("raises the handler's error out of run", function()
    local out = child.check [[
      local pid = io.open("/proc/self/stat"):read("n")
      loop.signal("SIGUSR2", function() error("in the handler", 0) end)
      local _, err = pcall(loop.run, function() os.execute("kill -USR2 " .. pid); loop.sleep(30) end)
      print((err:match("^[^\n]*")))
    ]]
    assert.equal("in the handler\n", out)
  end)

  it("knows its signals", function()
    assert.has_error(function() loop.signal("SIGKILL", print) end)
    assert.has_error(function() loop.signal("SIGINT") end)
  end)
end)

describe("SIGINT in lua5.4", function()
  it("ends a sleep with \"interrupted!\", which pcall catches, and the next one works", function()
    local p <close> = child.start [[
      print "ready"
      print(pcall(function() print(loop.sleep(60)) end))
      print(loop.sleep(0.001))
    ]]
    p:expect("ready")
    p:waits()
    p:kill("INT")
    local out = p:rest()
    assert.matches("false\t[^\n]*interrupted!", out)
    assert.matches("\ntrue\n$", out)
  end)

  it("ends run: tasks are cancelled, may clean up, and \"interrupted!\" is raised", function()
    local p <close> = child.start [[
      print "ready"
      print(pcall(function()
        loop.run(function()
          loop.spawn(function() print(select(2, loop.sleep(60)).kind) end)
          print(select(2, loop.sleep(60)).kind)
        end)
      end))
      print(loop.run(function() return loop.sleep(0.001) end))
    ]]
    p:expect("ready")
    p:waits()
    p:kill("INT")
    local out = p:rest()
    assert.matches("^cancelled\ncancelled\nfalse\t[^\n]*interrupted!", out)
    assert.matches("\ntrue\n$", out)
  end)

  it("ends run where tasks yield all the time", function()
    local p <close> = child.start [[
      print "ready"
      print(pcall(function() loop.run(function() print "in"; while true do coroutine.yield() end end) end))
    ]]
    p:expect("ready")
    p:expect("in")
    p:kill("INT")
    assert.matches("^false\t[^\n]*interrupted!", p:rest())
  end)

  it("ends a wait in a coroutine whose Lua code it met first", function()
    local p <close> = child.start [[
      local pid = io.open("/proc/self/stat"):read("n")
      print(pcall(function()
        coroutine.wrap(function()
          io.popen("kill -INT " .. pid):close() -- os.execute ignores it meanwhile
          print(select(2, loop.sleep(60)).kind)
        end)()
      end))
    ]]
    assert.matches("^interrupted\nfalse\t[^\n]*interrupted!", p:rest())
  end)
end)
