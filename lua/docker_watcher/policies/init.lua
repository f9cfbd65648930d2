--- The deploy policies by name, as the configuration offers them: policies.blue_green { healthy_within = "60s" }.
--
-- A policy is a module with `name`, `options` (a schema, see docker_watcher.config.schema) and `new(options) → plan`,
-- where plan(state, options) → steps is pure. A new one is a new line here.

return {
  blue_green = require "docker_watcher.policies.blue_green",
}
