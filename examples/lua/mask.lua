-- Hides fields of an answer from those who are not trusted with them, however deep they are.
--
--   lua: { file: mask.lua, with: { fields: [iban, email], role: support } }

local hidden = {}
for _, name in config.fields do
    hidden[name] = true
end

local function stars(text)
    if #text <= 8 then
        return "****" -- the last four would be half of it, or all
    end
    return ("*"):rep(#text - 4) .. text:sub(-4)
end

local function mask(value)
    for name, item in value do
        if hidden[name] then
            -- Of a list or an object nothing is shown: what is in it has other names, or none.
            local whole = type(item) == "table" or item == json.null
            value[name] = if whole then json.null else stars(tostring(item))
        elseif type(item) == "table" then
            mask(item)
        end
    end
end

local function trusted(req)
    local roles = req.claims and req.claims.roles
    return type(roles) == "table" and table.find(roles, config.role) ~= nil
end

function response(res, req)
    if trusted(req) then
        return
    end
    if res.json == nil and res.body ~= "" and res.status < 300 then
        return respond(502) -- no JSON, or a piece of it: what is in it cannot be masked
    end
    if type(res.json) == "table" then
        mask(res.json)
        -- What one may see, another may not.
        res.headers["cache-control"] = "private"
    end
end
