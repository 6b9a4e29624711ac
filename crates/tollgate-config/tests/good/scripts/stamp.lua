function request(req)
    req.headers["x-stamp"] = "yes"
end
