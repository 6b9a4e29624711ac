-- What a shop may see of an item. It runs in a sandbox: no files, no network, so much memory and time for each call (docs/lua.md).
--
--   lua: { file: stock.lua, with: { edition: 1, costs_for: buying } }

local function buys(req)
    local roles = req.claims.roles
    return type(roles) == "table" and table.find(roles, config.costs_for) ~= nil
end

-- Toward the service. A client's own header of that name does not get there.
function request(req)
    req.headers["x-asked-as"] = if buys(req) then config.costs_for else "customer"
end

-- Toward the client: prices as numbers, and costs for those who buy.
function response(res, req)
    local item = res.json
    if type(item) ~= "table" or not item.price_cents then
        return -- not of an item: as it came
    end
    item.price = item.price_cents / 100
    item.cost = if buys(req) and item.cost_cents then item.cost_cents / 100 else nil
    item.price_cents = nil
    item.cost_cents = nil
    item.edition = config.edition
end
