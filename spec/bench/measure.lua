--[[ measure.lua KEY=VALUE…: runs the floors and docker-watcher in turns and prints one table. `run` starts what it
needs and calls it.

  bin=DIR         folder of the compiled floors            saved=HOST     nginx with saved replies
  bodies=DIR      folder of its bodies                     engine=HOST    a real Engine
  container=ID    of the Engine, to be inspected           image=REF tag=TAG   an image of 20 layers to be pulled
  list=FILE rows=N  the Engine's own list, saved (N rows; optional)
  logger=ID         of the Engine: has written 200,000 lines
  large=IMAGE small=IMAGE   of the Engine: hold a file of 200 MB, and of 20 MB
  largebox=ID smallbox=ID   the containers that they were made from, with the file /file
  files=DIR         folders of such files, and the images saved (for the rows of memory)
  rounds=N        of all rows (default 5)                  instructions=no    leaves valgrind out
  only=TEXT       only rows whose name holds TEXT          markdown=yes       a table for the README

Every figure is of the client's process alone. A round runs each row's floor and ours directly after one another, in
turns ours first; CPU figures are medians of the rounds, a ratio is the median of the rounds' ratios. Instructions per
call are the difference between a long and a short run under callgrind, divided by the difference in calls: starting up
drops out. An aim that is missed is said so and is no failure of this program. ]]

local config = {}
for _, word in ipairs(arg) do
  local key, value = word:match("^(%w+)=(.*)$")
  assert(key, "KEY=VALUE expected, got " .. word)
  config[key] = value
end
local rounds = math.tointeger(tonumber(config.rounds or 5)) or error("rounds: a whole number expected")
local here = arg[0]:match("^(.*)/[^/]*$") or "."

-- Running programs ------------------------------------------------------------------------------------------------

local function quoted(words)
  local out = {}
  for i, word in ipairs(words) do out[i] = "'" .. tostring(word):gsub("'", [['\'']]) .. "'" end
  return table.concat(out, " ")
end

local function file_text(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local errors <const> = os.tmpname()

--- The last line of a program's complaints that says something.
local function complaint()
  local last = "it failed and said nothing"
  for line in file_text(errors):gmatch("[^\n]+") do
    if not (line:find("^%s") or line:find("^stack traceback") or line:find("^==")) then last = line end
  end
  return last:gsub("^lua5%.4: ", "")
end

--- Runs a program; answers the numbers it printed, or nil and what it complained of.
local function numbers(words)
  local pipe = assert(io.popen(quoted(words) .. " 2>" .. errors))
  local text = pipe:read("a")
  if not pipe:close() then return nil, complaint() end
  local out = {}
  for word in text:gmatch("%S+") do out[#out + 1] = tonumber(word) end
  return out
end

--- Instructions of a whole run.
local function instructions(words)
  local command = "valgrind --tool=callgrind --callgrind-out-file=/dev/null " .. quoted(words)
  local ok = os.execute(command .. " >/dev/null 2>" .. errors)
  local count = file_text(errors):match("Collected : (%d+)")
  if not ok or not count then return nil, complaint() end
  return tonumber(count)
end

local function median(values)
  table.sort(values)
  local n = #values
  if n == 0 then return nil end
  return n % 2 == 1 and values[n // 2 + 1] or (values[n // 2] + values[n // 2 + 1]) / 2
end

-- Programs that are measured: functions of a number of calls and their arguments -----------------------------------

local function floor(host, work, ...)
  local rest = { ... }
  return function(calls) return { config.bin .. "/floor", host, work, calls, table.unpack(rest) } end
end

local function ours(host, work, ...)
  local rest = { ... }
  return function(calls) return { "lua5.4", here .. "/ours.lua", host, work, calls, table.unpack(rest) } end
end

local function streams(host, work, ...)
  local rest = { ... }
  return function(calls) return { "lua5.4", here .. "/streams.lua", host, work, calls, table.unpack(rest) } end
end

local function decode(path)
  return function(calls) return { "lua5.4", here .. "/decode.lua", path, calls } end
end

-- The rows. Each kind of row is a function that is run once a round and adds to row.floor, row.ours and row.ratio;
-- `show` tells how its figures are written.

local function microseconds(value)
  if value >= 1000 then return string.format("%.2f ms", value / 1000) end
  return string.format("%.1f µs", value)
end

local function mebibytes(kib) return string.format("%.1f MB", kib / 1024) end

local function add(row, floor_value, ours_value)
  table.insert(row.floor, floor_value)
  if ours_value then
    table.insert(row.ours, ours_value)
    if floor_value > 0 then table.insert(row.ratio, ours_value / floor_value) end
  end
end

--- CPU per call of ours beside the floor's (and one decode's, where the row has one).
local function cpu_round(row, nth)
  local function run_ours()
    if row.missing then return nil end
    local out, err = numbers(row.program(row.calls))
    if not out then
      row.missing = err
      return nil
    end
    if row.items and out[3] ~= row.items then row.missing = string.format("got %g items, not %d", out[3], row.items) end
    return out[1]
  end
  local early = nth % 2 == 0 and run_ours()
  local base = assert(numbers(row.base(row.calls)))[1]
  if row.extra then base = base + assert(numbers(row.extra(row.calls)))[1] end
  add(row, base, early or run_ours())
end

--- A figure of memory in KiB: word `word` of what the programs print.
local function memory_round(row)
  local base = row.base and assert(numbers(row.base(row.calls)))[row.word_base or 2] or 0
  local out, err = numbers(row.program(row.calls))
  if not out then row.missing = row.missing or err end
  add(row, base, out and out[row.word])
  row.ratio = {}
end

--- How much more memory the second program needs than the first.
local function growth_round(row)
  local short, err = numbers(row.program(row.calls))
  local long, err2 = numbers(row.program_long(row.calls))
  if not (short and long) then row.missing = row.missing or err or err2 end
  add(row, 0, short and long and math.max(0, long[2] - short[2]))
  row.ratio = {}
end

local startup = {}

--- Start to first ping; one run of startup.c serves the rows for CPU and for wall time.
local function startup_round(row, nth)
  if not startup[row.host .. nth] then
    local words = { config.bin .. "/startup", row.calls, "lua5.4", here .. "/only_libcurl.lua", "--",
      "lua5.4", here .. "/first_ping.lua", row.host }
    local out, err = numbers(words)
    if not out then
      row.missing = row.missing or err
      words[7], words[8] = "-e", ""
      out = { table.unpack(assert(numbers(words)), 1, 2) }
    end
    startup[row.host .. nth] = out
  end
  local out = startup[row.host .. nth]
  if #out < 4 then row.missing = row.missing or "see the row above" end
  add(row, out[row.word], out[row.word + 2])
end

local logs = {}

--- A log read to its end; one run serves the rows for CPU and for wall time.
local function logs_round(row, nth)
  if not logs[nth] then
    logs[nth] = {}
    for i, program in ipairs(nth % 2 == 0 and { row.program, row.base } or { row.base, row.program }) do
      local out, err = numbers(program(row.calls))
      if not out then row.missing = row.missing or err end
      logs[nth][(i + nth) % 2 + 1] = out or false -- floor, ours
    end
  end
  local base, own = table.unpack(logs[nth])
  if not own then row.missing = row.missing or "see the row above" end
  add(row, base and base[row.word] or 0, own and own[row.word])
end

local rows = {}
local function add_row(row)
  if config.only and not row.name:find(config.only, 1, true) then return end
  row.floor, row.ours, row.ratio = {}, {}, {}
  row.round = row.round or cpu_round
  row.show = row.show or microseconds
  rows[#rows + 1] = row
end

local function add_rows()
  local engine, saved, id = config.engine, config.saved, config.container
  local image, tag, saved_list = config.image, config.tag, config.bodies .. "/list.json"
  local saved_image = "bench/app" -- any name will do there
  for where, host in ipairs { engine, saved } do
    local at = where == 1 and ", Engine" or ", nginx"
    local judged = where == 1 -- the counts aimed at are of the Engine's replies
    add_row { name = "ping" .. at, base = floor(host, "ping", "HEAD"), program = ours(host, "ping"), calls = 3000,
      aim = 1.15, counted = { 200, 600 }, count_aim = judged and 62000 or nil }
    add_row { name = "inspect_container" .. at, base = floor(host, "inspect", id), program = ours(host, "inspect", id),
      calls = judged and 1000 or 2000, aim = 1.6, counted = { 100, 400 }, count_aim = judged and 230000 or nil }
    add_row { name = "inspects, 16 at a time" .. at, base = floor(host, "inspect16", id),
      program = ours(host, "inspect16", id), calls = 1600, aim = 1.5, counted = { 160, 480 } }
  end
  add_row { name = "list 1,000, nginx (floor: and one cjson.decode)", base = floor(saved, "list"),
    extra = decode(saved_list), program = ours(saved, "list"), calls = 12, items = 1000, aim = 0.6, counted = { 2, 8 } }
  if config.list then
    local count = math.tointeger(tonumber(config.rows))
    add_row { name = "list " .. count .. ", Engine (floor: and one cjson.decode)", base = floor(engine, "list"),
      extra = decode(config.list), program = ours(engine, "list"), calls = 40, items = count, aim = 0.6,
      counted = { 5, 25 } }
  end
  add_row { name = "list 1,000: peak memory (floor: cjson's)", round = memory_round, base = decode(saved_list),
    program = ours(saved, "list"), word = 2, calls = 1, limit = 25 * 1024, show = mebibytes, text = "≤ 25 MB" }
  add_row { name = "list 1,000, 20 times: peak memory (floor: cjson's)", round = memory_round,
    base = decode(saved_list), program = ours(saved, "list"), word = 2, calls = 20, limit = 25 * 1024,
    show = mebibytes, text = "≤ 25 MB" }
  add_row { name = "pull, 20 layers of 1 MB, Engine", base = floor(engine, "pull", image, tag),
    program = ours(engine, "pull", image, tag), calls = 3, aim = 1.25 }
  add_row { name = "pull, saved progress of 65 kB, nginx", base = floor(saved, "pullonly", saved_image, "20layers"),
    program = ours(saved, "pullonly", saved_image, "20layers"), calls = 200, counted = { 5, 15 } }
  add_row { name = "pull: memory that 20 MB of progress need above 2 MB", round = growth_round,
    program = ours(saved, "pullonly", saved_image, "2m"), program_long = ours(saved, "pullonly", saved_image, "20m"),
    calls = 1, limit = 1024, show = mebibytes, text = "≤ 1 MB" }
  add_row { name = "resident after connect, ping, list, Engine", round = memory_round,
    program = ours(engine, "resident"), word = 1, calls = 1, limit = 12 * 1024, show = mebibytes, text = "< 12 MB" }
  local log = "logs, 200,000 lines, Engine"
  add_row { name = log, round = logs_round, base = floor(engine, "logs", config.logger),
    program = ours(engine, "logs", config.logger), word = 1, calls = 1, aim = 0.5 }
  add_row { name = log .. ", wall", round = logs_round, base = floor(engine, "logs", config.logger),
    program = ours(engine, "logs", config.logger), word = 4, calls = 1, aim = 0.85, what = "wall" }
  add_row { name = "logs, 4.6 MB of saved frames, nginx", base = floor(saved, "logs", id),
    program = ours(saved, "logs", id), calls = 20, items = 40000 * 107, aim = 2, counted = { 5, 15 } }
  for where, host in ipairs { engine, saved } do
    local at = where == 1 and ", Engine" or ", nginx"
    local what = " (floor: lua5.4 with libcurl loaded)"
    add_row { name = "start to first ping" .. at .. what, round = startup_round, host = host, word = 1, calls = 15,
      aim = 1.1 }
    add_row { name = "start to first ping, wall" .. at .. what, round = startup_round, host = host, word = 2,
      calls = 15, aim = 1.1, what = "wall" }
  end
end

local runs = {}

--- A run that serves several rows. One is enough for those of memory, which hardly differs.
local function once(program, calls, row)
  local words = program(calls)
  local key = table.concat(words, " ")
  if not runs[key] then
    local out, err = numbers(words)
    runs[key] = out or { failed = err }
  end
  if runs[key].failed then row.missing = row.missing or runs[key].failed end
  return runs[key]
end

--- Peak memory of the long run, or how much it has above the short one's.
local function peak_round(row, nth)
  if nth > 1 then return end
  local short = row.program_short and once(row.program_short, 1, row) or { 0, 0 }
  local long = once(row.program, 1, row)
  add(row, 0, short[2] and long[2] and math.max(0, long[2] - short[2]))
end

--- Word `word` of a program without a floor; one run serves the rows for CPU and for wall time.
local function plain_round(row, nth)
  runs[nth] = runs[nth] or numbers(row.program(row.calls))
  if not runs[nth] then row.missing = row.missing or "it failed" end
  add(row, 0, runs[nth] and runs[nth][row.word] * row.calls)
  if runs[nth] and runs[nth][3] ~= row.calls then row.missing = "not all of them ended well" end
end

local function add_stream_rows()
  local engine, id = config.engine, config.container
  add_row { name = "logs, saved frames, one Lua string a line, nginx", base = floor(config.saved, "logs", id),
    program = streams(config.saved, "lines", id), calls = 10, items = 40000, aim = 12, counted = { 2, 6 } }
  add_row { name = "save_image, 200 MB to nowhere, Engine", base = floor(engine, "save", config.large),
    program = streams(engine, "save", config.large), calls = 1, aim = 1.3 }
  local exec = streams(engine, "exec", id)
  add_row { name = "100 exec of true in one loop, Engine", round = plain_round, program = exec, word = 1, calls = 100 }
  add_row { name = "100 exec of true in one loop, wall, Engine", round = plain_round, program = exec, word = 4,
    calls = 100 }
  local files = config.files
  for _, one in ipairs {
    { "logs, 20 MB", "2 MB", "peak_logs", { config.logger, "20000" }, { config.logger, "200000" } },
    { "save_image, 200 MB", "20 MB", "peak_save", { config.small }, { config.large } },
    { "load_image, 200 MB", "20 MB", "peak_load", { files .. "/small.tar" }, { files .. "/large.tar" } },
    { "copy_in, 200 MB", "20 MB", "peak_copy_in", { files .. "/small/file", config.smallbox },
      { files .. "/large/file", config.smallbox } },
    { "copy_out, 200 MB", "20 MB", "peak_copy_out", { "/file", config.smallbox }, { "/file", config.largebox } },
    { "build context, 200 MB", "20 MB", "peak_build", { files .. "/small" }, { files .. "/large" } },
  } do
    local what, small, work, short, long = table.unpack(one)
    local program = streams(engine, work, table.unpack(long))
    add_row { name = what .. ": memory above that for " .. small, round = peak_round, program = program,
      program_short = streams(engine, work, table.unpack(short)), limit = 2048, show = mebibytes, text = "≤ 2 MB" }
    if work == "peak_save" or work == "peak_load" then
      add_row { name = what .. ": peak memory", round = peak_round, program = program, limit = 20 * 1024,
        show = mebibytes, text = "≤ 20 MB" }
    end
  end
end

--- Instructions per call of a program.
local function counted(program, short, long)
  local a, err = instructions(program(short))
  if not a then return nil, err end
  local b, err2 = instructions(program(long))
  if not b then return nil, err2 end
  return (b - a) / (long - short)
end

local function count_row(row)
  if not row.counted then return end
  local short, long = table.unpack(row.counted)
  row.count_floor = assert(counted(row.base, short, long))
  if row.extra then row.count_floor = row.count_floor + assert(counted(row.extra, short, long)) end
  if not row.missing then
    local count, err = counted(row.program, short, long)
    row.count_ours, row.missing = count, err
  end
end

-- The table -------------------------------------------------------------------------------------------------------

local function thousands(value)
  if not value then return "–" end
  if value >= 1e6 then return string.format("%.2fM", value / 1e6) end
  return string.format("%.1fk", value / 1000)
end

local function verdict(row, ours_value, ratio)
  if row.missing then return "NOT MEASURED: " .. row.missing end
  local missed = {}
  if row.aim and ratio > row.aim then missed[#missed + 1] = row.what or "CPU" end
  if row.limit and ours_value > row.limit then missed[#missed + 1] = "memory" end
  if row.count_aim and row.count_ours and row.count_ours > row.count_aim then missed[#missed + 1] = "instructions" end
  if #missed > 0 then return "MISSED (" .. table.concat(missed, ", ") .. ")" end
  return (row.aim or row.limit) and "met" or "no aim"
end

local function aim_text(row)
  local text = row.text or (row.aim and string.format("≤ %g", row.aim)) or "–"
  if row.count_aim then text = text .. string.format(", ≤ %dk instr.", row.count_aim // 1000) end
  return text
end

local function cells(row)
  local floor_value, ours_value, ratio = median(row.floor), median(row.ours), median(row.ratio)
  return { row.name, floor_value > 0 and row.show(floor_value) or "–", ours_value and row.show(ours_value) or "–",
    ratio and string.format("%.2f", ratio) or "–", aim_text(row),
    row.counted and thousands(row.count_floor) .. " / " .. thousands(row.count_ours) or "–",
    verdict(row, ours_value, ratio) }
end

local HEADINGS <const> = { "work", "floor", "ours", "ratio", "aim", "instructions, floor / ours", "verdict" }
local NUMERIC <const> = { false, true, true, true, true, true, false }

local function print_markdown(lines)
  print("| " .. table.concat(HEADINGS, " | ") .. " |")
  local rule = {}
  for i in ipairs(HEADINGS) do rule[i] = NUMERIC[i] and "--:" or "---" end
  print("|" .. table.concat(rule, "|") .. "|")
  for _, line in ipairs(lines) do print("| " .. table.concat(line, " | ") .. " |") end
end

local function print_plain(lines)
  local widths = {}
  for i, heading in ipairs(HEADINGS) do
    widths[i] = utf8.len(heading)
    if i < #HEADINGS then
      for _, line in ipairs(lines) do widths[i] = math.max(widths[i], utf8.len(line[i]) or #line[i]) end
    end
  end
  for _, line in ipairs { HEADINGS, table.unpack(lines) } do
    local out = {}
    for i, text in ipairs(line) do
      local blank = (" "):rep(widths[i] - (utf8.len(text) or #text))
      out[i] = NUMERIC[i] and blank .. text or text .. blank
    end
    print((table.concat(out, "  "):gsub("%s+$", "")))
  end
end

--- Is there something to measure? Says so once, instead of in each row.
local function find_ours()
  local ok = os.execute("lua5.4 -e 'require \"docker_watcher.docker\"' >/dev/null 2>" .. errors)
  if ok then return nil end
  local why = file_text(errors):match("[^\n]+") or "no reason given"
  io.stderr:write("bench: docker_watcher.docker does not load, so only the floors are measured: ", why, "\n")
  return "docker_watcher.docker does not load"
end

local function main()
  add_rows()
  add_stream_rows()
  local missing = find_ours()
  for _, row in ipairs(rows) do row.missing = missing end
  for nth = 1, rounds do
    io.stderr:write(string.format("bench: round %d of %d\n", nth, rounds))
    for _, row in ipairs(rows) do
      if not (row.missing and not row.base and row.round ~= startup_round) then row.round(row, nth) end
    end
  end
  if config.instructions ~= "no" then
    io.stderr:write("bench: counting instructions\n")
    for _, row in ipairs(rows) do count_row(row) end
  end
  local lines = {}
  for i, row in ipairs(rows) do
    if #row.floor == 0 then row.floor[1] = 0 end
    lines[i] = cells(row)
  end
  if config.markdown == "yes" then print_markdown(lines) else print_plain(lines) end
end

local ok, err = xpcall(main, debug.traceback)
os.remove(errors)
if not ok then
  io.stderr:write("bench: ", tostring(err), "\n")
  os.exit(1)
end
