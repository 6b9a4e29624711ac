local sign = require "lib/sign"

assert(config.many[2] == 2.5 and config.deep.a == "b")

function request(req)
    req.headers["x-signature"] = sign(config.key, req.path)
end
