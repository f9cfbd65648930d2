--- docker_watcher.http: requests to any http(s) URL, over the transport that also talks to the Engine.
--- The functions are the C core's (src/http.c); _meta/http.lua tells what they do.
---@type docker_watcher.http
local http = require("docker_watcher.core").http

return http
