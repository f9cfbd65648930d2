-- docker.context (src/context.c): one handle that cancels calls, or bounds them in time. What ends here is a request
-- to a server that never answers.

local docker = require "docker_watcher.docker"
local env = require "spec.support.env"
local http = require "docker_watcher.http"
local loop = require "docker_watcher.loop"
local scripted = require "spec.support.scripted"

local LONG = 30

local function misuse(pattern, fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  assert.matches("^spec/unit/context_spec.lua:%d+: " .. pattern, err)
end

describe("docker.context", function()
  after_each(env.cleanup)

  it("is open until it is cancelled, and says why", function()
    local ctx = docker.context()
    assert.same({ false }, { ctx:done() })
    assert.equal("docker context (open)", tostring(ctx))
    ctx:cancel("operator said so")
    assert.same({ true, "operator said so" }, { ctx:done() })
    assert.equal("docker context (cancelled)", tostring(ctx))
    ctx:cancel("again")
    assert.same({ true, "operator said so" }, { ctx:done() })
    local silent = docker.context {}
    silent:cancel()
    assert.same({ true, "cancelled" }, { silent:done() })
  end)

  it("takes a reason of any length", function()
    local ctx = docker.context()
    ctx:cancel(("x"):rep(10000))
    assert.matches("^x+$", select(2, ctx:done()))
  end)

  it("is done when its time is over", function()
    local ctx = docker.context { timeout = 0.01 }
    assert.is_false(ctx:done())
    loop.sleep(0.012)
    assert.same({ true, "timeout" }, { ctx:done() })
    assert.same({ true, "timeout" }, { docker.context { timeout = 0 }:done() })
    assert.is_false(docker.context { timeout = 1e300 }:done())
  end)

  it("refuses what it does not know", function()
    misuse("context: unknown option 'tiemout' %(did you mean 'timeout'%?%)", function()
      docker.context { tiemout = 1 }
    end)
    for _, bad in ipairs { -1, 0 / 0, math.huge, "1", true } do
      misuse("context: option 'timeout': seconds", function() docker.context { timeout = bad } end)
    end
    misuse("context: option 'parent': context", function() docker.context { parent = {} } end)
    misuse("context: option 'parent': context", function() docker.context { parent = io.stdout } end)
    misuse("context: options table expected, got number", function() docker.context(1) end)
    local ctx = docker.context()
    assert.has_error(function() ctx.cancel({}) end)
    assert.has_error(function() ctx.done(io.stdout) end)
    assert.has_error(function() ctx:cancel({}) end)
    misuse("request: option 'ctx': context", function() http.request { url = "http://127.0.0.1:1", ctx = {} } end)
  end)

  describe("below a parent", function()
    it("is cancelled with it, for the same reason, however deep", function()
      local root = docker.context()
      local a, b = docker.context { parent = root }, docker.context { parent = root }
      local c = docker.context { parent = a }
      root:cancel("all of it")
      for _, ctx in ipairs { root, a, b, c, docker.context { parent = c } } do
        assert.same({ true, "all of it" }, { ctx:done() })
      end
    end)

    it("does not cancel it, nor its sisters", function()
      local root = docker.context()
      local a, b = docker.context { parent = root }, docker.context { parent = root }
      a:cancel("mine")
      assert.is_false(root:done())
      assert.is_false(b:done())
      root:cancel("all")
      assert.same({ true, "mine" }, { a:done() })
      assert.same({ true, "all" }, { b:done() })
    end)

    it("has the earlier of both deadlines", function()
      local root = docker.context { timeout = 0 }
      assert.is_true(docker.context { parent = root, timeout = LONG }:done())
      assert.is_true(docker.context { parent = docker.context { timeout = LONG }, timeout = 0 }:done())
      assert.is_false(docker.context { parent = docker.context { timeout = LONG }, timeout = LONG }:done())
    end)

    it("may be nested very deep", function()
      local root = docker.context()
      local ctx = root
      for _ = 1, 200000 do ctx = docker.context { parent = ctx } end
      root:cancel("deep")
      assert.same({ true, "deep" }, { ctx:done() })
    end)

    it("may be collected, before it or after it", function()
      local root = docker.context()
      for _ = 1, 1000 do docker.context { parent = docker.context { parent = root } } end
      collectgarbage()
      local child = docker.context { parent = docker.context { parent = root } } -- only the child keeps the one between
      collectgarbage()
      collectgarbage()
      root:cancel("still")
      assert.same({ true, "still" }, { child:done() })
      root, child = nil, docker.context { parent = child }
      collectgarbage()
      assert.same({ true, "still" }, { child:done() })
      assert.is_nil(root)
    end)
  end)

  describe("given to calls", function()
    local server, url

    before_each(function()
      server = scripted.start { unix = false, routes = { { reply = { length = 9, body = { { wait = true } } } } } }
      env.defer(function() server:stop() end)
      url = server.host:gsub("^tcp", "http") .. "/"
    end)

    it("ends all of them when it is cancelled, children included", function()
      local ctx = docker.context()
      local errors = {}
      loop.run(function()
        for i = 1, 6 do
          local own = i % 2 == 0 and docker.context { parent = ctx } or ctx
          loop.spawn(function() errors[i] = select(2, http.request { url = url, ctx = own, timeout = LONG }) end)
        end
        while #server:requests() < 6 do loop.sleep(0.002) end
        ctx:cancel("stop it")
      end)
      for i = 1, 6 do
        assert.equal("cancelled", errors[i].kind)
        assert.matches("cancelled: stop it$", errors[i].message)
      end
      server:wait_closed(6)
    end)

    it("ends them when its time is over", function()
      local _, err = http.request { url = url, ctx = docker.context { timeout = 0.02 } }
      assert.equal("timeout", err.kind)
      _, err = http.request { url = url, ctx = docker.context { timeout = LONG }, timeout = 0.02 }
      assert.equal("timeout", err.kind)
    end)

    it("that begin when it is over sends nothing", function()
      local ctx = docker.context()
      ctx:cancel("before")
      local _, err = http.request { url = url, ctx = ctx }
      assert.equal("cancelled", err.kind)
      assert.matches("before", err.message)
      _, err = http.request { url = url, ctx = docker.context { timeout = 0 } }
      assert.equal("timeout", err.kind)
      assert.equal(0, #server:requests())
    end)

    it("lives as long as they do, and longer than the options that named it", function()
      loop.run(function()
        local options = { url = url, ctx = docker.context(), timeout = LONG }
        local task = loop.spawn(function() return http.request(options) end)
        while #server:requests() < 1 do loop.sleep(0.002) end
        local ctx = options.ctx
        options.ctx = nil
        collectgarbage()
        ctx:cancel("late")
        local _, err = task:join()
        assert.equal("cancelled", err.kind)
      end)
    end)

    it("may be collected under them: they then end by their own timeout", function()
      loop.run(function()
        local options = { url = url, ctx = docker.context(), timeout = 0.2 }
        local task = loop.spawn(function() return http.request(options) end)
        while #server:requests() < 1 do loop.sleep(0.002) end
        options.ctx = nil
        collectgarbage()
        collectgarbage()
        local _, err = task:join()
        assert.equal("timeout", err.kind)
      end)
    end)
  end)
end)
