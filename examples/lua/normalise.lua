-- One shape for what several services call differently: names in lower case with underscores, amounts as numbers,
-- times as RFC 3339, and always a list.
--
--   lua: { file: normalise.lua, with: { list: items } }

local function snake(name)
    return (name:gsub("(%l)(%u)", "%1_%2"):gsub("[%s%-]+", "_"):lower())
end

local function normal(value)
    if type(value) ~= "table" then
        return value
    end
    if #value > 0 then
        for i, item in value do
            value[i] = normal(item)
        end
        return value
    end
    local out = {}
    for name, item in value do
        local key = snake(name)
        if key:find("_at$") and type(item) == "number" then
            item = time.iso(item)
        elseif key == "amount" and type(item) == "string" then
            item = tonumber(item) or json.null
        end
        out[key] = normal(item)
    end
    -- An empty list is told from an empty object by its mark.
    return next(out) == nil and value or out
end

function response(res)
    local data = res.json
    if type(data) ~= "table" then
        return -- not JSON, or nothing to rename: as it came
    end
    data = normal(data)
    if #data > 0 or next(data) == nil then
        data = { [config.list or "items"] = json.array(data) }
    end
    res.json = data
end
