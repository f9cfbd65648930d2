-- docker_watcher.loop (src/loop.c, src/task.c): run, what becomes of tasks' results and errors, sleep, many tasks, the
-- end of the Lua state. Engine semantics do not come in here; robust C for Lua does: sections 1, 3 and 4.

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
