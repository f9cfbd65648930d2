--[[ decode.lua FILE N: what one cjson.decode of a saved reply costs, the collector's work included.

Prints two words: microseconds of CPU (user and system) per decode, and the process's peak memory in KiB. ]]

local cjson = require "cjson"

local path, count = table.unpack(arg)
local calls = assert(math.tointeger(tonumber(count)), "usage: decode.lua FILE N")
local file = assert(io.open(path, "rb"))
local body = file:read("a")
file:close()

local items = #cjson.decode(body)
local before = os.clock()
for _ = 1, calls do assert(#cjson.decode(body) == items) end
local cpu = os.clock() - before

local peak = 0
for line in io.lines("/proc/self/status") do peak = tonumber(line:match("^VmHWM:%s*(%d+)")) or peak end
print(string.format("%.3f %d", cpu / calls * 1e6, peak))
