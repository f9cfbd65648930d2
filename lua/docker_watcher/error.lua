--- Errors as values: what every operation returns beside nil when the world failed.
--
-- The C core makes the same tables with the same metatable, so `err.kind` and tostring(err) work alike wherever an
-- error comes from. Misuse is no such value: it raises at the caller's line.
--
-- This is the one list of kinds. A new kind is a change of the public contract.

local core = require "docker_watcher.core"

local errors = {}

---@alias docker_watcher.kind
---| "not_found" | "conflict" | "unauthorized" | "forbidden" | "invalid" | "timeout" | "cancelled" | "unreachable"
---| "interrupted" | "protocol" | "rate_limited" | "too_large" | "version" | "engine" | "stream"

---@class docker_watcher.error
---@field kind docker_watcher.kind  stable: code decides by it
---@field message string            for people: names the thing, what was tried, what would help
---@field op string?                the operation: "pull_image", "tags"
---@field subject string?           the container, image, network or repository that it was about
---@field status integer?           HTTP status
---@field cause any                 the error below this one

--- kind → what it means. Read only.
errors.kinds = {
  not_found = "there is no such container, image, network, repository or tag",
  conflict = "the name is taken, or the thing is in a state that refuses the operation",
  unauthorized = "no credentials, or they were refused",
  forbidden = "the credentials are good, but not for this",
  invalid = "the request, or a file, says something that cannot be",
  timeout = "the deadline passed",
  cancelled = "the context or the task was cancelled",
  unreachable = "no answer from there",
  interrupted = "the connection ended in the middle",
  protocol = "the answer breaks the protocol",
  rate_limited = "asked too often",
  too_large = "the answer is over a limit of ours",
  version = "the Engine's API version lacks it",
  engine = "the Engine failed inside",
  stream = "a failure was reported inside a stream",
}

--- A new error value.
---@param kind docker_watcher.kind
---@param message string
---@param fields table?  op, subject, status, cause and whatever else the caller's callers may want to know
---@return docker_watcher.error
function errors.new(kind, message, fields)
  if errors.kinds[kind] == nil then
    error(("error.new: there is no kind '%s'"):format(tostring(kind)), 2)
  elseif type(message) ~= "string" then
    error(("error.new: message: string expected, got %s"):format(type(message)), 2)
  end
  local err = {}
  for name, value in pairs(fields or {}) do err[name] = value end
  err.kind, err.message = kind, message
  return setmetatable(err, core.error_metatable)
end

--- Says in an error from below, which names no operation, what it was that failed. Answers nil and the error.
---@param err docker_watcher.error
---@param op string
---@param subject string?
---@return nil, docker_watcher.error
function errors.about(err, op, subject)
  err.op, err.subject = op, subject or err.subject
  err.message = (subject and "%s %s: %s" or "%s: %s"):format(op, subject or err.message, err.message)
  return nil, err
end

--- Is v an error value (ours or the core's)?
---@param v any
---@return boolean
function errors.is(v)
  return type(v) == "table" and getmetatable(v) == core.error_metatable
end

return errors
