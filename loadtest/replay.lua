-- wrk: sends the requests of a file over and over, one after the other (a method, a path and a body a line, tabs between).
-- Arguments: the file, an API key.
local requests, at = {}, 0

init = function(arguments)
    local head = { ["Authorization"] = "Bearer " .. arguments[2] }
    local head_of_body = { ["Authorization"] = head["Authorization"], ["Content-Type"] = "application/json" }
    for line in io.lines(arguments[1]) do
        local method, path, body = line:match("^(%S+)\t(%S+)\t(.*)$")
        requests[#requests + 1] = wrk.format(method, path, body ~= "" and head_of_body or head, body ~= "" and body or nil)
    end
end

request = function()
    at = at % #requests + 1
    return requests[at]
end
