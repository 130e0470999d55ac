-- wrk, one connection: the statistics routes by the clock, each address twice, four requests apart. Arguments: an API key, requests a second, how
-- many players. Prints a line for each response: route, status, first word of Server-Timing, its milliseconds ("-": it has none).
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } moment; int clock_gettime(int clock, moment *now);")

local now, threads = ffi.new("moment"), {}
local function milliseconds()
    ffi.C.clock_gettime(1, now)
    return tonumber(now.seconds) * 1000 + tonumber(now.nanoseconds) / 1e6
end

local headers, every, players, due, route
local nth, player = -1, 0
answers = {} -- global: what thread:get finds

setup = function(thread) table.insert(threads, thread) end

init = function(arguments)
    headers = { ["Authorization"] = "Bearer " .. arguments[1] }
    every, players = 1000 / tonumber(arguments[2]), tonumber(arguments[3])
    due = milliseconds()
end

delay = function()
    local at = milliseconds()
    due = math.max(due, at - 1000) + every
    return math.max(0, math.floor(due - at))
end

request = function()
    nth = (nth + 1) % 8
    if nth == 0 then player = math.random(0, players - 1) end
    local path = ({ "/stats?bucket=month", "/stats", "/hall-of-fame", "/players/p" .. player .. "/stats" })[nth % 4 + 1]
    route = ({ "/stats?bucket=month", "/stats", "/hall-of-fame", "/players/{player}/stats" })[nth % 4 + 1]
    return wrk.format("GET", wrk.path .. path, headers)
end

response = function(status, fields)
    local timing = fields["Server-Timing"] or ""
    answers[#answers + 1] = table.concat({ route, status, timing:match("^%w*"), timing:match("total;dur=([%d.]+)") or "-" }, " ")
end

done = function()
    for _, thread in ipairs(threads) do
        for _, line in ipairs(thread:get("answers")) do print("answer " .. line) end
    end
end
