--- The tag policies by name, as the configuration offers them: tags.semver { range = "^1" }.
--
-- A tag policy is a module with `name`, `options` (a schema, see docker_watcher.config.schema) and
-- `new(options) → function(tags, state) → tag | nil, reason`. A new one is a new line here.

return {
  semver = require "docker_watcher.tags.semver",
}
