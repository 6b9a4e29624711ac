return function(key, text)
    return hmac.sha256(key, text)
end
