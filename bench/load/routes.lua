-- Takes every route in turn: TOLLGATE_ROUTES says how many there are. Beside count.lua.
local routes = tonumber(os.getenv("TOLLGATE_ROUTES"))
local requests = {}
local at = 0
function init(args)
  for i = 0, routes - 1 do
    requests[i] = wrk.format("GET", "/service-" .. i .. "/items/42")
  end
end
function request()
  at = (at + 7919) % routes
  return requests[at]
end
