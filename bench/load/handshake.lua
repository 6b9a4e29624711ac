-- A new connection for each request, and so a full handshake: wrk keeps no sessions.
wrk.headers["Connection"] = "close"
