-- Gets one order after the other: the argument is a file with one id per line. Every thread starts
-- at another place.
local threads = 0
function setup(thread)
  thread:set("begin", threads * 379)
  threads = threads + 1
end

local requests = {}
local at = 0
function init(args)
  for id in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", "/v1/orders/" .. id)
  end
  at = begin
end

function request()
  at = at + 1
  return requests[at % #requests + 1]
end
