--- Streams: what the Engine sends by and by.
---@meta _

--- What the Engine sends by and by: a log's chunks, events, progress, bytes.
---
---     for chunk, output in client:logs("web") do io.write(output, ": ", chunk) end
---
--- A for loop closes it at its end, also by break and by an error, and raises what read() would return as err.
--- Nothing is lost and nothing piles up: while nobody reads, the Engine is not read either.
---@class docker_watcher.Stream
---@overload fun(): any, any
local Stream = {}

--- The next item.
---@return any item  a chunk (bytes), or a table; nil at the end, and nil with err
---@return any detail  of a chunk of a container's output "stdout" or "stderr"; of nil nothing (the end), or a
---  docker_watcher.error: stream (the Engine ended it with an error), interrupted (it was cut), timeout, cancelled,
---  protocol, too_large, and of progress what it was that failed
function Stream:read() end

--- A header of the reply.
---@param name string  in any case
---@return string? value
function Stream:header(name) end

--- Writes to a two-way stream (attach, exec). Waits while the other side takes no more; one task may write while
--- another one reads. Raises where the stream goes one way, or the option `stdin` writes to it.
---@param bytes string
---@return true? ok
---@return docker_watcher.error? err  interrupted: the other side is gone
function Stream:write(bytes) end

--- Ends our side of a two-way stream, once all is written: what reads there comes to its end. Reading goes on.
---@return true
function Stream:close_write() end

--- Closes it, and with it the connection, unless all was read. Harmless when repeated; `<close>` and the collector
--- do it.
function Stream:close() end
