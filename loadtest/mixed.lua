-- wrk: reads spread over boards and pages by Zipf's law, 5 % writes. Arguments: an API key, how many boards.
local key, boards, base
local weights, sum = {}, 0

init = function(arguments)
    key, boards, base = arguments[1], tonumber(arguments[2]), wrk.path
    for i = 1, boards do
        sum = sum + 1 / i
        weights[i] = sum
    end
    math.randomseed(1)
end

local function zipf(limit)
    local at = math.random() * weights[limit]
    for i = 1, limit do
        if weights[i] >= at then return i - 1 end
    end
    return limit - 1
end

request = function()
    local board = base .. "/boards/b" .. zipf(boards)
    local kind = math.random()
    if kind < 0.05 then
        local body = string.format('{"player": "p%d", "score": %d}', math.random(0, 999), math.random(0, 20000))
        return wrk.format("POST", board .. "/scores", { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json" }, body)
    elseif kind < 0.65 then
        return wrk.format("GET", board .. "/top?limit=50&offset=" .. zipf(20) * 50)
    elseif kind < 0.85 then
        return wrk.format("GET", board .. "/players/p" .. zipf(50) .. "?fields=rank")
    end
    return wrk.format("GET", board .. "/players/p" .. zipf(50) .. "/around")
end
