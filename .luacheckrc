std = "lua54"
max_line_length = 120
files["spec"] = { std = "+busted" }
-- Annotations of what is written elsewhere: functions without a body.
files["lua/docker_watcher/_meta"] = { unused = false }
files["rockspec"] = { std = "+rockspec" }
files[".busted"] = { std = "lua54" }
-- What the configuration's own environment gives it.
files["examples/shop.lua"] = { read_globals = { "tags", "policies", "secret" } }
