-- What answers in the place of the devices of a bus: 1 position, 2 vehicle, 3 seats, 4 driver. The numbers move with
-- the clock, so that a screen has something to show.

local bus = tonumber(config.bus)
local driver_id = 100 + bus
local drivers = { "Ada", "Grace", "Barbara" }

local function round(number, digits)
    local scale = 10 ^ digits
    return math.floor(number * scale + 0.5) / scale
end

local devices = {
    ["/position"] = function()
        -- Once around the town in two minutes, the buses at equal distances.
        local angle = (time.now() / 120 + bus / 3) * 2 * math.pi
        return {
            lat = round(48.2082 + 0.01 * math.sin(angle), 5),
            lon = round(16.3738 + 0.015 * math.cos(angle), 5),
            speed_kmh = 30 + bus,
        }
    end,
    ["/vehicle"] = function()
        return { name = "Bus " .. bus, plate = "W-10" .. bus .. " FW", fuel_percent = 90 - 20 * bus, driver_id = driver_id }
    end,
    ["/seats"] = function()
        return { all = 40, taken = (math.floor(time.now() / 10) + 7 * bus) % 41 }
    end,
    ["/drivers/" .. driver_id] = function()
        return { id = driver_id, name = drivers[bus], phone = "+43 1 555 010" .. bus, since = "06:00" }
    end,
}
local mine = ({ "/position", "/vehicle", "/seats", "/drivers/" .. driver_id })[tonumber(config.device)]

function request(req)
    if req.path == "/health" then
        return respond(200, { status = "ok" })
    end
    if req.path ~= mine then
        return respond(404, { error = "not a path of this device" })
    end
    return respond(200, devices[mine]())
end
