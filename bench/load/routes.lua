-- Takes every route in turn: TOLLGATE_COUNT says how many there are. Beside count.lua.
-- There are as many request texts as the largest table has routes, however many routes they are for: going through
-- them must cost the generator the same, or a slower generator would make the gateway wake up more often.
local routes = tonumber(os.getenv("TOLLGATE_COUNT"))
local texts = 10000
local requests = {}
local at = 0
function init(args)
  for i = 0, texts - 1 do
    requests[i] = wrk.format("GET", "/service-" .. (i % routes) .. "/items/42")
  end
end
function request()
  at = (at + 7919) % texts
  return requests[at]
end
