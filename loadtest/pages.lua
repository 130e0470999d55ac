-- wrk: first pages of 100, no two at the same time alike: or requests that are under way together would share one fetch.
local offset = 0
request = function()
    offset = (offset + 1) % 64
    return wrk.format("GET", wrk.path .. "&offset=" .. offset)
end
