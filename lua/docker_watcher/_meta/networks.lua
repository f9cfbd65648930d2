--- Networks: the client's methods about them.
---@meta _

---@class docker_watcher.Client
local Client = {}

--- @section Networks

--- Makes a network where there is none of that name.
---
--- Whoever else makes it at the same time, there is one in the end. A network that exists is taken as it is,
--- whatever its settings.
---@param name string
---@param options? docker_watcher.EnsureNetworkOptions
---@return { id: string, name: string, created: boolean }? network
---@return docker_watcher.error? err
function Client:ensure_network(name, options) end

---@class docker_watcher.EnsureNetworkOptions: docker_watcher.CallOptions
---@field driver? string  "bridge"
---@field labels? table<string, string>
---@field internal? boolean  no way out of it
---@field attachable? boolean  swarm: by containers that are no service's
---@field ipv6? boolean
---@field subnet? string  "10.1.0.0/24"
---@field gateway? string
---@field ip_range? string
---@field options? table<string, string>  the driver's

--- Connects a container to a network.
---@param network any  its name, id, or a table with `id`
---@param container any
---@param options? docker_watcher.ConnectNetworkOptions
---@return true? done
---@return docker_watcher.error? err  not_found, conflict (it is connected already)
function Client:connect_network(network, container, options) end

---@class docker_watcher.ConnectNetworkOptions: docker_watcher.CallOptions
---@field aliases? string[]  its names on that network
---@field ipv4? string  its address there

--- Disconnects a container from a network.
---@param network any
---@param container any
---@param options? docker_watcher.DisconnectNetworkOptions
---@return true? done
---@return docker_watcher.error? err  not_found, conflict (it is not connected)
function Client:disconnect_network(network, container, options) end

---@class docker_watcher.DisconnectNetworkOptions: docker_watcher.CallOptions
---@field force? boolean
