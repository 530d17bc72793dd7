-- Posts the same body again and again, with a new value of one header each time: the arguments are the
-- file that holds the body, its content type, and the name of the header.
local thread_count = 0

function setup(thread)
  thread:set("number", thread_count)
  thread_count = thread_count + 1
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  body = file:read("*a")
  file:close()
  headers = { ["Content-Type"] = args[2] }
  name = args[3]
  -- Different in the warm-up and in the measured run.
  prefix = string.format("%d-%d-%s-", number, os.time(), tostring(headers):sub(-8))
  sent = 0
end

function request()
  sent = sent + 1
  headers[name] = prefix .. sent
  return wrk.format("POST", nil, headers, body)
end
