-- wrk: pages of 100, no two alike.
local offset = 0
request = function()
    offset = (offset + 100) % 900000
    return wrk.format("GET", wrk.path .. "&offset=" .. offset)
end
