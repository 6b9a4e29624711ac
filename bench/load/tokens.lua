-- A token of the list in the file TOLLGATE_TOKENS with each request, in turn. Beside count.lua.
local requests = {}
local at = 0
function init(args)
  for token in io.lines(os.getenv("TOLLGATE_TOKENS")) do
    requests[#requests + 1] = wrk.format("GET", nil, { authorization = "Bearer " .. token })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
