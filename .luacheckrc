std = "lua54"
max_line_length = 120
files["spec"] = { std = "+busted" }
files["rockspec"] = { std = "+rockspec" }
files[".busted"] = { std = "lua54" }
-- What the configuration's own environment gives it.
files["examples/shop.lua"] = { read_globals = { "tags", "policies", "secret" } }
