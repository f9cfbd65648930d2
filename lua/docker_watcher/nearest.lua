--- "Did you mean …?": the known word nearest to a misspelt one. Pure.

local nearest = {}

--- Edit distance where a swap of neighbours counts as one slip (optimal string alignment).
local function distance(a, b)
  local before, last, now = {}, {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    now[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, now[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      now[j] = best
    end
    before, last, now = last, now, before
  end
  return last[#b]
end

--- The name in the list (or the keys of the set) nearest to word, if near enough to be a slip of the hand; else nil.
---@param word string
---@param names table  a list of strings, or a table whose keys are the names
---@return string?
function nearest.find(word, names)
  if #word > 64 then return nil end
  local best, least = nil, math.max(1, #word // 3) + 1
  local function try(name)
    if type(name) ~= "string" or math.abs(#name - #word) >= least then return end
    local d = distance(word:lower(), name:lower())
    if d < least or (d == least and best and name < best) then best, least = name, d end
  end
  for key, value in pairs(names) do try(math.type(key) and value or key) end
  return best
end

return nearest
