--- docker_watcher.http: requests to any http(s) URL, over the transport that also talks to the Engine.
---
--- Redirects are not followed and no credentials of the environment are sent: the caller decides where secrets may
--- go. A body larger than max_body is an error, never a shorter body.
---@meta _

--- What `require "docker_watcher.http"` gives.
---@class docker_watcher.http
local http = {}

--- One request, over connections that are kept and used again.
---@param options docker_watcher.HttpRequest
---@return docker_watcher.HttpReply? reply  whatever its status
---@return docker_watcher.error? err  unreachable, interrupted, protocol, too_large, timeout, cancelled
function http.request(options) end

---@class docker_watcher.HttpRequest
---@field url string  "https://registry.example.com/v2/"
---@field method? "GET"|"HEAD"|"POST"|"PUT"|"PATCH"|"DELETE"  "GET"
---@field headers? table<string, string>
---@field body? string
---@field max_body? integer  bytes of the reply's body: 32 MiB
---@field timeout? number  seconds: 60
---@field ctx? docker_watcher.Context

---@class docker_watcher.HttpReply
---@field status integer
---@field headers table<string, string|string[]>  names in lower case; a list where the header came several times
---@field body string

--- A client with TLS settings and connections of its own.
---@param options? docker_watcher.HttpClientOptions
---@return docker_watcher.HttpClient
function http.client(options) end

---@class docker_watcher.HttpClientOptions
---@field ca? string  file
---@field cert? string  file
---@field key? string  file
---@field verify? boolean  false: the server's certificate is not checked; true
---@field connect_timeout? number  seconds: 10

--- A client with connections of its own, made by http.client.
---@class docker_watcher.HttpClient
local HttpClient = {}

--- As http.request.
---@param options docker_watcher.HttpRequest
---@return docker_watcher.HttpReply? reply
---@return docker_watcher.error? err
function HttpClient:request(options) end

--- Closes its connections. Harmless when repeated.
function HttpClient:close() end
