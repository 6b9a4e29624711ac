local broken = require "broken"

function request() end
