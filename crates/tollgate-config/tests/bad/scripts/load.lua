local limit = config.limit
local twice = limit * 2
function request() end
