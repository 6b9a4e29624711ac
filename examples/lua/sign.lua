-- Signs what goes to a service that checks where it came from: method, path, time and body under a shared key.
--
--   lua: { file: sign.lua, with: { key: "${SIGNING_KEY}", name: gateway } }

function request(req)
    local at = string.format("%d", time.now())
    local text = table.concat({ req.method, req.path, at, req.body }, "\n")
    req.headers["x-signed-by"] = config.name
    req.headers["x-signed-at"] = at
    req.headers["x-signature"] = hmac.sha256(config.key, text)
end
