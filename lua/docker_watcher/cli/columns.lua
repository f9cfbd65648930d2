--- Rows of words as lines of aligned columns. Widths count characters, not bytes.

local log = require "docker_watcher.log"

---@param rows string[][]
---@return string
return function(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      row[i] = log.printable(cell)
      widths[i] = math.max(widths[i] or 0, utf8.len(row[i]))
    end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = i < #row and cell .. (" "):rep(widths[i] - utf8.len(cell)) or cell
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end
