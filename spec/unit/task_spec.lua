-- Tasks (src/task.c): cancelling and joining them, what they close, and what coroutines of the program's own do inside
-- one.

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
  assert.matches("^spec/unit/task_spec.lua:%d+: " .. pattern, err)
end

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
