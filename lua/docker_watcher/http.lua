--- docker_watcher.http: requests to any http(s) URL, over the transport that also talks to the Engine.
---
--- Redirects are not followed and no environment credentials are sent: the caller decides where secrets may go. A
--- body larger than max_body is an error, never a shorter body.
---
--- @class docker_watcher.HttpRequest
--- @field url string "https://registry.example.com/v2/"
--- @field method? "GET"|"HEAD"|"POST"|"PUT"|"PATCH"|"DELETE"
--- @field headers? table<string, string>
--- @field body? string
--- @field max_body? integer bytes of the reply's body; 32 MiB unless given
--- @field timeout? number seconds; 60 unless given
--- @field ctx? docker_watcher.Context
---
--- @class docker_watcher.HttpReply
--- @field status integer
--- @field headers table<string, string|string[]> names in lower case; a list where the header came several times
--- @field body string
---
--- @class docker_watcher.Http
--- @field request fun(options: docker_watcher.HttpRequest): docker_watcher.HttpReply|nil, docker_watcher.Error?
---   fails with kind unreachable, interrupted, protocol, too_large, timeout or cancelled
--- @field client fun(options: docker_watcher.HttpClientOptions): table
---   has request and close, and TLS settings of its own: ca, cert, key (files), verify, connect_timeout
local http = require("docker_watcher.core").http

return http
