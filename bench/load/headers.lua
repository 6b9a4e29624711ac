-- As many headers as TOLLGATE_COUNT says, `Host` among them, each with a value of 20 bytes. Beside count.lua.
function init(args)
  for i = 2, tonumber(os.getenv("TOLLGATE_COUNT")) do
    wrk.headers["X-Header-" .. i] = string.rep("v", 20)
  end
end
