--- Published ports, for people. Pure.

local ports = {}

--- Where a container's ports are reached: "127.0.0.1:32768 → 8080/tcp, *:53 → 53/udp".
---@param bound table?
---@return string
function ports.text(bound)
  local parts, seen = {}, {}
  for port, bindings in pairs(bound or {}) do
    for _, binding in ipairs(type(bindings) == "table" and bindings or {}) do
      local host = binding.host_ip
      if host == nil or host == "" or host == "0.0.0.0" or host == "::" then host = "*" end
      local text = ("%s:%s → %s"):format(host, tostring(binding.host_port), port)
      if not seen[text] then
        seen[text], parts[#parts + 1] = true, text
      end
    end
  end
  table.sort(parts)
  return table.concat(parts, ", ")
end

return ports
