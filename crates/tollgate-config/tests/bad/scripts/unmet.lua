-- A module that is not there.
local none = require "lib/none"
function request() end
