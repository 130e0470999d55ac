-- wrk: first pages of 100, no two at the same time alike: or requests that are under way together would share one fetch.
-- Spelled once, so that wrk has no more to do than with one address.
local requests, next_one = {}, 0
init = function()
    for offset = 0, 63 do requests[offset] = wrk.format("GET", wrk.path .. "&offset=" .. offset) end
end
request = function()
    next_one = (next_one + 1) % 64
    return requests[next_one]
end
