-- docker_watcher.loop (src/loop.c, src/task.c): tasks, what becomes of their results and errors, cancelling, signals,
-- and living in somebody else's loop. Engine semantics do not come in here; robust C for Lua does: sections 1, 3 and
-- 4.

local child = require "spec.support.child"
local loop = require "docker_watcher.loop"

-- What spec code waits at most where something ends a wait long before.
local LONG = 30

local function closing(list, name)
  return setmetatable({}, { __close = function(_, err) list[#list + 1] = { name, err } end })
end

local function raises_here(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches("^spec/unit/loop_spec.lua:%d+: " .. pattern, err)
end

describe("loop.run", function()
  it("answers what its function returns, nils and all", function()
    assert.same({ n = 4, 1, nil, "x", nil }, table.pack(loop.run(function(...) return ... end, 1, nil, "x", nil)))
    assert.same({ n = 0 }, table.pack(loop.run(function() end)))
  end)

  it("takes and gives many values", function()
    local values = {}
    for i = 1, 5000 do values[i] = i end
    local back = table.pack(loop.run(function(...) return ... end, table.unpack(values)))
    assert.equal(5000, back.n)
    assert.equal(5000, back[5000])
    local joined = loop.run(function()
      return select("#", loop.spawn(function() return table.unpack(values) end):join())
    end)
    assert.equal(5000, joined)
  end)

  it("ends when all tasks have ended, not when its function has", function()
    local done = {}
    loop.run(function()
      loop.spawn(function()
        loop.sleep(0.01)
        loop.spawn(function() loop.sleep(0.01); done[#done + 1] = "grandchild" end)
        done[#done + 1] = "child"
      end)
      done[#done + 1] = "first"
    end)
    assert.same({ "first", "child", "grandchild" }, done)
  end)

  it("starts what was spawned before it", function()
    local task = loop.spawn(function(a, b) return a + b end, 1, 2)
    assert.equal("task (ready)", tostring(task))
    loop.run(function() end)
    assert.equal("task (done)", tostring(task))
    assert.equal(3, task:join())
  end)

  it("inside a task is misuse, at the caller's line", function()
    loop.run(function()
      raises_here("run: the loop is running already", function() loop.run(print) end)
      raises_here("step: the loop is running already", function() loop.step() end)
    end)
  end)

  it("refuses what is no function", function()
    assert.has_error(function() loop.run() end, "bad argument #1 to 'run' (function expected, got no value)")
    assert.has_error(function() loop.spawn("x") end, "bad argument #1 to 'spawn' (function expected, got string)")
    assert.equal(7, loop.run(function() return 7 end))
  end)

  it("runs in a coroutine, too", function()
    local co = coroutine.wrap(function()
      local value = loop.run(function() loop.sleep(0.001); return 1 end)
      coroutine.yield(value)
      return loop.run(function() return loop.spawn(function() return 2 end):join() end)
    end)
    assert.equal(1, co())
    assert.equal(2, co())
  end)
end)

describe("an error of a task", function()
  it("ends run, with a traceback of the task", function()
    local function deep() error("oh no") end
    local ok, err = pcall(loop.run, function() loop.sleep(0); deep(); return nil end)
    assert.is_false(ok)
    assert.matches("^spec/unit/loop_spec.lua:%d+: oh no\nstack traceback:", err)
    assert.matches("in upvalue 'deep'", err)
  end)

  it("that is a value stays that value", function()
    local value = { 1 }
    local ok, err = pcall(loop.run, function() error(value) end)
    assert.is_false(ok)
    assert.equal(value, err)
    ok, err = pcall(loop.run, function() error(nil) end)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("is raised again at join, and there only", function()
    local value = {}
    loop.run(function()
      local task = loop.spawn(function() loop.sleep(0.001); error(value) end)
      for _ = 1, 2 do -- the second time it has ended already
        local ok, err = pcall(task.join, task)
        assert.is_false(ok)
        assert.equal(value, err)
      end
      assert.equal("task (failed)", tostring(task))
      return assert(loop.sleep(0))
    end)
  end)

  it("is raised at each join", function()
    local count = 0
    loop.run(function()
      local task = loop.spawn(function() loop.sleep(0.001); error {} end)
      for _ = 1, 3 do
        loop.spawn(function() if not pcall(task.join, task) then count = count + 1 end end)
      end
    end)
    assert.equal(3, count)
  end)

  it("that nobody joins cancels the others", function()
    local told = {}
    local ok, err = pcall(loop.run, function()
      for i = 1, 3 do
        loop.spawn(function() told[i] = table.pack(loop.sleep(LONG)) end)
      end
      loop.sleep(0.001)
      error("first", 0)
    end)
    assert.is_false(ok)
    assert.matches("^first\nstack traceback", err)
    for i = 1, 3 do
      assert.is_nil(told[i][1])
      assert.equal("cancelled", told[i][2].kind)
    end
  end)

  it("is the first one, where cancelled tasks fail as well", function()
    local ok, err = pcall(loop.run, function()
      loop.spawn(function() assert(loop.sleep(LONG)) end)
      error({ "first" })
    end)
    assert.is_false(ok)
    assert.same({ "first" }, err)
  end)

  it("leaves a loop that runs again", function()
    for _ = 1, 3 do
      assert.is_false(pcall(loop.run, function()
        loop.spawn(function() loop.sleep(LONG) end)
        error("x")
      end))
      assert.equal(1, loop.run(function() loop.sleep(0.001); return 1 end))
    end
  end)

  it("lets others clean up with further calls, but not sleep or start what sleeps", function()
    local after, late = {}, nil
    pcall(loop.run, function()
      loop.spawn(function()
        after[1] = select(2, loop.sleep(LONG)).kind
        after[2] = select(2, loop.sleep(LONG)).kind
        after[3] = select(2, loop.spawn(function()
          late = table.pack(loop.sleep(LONG))
        end):join()).kind
      end)
      loop.sleep(0.001)
      error("x")
    end)
    assert.same({ "cancelled", "cancelled", "cancelled" }, after)
    assert.equal("cancelled", late[2].kind)
  end)

  for name, forever in pairs {
    ["sleep"] = function() while true do loop.sleep(0) end end,
    ["sleep in pcall"] = function() while true do pcall(loop.sleep, 0) end end,
    ["yield"] = function() while true do coroutine.yield() end end,
    ["spawn"] = function() local function again() loop.sleep(0); loop.spawn(again) end again() end,
  } do
    it("ends a task that goes on and on, whatever it is told: " .. name, function()
      local closed = {}
      local ok, err = pcall(loop.run, function()
        loop.spawn(function()
          local _ <close> = closing(closed, "x")
          forever()
        end)
        loop.sleep(0.001)
        error("enough", 0)
      end)
      assert.is_false(ok)
      assert.matches("^enough", err)
      assert.equal("x", closed[1][1])
      assert.equal(1, loop.run(function() return 1 end))
    end)
  end
end)

describe("to-be-closed variables of a task", function()
  it("are closed with the error that ended it", function()
    local list = {}
    local ok = pcall(loop.run, function()
      local a <close> = closing(list, "a")
      local b <close> = closing(list, "b")
      loop.sleep(0)
      error({ "e", a, b })
    end)
    assert.is_false(ok)
    assert.equal("b", list[1][1])
    assert.equal("e", list[1][2][1])
    assert.equal("a", list[2][1])
    assert.equal("e", list[2][2][1])
  end)

  it("may wait, and are closed when a cancelled task ends", function()
    local list = {}
    loop.run(function()
      local task = loop.spawn(function()
        local a <close> = setmetatable({}, { __close = function()
          list[#list + 1] = tostring(loop.sleep(0.001))
        end })
        local ok, err = loop.sleep(LONG)
        list[#list + 1] = tostring(ok) .. " " .. err.kind
        return a
      end)
      loop.sleep(0.001)
      task:cancel()
      task:join()
    end)
    assert.same({ "nil cancelled", "true" }, list)
  end)

  it("replace the error where they fail, as in Lua", function()
    local ok, err = pcall(loop.run, function()
      local a <close> = setmetatable({}, { __close = function() error({ "second" }) end })
      loop.sleep(0)
      error({ "first", a })
    end)
    assert.is_false(ok)
    assert.same({ "second" }, err)
  end)
end)

describe("task:cancel", function()
  it("ends the wait it is in, once", function()
    loop.run(function()
      local task = loop.spawn(function()
        local ok, err = loop.sleep(LONG)
        return ok, err, loop.sleep(0.001)
      end)
      loop.sleep(0.001)
      task:cancel()
      local ok, err, again = task:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      assert.equal("sleep", err.op)
      assert.is_true(again)
    end)
  end)

  it("before the task has begun meets its first wait", function()
    loop.run(function()
      local task = loop.spawn(function() return select(2, loop.sleep(LONG)).kind, loop.sleep(0) end)
      task:cancel()
      task:cancel()
      assert.same({ "cancelled", true }, { task:join() })
    end)
  end)

  it("of the running task itself meets its next wait", function()
    loop.run(function()
      local task
      task = loop.spawn(function()
        task:cancel()
        return select(2, loop.sleep(LONG)).kind
      end)
      assert.equal("cancelled", task:join())
    end)
  end)

  it("is not lost when the wait is over but the task has not gone on yet", function()
    loop.run(function()
      local sleeper = loop.spawn(function()
        local first = loop.sleep(0.001)
        return first, loop.sleep(LONG)
      end)
      loop.spawn(function()
        loop.sleep(0)
        local till = loop.now() + 0.005 -- both are due in the same turn of the loop
        while loop.now() < till do till = till + 0 end
        loop.sleep(0)
      end)
      local canceller = loop.spawn(function() loop.sleep(0.001); sleeper:cancel() end)
      canceller:join()
      local first, second, err = sleeper:join()
      if first then
        assert.is_nil(second)
        assert.equal("cancelled", err.kind)
      else
        assert.equal("cancelled", second.kind)
      end
    end)
  end)

  it("of one that was woken already meets its next wait", function()
    local order = {}
    loop.run(function()
      local a, b
      -- Both timers are due when the loop looks; whoever wakes first cancels the other, which is awake by then.
      a = loop.spawn(function() order.a = { loop.sleep(0.002) }; b:cancel(); order.a2 = { loop.sleep(0) } end)
      b = loop.spawn(function() order.b = { loop.sleep(0.002) }; a:cancel(); order.b2 = { loop.sleep(0) } end)
      coroutine.yield()
      local till = loop.now() + 0.02
      while loop.now() < till do till = till + 0 end
    end)
    assert.same({ true }, order.a)
    assert.same({ true }, order.b)
    local told = 0 -- the other has no wait left that it could be told at
    for _, second in pairs { order.a2, order.b2 } do
      if second[1] == nil and second[2].kind == "cancelled" then told = told + 1 end
    end
    assert.equal(1, told)
  end)

  it("ends a join, and the joined task goes on", function()
    loop.run(function()
      local worker = loop.spawn(function() return loop.sleep(0.02) and "worked" end)
      local joiner = loop.spawn(function() return worker:join() end)
      loop.sleep(0.001)
      joiner:cancel()
      local ok, err = joiner:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      assert.equal("join", err.op)
      assert.equal("worked", worker:join())
    end)
  end)

  it("of a task that has ended does nothing", function()
    loop.run(function()
      local task = loop.spawn(function() return 1 end)
      assert.equal(1, task:join())
      task:cancel()
      assert.equal(1, task:join())
      assert.is_true(loop.sleep(0))
    end)
  end)
end)

describe("task:join", function()
  it("outside a task needs one that has ended", function()
    local task = loop.spawn(function() return 5 end)
    raises_here("join: the task has not ended", function() task:join() end)
    loop.run(function() end)
    assert.equal(5, task:join())
  end)

  it("of itself is misuse", function()
    loop.run(function()
      local task
      task = loop.spawn(function() return pcall(task.join, task) end)
      local ok, err = task:join()
      assert.is_false(ok)
      assert.matches("a task cannot join itself", err)
    end)
  end)

  it("in a coroutine of a task is misuse, since it could not yield", function()
    loop.run(function()
      local task = loop.spawn(function() loop.sleep(0.001) end)
      local ok, err = coroutine.wrap(function() return pcall(task.join, task) end)()
      assert.is_false(ok)
      assert.matches("only inside a task", err)
    end)
  end)

  it("takes tasks only", function()
    local task = loop.spawn(function() end)
    assert.has_error(function() task.join({}) end)
    assert.has_error(function() task.cancel(io.stdout) end)
    loop.run(function() end)
  end)
end)

describe("inside a task", function()
  it("a coroutine of the program's own blocks, and its yields stay its own", function()
    local seen, other = {}, 0
    loop.run(function()
      local ticker = loop.spawn(function() while other >= 0 do other = other + 1; loop.sleep(0.001) end end)
      loop.sleep(0.01)
      local before = other
      for value in coroutine.wrap(function()
        for i = 1, 3 do
          assert(loop.sleep(0.01))
          coroutine.yield(i)
        end
      end) do
        seen[#seen + 1] = value
      end
      assert.equal(before, other) -- the others stood still meanwhile
      other = -1
      ticker:cancel()
      ticker:join()
    end)
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("sleep waits across pcall, metamethods and iterators", function()
    local t = setmetatable({}, { __index = function(_, k) loop.sleep(0.001); return k end })
    assert.equal("x", loop.run(function()
      local ok, value = pcall(function() return t.x end)
      return ok and value
    end))
  end)

  it("sleep blocks where the task cannot yield: in table.sort", function()
    local list = loop.run(function()
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b) loop.sleep(0.001); return a < b end)
      return list
    end)
    assert.same({ 1, 2, 3 }, list)
  end)

  it("coroutine.yield lets the others run", function()
    local order = {}
    loop.run(function()
      for _, name in ipairs { "a", "b" } do
        loop.spawn(function()
          for i = 1, 2 do
            order[#order + 1] = name .. i
            assert.equal(0, select("#", coroutine.yield("ignored")))
          end
        end)
      end
    end)
    assert.same({ "a1", "b1", "a2", "b2" }, order)
  end)

  it("those that yield all the time do not keep timers from firing", function()
    local stop = false
    loop.run(function()
      loop.spawn(function() while not stop do coroutine.yield() end end)
      loop.sleep(0.005)
      stop = true
    end)
    assert.is_true(stop)
  end)

  it("somebody who resumes or closes a task's coroutine breaks that task only", function()
    local out = child.check [[
      loop.run(function()
        local co
        local task = loop.spawn(function() co = coroutine.running(); loop.sleep(0.01); return "done" end)
        loop.sleep(0.001)
        print(coroutine.resume(co))
        print(pcall(task.join, task))
      end)
      print(loop.run(function() return "fine" end))
    ]]
    assert.matches("fine\n$", out)
  end)
end)

describe("loop.sleep", function()
  it("answers true, outside of tasks too", function()
    local before = loop.now()
    assert.is_true(loop.sleep(0.02))
    assert.is_true(loop.now() - before >= 0.019)
    assert.is_true(loop.sleep(0))
  end)

  it("of no time lets the others run all the same", function()
    local stop, order = false, {}
    loop.run(function()
      loop.spawn(function() loop.sleep(0); order[1] = "other" end)
      loop.spawn(function() loop.sleep(0.002); stop = true end)
      while not stop do assert.is_true(loop.sleep(0)) end
    end)
    assert.same({ "other" }, order)
  end)

  it("refuses what are no seconds", function()
    for _, value in ipairs { -1, 0 / 0, -math.huge } do
      raises_here("sleep: seconds", function() loop.sleep(value); return nil end)
    end
    assert.has_error(function() loop.sleep("soon") end)
    assert.has_error(function() loop.sleep() end)
  end)

  it("for ever ends by cancel", function()
    loop.run(function()
      for _, seconds in ipairs { math.huge, 1e300, 1e9 } do
        local task = loop.spawn(function() return loop.sleep(seconds) end)
        loop.sleep(0.001)
        task:cancel()
        assert.equal("cancelled", select(2, task:join()).kind)
      end
    end)
  end)
end)

describe("many tasks", function()
  it("10,000 sleep and are joined", function()
    local sum = loop.run(function()
      local tasks, total = {}, 0
      for i = 1, 10000 do
        tasks[i] = loop.spawn(function() loop.sleep((i % 10) / 1000); return i end)
      end
      for i = 1, 10000 do total = total + tasks[i]:join() end
      return total
    end)
    assert.equal(50005000, sum)
  end)

  it("that have ended are collected, and what they held", function()
    local weak = setmetatable({}, { __mode = "k" })
    local function some()
      for _ = 1, 100 do
        local task = loop.spawn(function(held) loop.sleep(0.001); return held end, {})
        weak[task] = true
      end
    end
    loop.run(function() some() end)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("that nobody holds live until they have ended", function()
    local count = 0
    loop.run(function()
      for _ = 1, 50 do loop.spawn(function() loop.sleep(0.01); count = count + 1 end) end
      for _ = 1, 5 do collectgarbage(); loop.sleep(0.001) end
    end)
    assert.equal(50, count)
  end)
end)

describe("somebody else's loop", function()
  it("drives tasks with fd, next_timeout and step", function()
    assert.is_true(math.type(loop.fd()) == "integer")
    local finished = 0
    for i = 1, 3 do loop.spawn(function() loop.sleep(i / 200); finished = finished + 1 end) end
    assert.equal(0, loop.next_timeout()) -- there is something to start
    local turns = 0
    while loop.step() > 0 do
      local wait = loop.next_timeout()
      assert.is_true(wait == nil or wait >= 0)
      turns = turns + 1
      if wait and wait > 0 then loop.sleep(wait) end -- a poll() of the other loop, in real life
    end
    assert.equal(3, finished)
    assert.is_true(turns < 100)
  end)

  it("is told to sleep where there is nothing to do", function()
    loop.step()
    assert.is_nil(loop.next_timeout())
    assert.equal(0, loop.step())
    assert.is_nil(loop.next_timeout())
  end)

  it("is raised the errors of tasks, and the others live on", function()
    local done
    loop.spawn(function() error("mine", 0) end)
    loop.spawn(function() loop.sleep(0.001); done = true end)
    local ok, err = pcall(loop.step)
    assert.is_false(ok)
    assert.matches("^mine\nstack traceback", err)
    loop.run(function() end)
    assert.is_true(done)
  end)

  it("sees a transfer through the descriptor, in poll(2)", function()
    local out = child.check([[
      -- poll(2) itself, as another loop would: by the shell's own means there is none, so a luv-less one in /proc
      local done
      loop.spawn(function() done = http.request { url = "http://127.0.0.1:1/" } == nil end)
      local turns = 0
      while loop.step() > 0 do
        turns = turns + 1
        assert(turns < 10000)
        local wait = loop.next_timeout()
        if wait ~= 0 then os.execute("sleep 0.01") end
      end
      print(done)
    ]])
    assert.equal("true\n", out)
  end)
end)

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

describe("a debugger's hook", function()
  it("is not taken for Ctrl-C", function()
    assert.equal("true\ttrue\n", child.check [[
      debug.sethook(function() end, "crl", 1)
      local a = loop.sleep(0.001)
      local b = loop.run(function() return loop.sleep(0.001) end)
      debug.sethook()
      print(a, b)
    ]])
  end)
end)

describe("the end of the Lua state", function()
  for name, source in pairs {
    ["tasks that sleep"] = [[ for _ = 1, 10 do loop.spawn(function() loop.sleep(60) end) end loop.step() ]],
    ["tasks that have not begun"] = [[ loop.spawn(print) ]],
    ["tasks that join"] = [[
      local a = loop.spawn(function() loop.sleep(60) end)
      for _ = 1, 3 do loop.spawn(function() a:join() end) end
      loop.step() ]],
    ["a task that closes it"] = [[
      loop.run(function() loop.spawn(loop.sleep, 60); loop.sleep(0.01); os.exit(0, true) end) ]],
    ["signals watched"] = [[ loop.signal("SIGTERM", print); loop.spawn(loop.sleep, 60); loop.step() ]],
    ["values whose __gc and __close call us"] = [[
      local t <close> = setmetatable({}, { __close = function() loop.sleep(0.001) end,
        __gc = function(self)
          pcall(loop.sleep, 0.001)
          if self.task then
            self.task:cancel()
            assert(not pcall(self.task.join, self.task) and tostring(self.task))
            self.ctx:done()
            self.ctx:cancel()
          end
          pcall(loop.spawn, print); pcall(loop.step); pcall(loop.run, function() end) end })
      x = setmetatable({}, getmetatable(t))
      t.task, t.ctx = loop.spawn(loop.sleep, 60), docker.context { timeout = 60 }
      loop.spawn(function() local y <close> = t; loop.sleep(60) end)
      loop.step() ]],
    ["an error"] = [[ loop.spawn(loop.sleep, 60); pcall(loop.step); os.exit(0, true) ]],
  } do
    it("takes it all along: " .. name, function()
      assert.equal("", child.check(source))
    end)
  end
end)
