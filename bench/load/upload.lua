-- Uploads of 1 MiB. Beside count.lua.
wrk.method = "POST"
wrk.headers["content-type"] = "application/octet-stream"
wrk.body = string.rep("u", 1024 * 1024)
