--- policies.blue_green: the new instance is proven beside the old one; only then does the old one go. Pure.
--
--   pull → create → start → wait_healthy → switch → the old ones: stop, remove
--
-- Up to and with `switch` nothing happens to the old instance: a failure until there removes the new one, and the old
-- one serves as if nothing had happened. `switch` gives the new one the network alias PROJECT-STAGE.

local blue_green = { name = "blue_green" }

--- What the operator may say; checked by docker_watcher.config.
blue_green.options = {
  healthy_within = { type = "duration", default = "60s", min = 1, text = "how long it may take to become healthy" },
  healthy_for = { type = "duration", default = "2s", max = 86400, text = "how long it must then stay up" },
  keep = { type = "integer", default = 0, min = 0, max = 100, text = "how many old instances stay, stopped" },
}

---@class docker_watcher.instance  a container of a stage, as plain data
---@field id string
---@field name string
---@field tag string
---@field digest string
---@field instance_id string
---@field state string      "running", "exited", …
---@field health string?
---@field proven boolean    it was taken into service once: it has the stage's alias
---@field created string    sorts by time

---@class docker_watcher.state  what a policy gets to see
---@field project string
---@field stage string
---@field alias string
---@field candidate docker_watcher.candidate
---@field instances docker_watcher.instance[]
---@field now integer  seconds since 1970

---@class docker_watcher.step
---@field step "pull"|"create"|"start"|"wait_healthy"|"switch"|"stop"|"remove"|"sleep"
---@field instance string?  "new", or the id of an old one
---@field timeout number?   wait_healthy
---@field stay_up number?   wait_healthy
---@field seconds number?   sleep

--- The old instances, the newest first.
local function newest_first(instances)
  local list = table.move(instances, 1, #instances, 1, {})
  table.sort(list, function(a, b)
    if a.created ~= b.created then return a.created > b.created end
    return a.id < b.id
  end)
  return list
end

---@param state docker_watcher.state
---@param options { healthy_within: number, healthy_for: number, keep: integer }
---@return docker_watcher.step[]
function blue_green.plan(state, options)
  local steps = {
    { step = "pull" },
    { step = "create", instance = "new" },
    { step = "start", instance = "new" },
    { step = "wait_healthy", instance = "new", timeout = options.healthy_within, stay_up = options.healthy_for },
    { step = "switch", instance = "new" },
  }
  local kept = 0
  for _, old in ipairs(newest_first(state.instances)) do
    if old.state ~= "exited" and old.state ~= "created" and old.state ~= "dead" then
      steps[#steps + 1] = { step = "stop", instance = old.id }
    end
    -- an old one of the same tag has the name that the new one is to bear
    if kept < options.keep and old.proven and old.tag ~= state.candidate.tag then
      kept = kept + 1
    else
      steps[#steps + 1] = { step = "remove", instance = old.id }
    end
  end
  return steps
end

--- As config wants it: plan, or nil, reason, option.
function blue_green.new() return blue_green.plan end

return blue_green
