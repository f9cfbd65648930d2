--- An Engine as a table: the client methods that the deployer uses, on containers that are tables too. For what a real
--- Engine will not do on request: fail at one certain call, lose a reply, or see its caller die there.
---
---   local engine = fakeengine.new(loop)
---   engine.at = function(number, op, phase) … end        -- called before and after each call is applied; it may raise
---   engine.health["sha256:…"] = "unhealthy"              -- what becomes of containers of that digest
---   engine.client                                        -- has the methods
---
--- Names are unique, removed containers are gone, start and stop are no writes where nothing changes, as in the Engine.

local errors = require "docker_watcher.error"

local fakeengine = {}

local READS = {
  list_containers = true, inspect_container = true, ping = true, wait_healthy = true, wait_container = true,
}

function fakeengine.new(loop)
  local engine = {
    containers = {}, -- id → container
    networks = {},
    health = {},     -- digest → "unhealthy" | "exits" | "killed" | "oom" | "restarts"; else healthy
    fails = {},      -- op → error, or a function(arguments) → error | nil
    calls = {},      -- { op, id or name }
    writes = 0,      -- calls that changed something
    at = nil,
    next_id = 0,
  }
  local client = {}
  engine.client = client

  local function find(id)
    if engine.containers[id] then return engine.containers[id] end
    for _, container in pairs(engine.containers) do
      if container.name == id then return container end
    end
    return nil, errors.new("not_found", "no such container: " .. tostring(id))
  end

  --- Wraps a method: counts, injected failures, and the moments at which a caller may die.
  local function method(op, fn)
    client[op] = function(_, ...)
      local arguments = table.pack(...)
      local number = #engine.calls + 1
      engine.calls[number] = { op = op, subject = type(arguments[1]) == "string" and arguments[1] or nil, arguments }
      if engine.at then engine.at(number, op, "before") end
      local failure = engine.fails[op]
      if type(failure) == "function" then failure = failure(table.unpack(arguments, 1, arguments.n)) end
      if failure then return nil, failure end
      for _, value in ipairs(arguments) do
        if type(value) == "table" and value.ctx and (value.ctx:done()) then
          return nil, errors.new("cancelled", "cancelled")
        end
      end
      local results = table.pack(fn(table.unpack(arguments, 1, arguments.n)))
      if engine.at then engine.at(number, op, "after") end
      return table.unpack(results, 1, results.n)
    end
  end

  local function wrote() engine.writes = engine.writes + 1 end

  method("ping", function() return { api_version = "1.41" } end)

  method("list_containers", function(options)
    local list = {}
    for id, container in pairs(engine.containers) do
      local labels = container.labels
      if (not options.managed or labels["docker-watcher.project"])
        and (not options.project or labels["docker-watcher.project"] == options.project)
        and (not options.stage or labels["docker-watcher.stage"] == options.stage) then
        list[#list + 1] = { id = id, name = container.name, labels = labels, state = container.state }
      end
    end
    return list
  end)

  method("inspect_container", function(id)
    local container, err = find(id)
    if not container then return nil, err end
    local networks = {}
    for name, aliases in pairs(container.networks) do networks[name] = { Aliases = aliases } end
    return {
      id = container.id, name = container.name, labels = container.labels, state = container.state,
      health = container.health, restart_count = container.restart_count, exit_code = container.exit_code, ports = {},
      raw = {
        Created = container.created, NetworkSettings = { Networks = networks },
        State = { OOMKilled = container.oom or false },
      },
    }
  end)

  method("pull_image", function(image)
    assert(image:find("@sha256:", 1, true), "pulled by a tag: " .. image)
    return { id = "sha256:0", digest = image:match "@(.*)" }
  end)

  method("ensure_network", function(name)
    local created = not engine.networks[name]
    engine.networks[name] = true
    if created then wrote() end
    return { id = name, name = name, created = created }
  end)

  method("create_container", function(options)
    local name = options.name or ("dw-%s-%s-%s"):format(options.project, options.stage, options.tag)
    if find(name) then return nil, errors.new("conflict", "the name " .. name .. " is taken") end
    engine.next_id = engine.next_id + 1
    local id = ("%064d"):format(engine.next_id)
    engine.containers[id] = {
      id = id, name = name, state = "created", restart_count = 0, image = options.image, env = options.env,
      networks = { [options.network] = {} }, created = ("2026-01-01T00:%02d:00Z"):format(engine.next_id),
      labels = {
        ["docker-watcher.project"] = options.project, ["docker-watcher.stage"] = options.stage,
        ["docker-watcher.tag"] = options.tag, ["docker-watcher.digest"] = options.digest,
        ["docker-watcher.instance-id"] = options.instance_id,
      },
    }
    wrote()
    return { id = id, name = name, warnings = {} }
  end)

  method("start_container", function(id)
    local container, err = find(id)
    if not container then return nil, err end
    if container.state ~= "running" then wrote() end
    local fate = engine.health[container.labels["docker-watcher.digest"]]
    container.state, container.health = "running", fate == "unhealthy" and "unhealthy" or "healthy"
    if fate == "restarts" then container.restart_count, container.health = 3, nil end
    return true
  end)

  method("wait_healthy", function(id)
    local container, err = find(id)
    if not container then return nil, err end
    loop.sleep(1)
    if container.health == "unhealthy" then return nil, errors.new("engine", "the container is unhealthy") end
    return true
  end)

  method("wait_container", function(id, options)
    local container, err = find(id)
    if not container then return nil, err end
    local fate = engine.health[container.labels["docker-watcher.digest"]]
    if fate == "exits" or fate == "killed" or fate == "oom" then
      container.state, container.exit_code, container.oom = "exited", fate == "exits" and 3 or 137, fate == "oom"
      return { exit_code = container.exit_code }
    end
    loop.sleep(options.timeout)
    return nil, errors.new("timeout", "it still runs")
  end)

  method("stop_container", function(id)
    local container, err = find(id)
    if not container then return nil, err end
    if container.state == "running" then
      container.state = "exited"
      wrote()
    end
    return true
  end)

  method("remove_container", function(id)
    local container, err = find(id)
    if not container then return nil, err end
    engine.containers[container.id] = nil
    wrote()
    return true
  end)

  method("disconnect_network", function(network, id)
    local container, err = find(id)
    if not container then return nil, err end
    if not container.networks[network] then return nil, errors.new("not_found", "it is not in that network") end
    container.networks[network] = nil
    wrote()
    return true
  end)

  method("connect_network", function(network, id, options)
    local container, err = find(id)
    if not container then return nil, err end
    if container.networks[network] then return nil, errors.new("forbidden", "it is in that network already") end
    container.networks[network] = options.aliases
    wrote()
    return true
  end)

  method("call", function(op, parameters)
    assert(op == "ContainerRename", op)
    local container, err = find(parameters.id)
    if not container then return nil, err end
    if find(parameters.name) then return nil, errors.new("conflict", "the name is taken") end
    container.name = parameters.name
    wrote()
    return true
  end)

  --- A container that is not ours, or only half: put there by somebody else.
  function engine.put(fields)
    engine.next_id = engine.next_id + 1
    local id = ("%064d"):format(engine.next_id)
    engine.containers[id] = {
      id = id, name = fields.name, state = fields.state or "running", health = fields.health, restart_count = 0,
      networks = fields.networks or {}, labels = fields.labels or {},
      created = ("2026-01-01T00:%02d:00Z"):format(engine.next_id),
    }
    return id
  end

  --- Names of all containers with their states, sorted: "dw-p-s-1 running".
  function engine.shows()
    local list = {}
    for _, container in pairs(engine.containers) do list[#list + 1] = container.name .. " " .. container.state end
    table.sort(list)
    return list
  end

  --- The names of operations called, reads left out where told to.
  function engine.ops(only_writes)
    local list = {}
    for _, call in ipairs(engine.calls) do
      if not (only_writes and READS[call.op]) then list[#list + 1] = call.op end
    end
    return list
  end
  return engine
end

return fakeengine
