function request(req)
    req.headers["x"] == 1
end
