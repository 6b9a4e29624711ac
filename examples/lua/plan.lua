-- Sends callers to what they have paid for, by a claim of their token.
--
--   lua: { file: plan.lua, with: { plans: { free: /v1, pro: /v2 } } }

function request(req)
    local claims = req.claims
    local prefix = claims and config.plans[claims.plan]
    if not prefix then
        return respond(403, { error = "no plan", plan = claims and claims.plan or json.null })
    end
    req.path = prefix .. req.path
    req.headers["x-plan"] = claims.plan
end
