-- The part of the sandbox that is written in Lua: functions of Luau that a script could hold the gateway up with, or
-- hide a limit behind, each with its bound. `rust` holds what is written in Rust; the caller takes away every name
-- that this file does not leave.

local rust = ...

local type, select, tostring, error = type, select, tostring, error
local sub, native_find, native_split = string.sub, string.find, string.split
local native_sort, native_move, concat, pack = table.sort, table.move, table.concat, table.pack
local native_pcall, native_xpcall, native_pairs = pcall, xpcall, pairs
local create, resume = coroutine.create, coroutine.resume
local next, rawget = next, rawget

-- Errors. A limit that was passed ends the call, also where an error is caught; other errors are handed on as text.
local NO_MEMORY = "not enough memory"

local function caught(problem)
    if type(problem) == "string" and sub(problem, -#NO_MEMORY) ~= NO_MEMORY then
        return problem
    end
    return rust.caught(problem)
end

local function checked(ok, ...)
    if ok then
        return true, ...
    end
    return false, caught((...))
end

function pcall(f, ...)
    return checked(native_pcall(f, ...))
end

function xpcall(f, handler, ...)
    return checked(native_xpcall(f, function(problem)
        return handler(caught(problem))
    end, ...))
end

function coroutine.resume(thread, ...)
    return checked(resume(thread, ...))
end

local function unwrapped(ok, ...)
    if ok then
        return ...
    end
    error(caught((...)), 0)
end

function coroutine.wrap(f)
    local thread = create(f)
    return function(...)
        return unwrapped(resume(thread, ...))
    end
end

-- Work within one call of the engine, where no limit is looked at.
local MANY = 1000000

-- A search for plain text takes the product of both lengths at worst; the gateway's own takes the sum.
function string.find(text, pattern, from, plain)
    if type(pattern) == "string" and #pattern > 32 and type(text) == "string" and #pattern * #text > MANY then
        if plain or not native_find(pattern, "[%^%$%*%+%?%.%(%[%%%-]") then
            return rust.find(text, pattern, from)
        end
    end
    return native_find(text, pattern, from, plain)
end

function string.split(text, separator)
    if type(separator) == "string" and #separator > 32 and type(text) == "string" and #separator * #text > MANY then
        error("the separator is too long for this text", 2)
    end
    return native_split(text, separator)
end

local function less(a, b)
    return a < b
end

-- Comparisons of the engine's own are not counted; those of a function are.
function table.sort(list, comparator)
    if comparator == nil and type(list) == "table" and #list > 4096 then
        comparator = less
    end
    return native_sort(list, comparator)
end

function table.move(from, first, last, at, to)
    if type(first) == "number" and type(last) == "number" and last - first >= MANY then
        error("too many elements to move", 2)
    end
    if to == nil then
        return native_move(from, first, last, at)
    end
    return native_move(from, first, last, at, to)
end

-- The headers of a message are no table, but can be gone through like one.
function pairs(value)
    local snapshot = rust.snapshots[value]
    if snapshot then
        return next, snapshot(), nil
    end
    return native_pairs(value)
end

local garbage = collectgarbage
function collectgarbage(option)
    if option ~= "count" then
        error("only `collectgarbage(\"count\")` is there", 2)
    end
    return garbage("count")
end

-- The log.
local function line(level)
    return function(...)
        local parts = pack(...)
        for i = 1, parts.n do
            parts[i] = tostring(parts[i])
        end
        rust.log(level, concat(parts, " "))
    end
end

log = { info = line(0), warn = line(1), error = line(2) }
print = log.info

-- Whether the environment holds these functions under their names, and nothing else. One of them may be nil.
local function alone(environment, request, response)
    if rawget(environment, "request") ~= request or rawget(environment, "response") ~= response then
        return false
    end
    local others = (if request then 1 else 0) + (if response then 1 else 0)
    for _ in next, environment do
        others -= 1
    end
    return others == 0
end

-- Runs a script in a fresh environment, and its function for the request (true) or for the response (false). Gives the
-- verdict, whether nothing but its functions is in the environment, and what is left there as function for the response.
local function start(main, environment, asked, first, second)
    main()
    local request, response = rawget(environment, "request"), rawget(environment, "response")
    local f, verdict = nil, nil
    if asked ~= nil then
        f = if asked then request else response
    end
    if f ~= nil then
        verdict = f(first, second)
    end
    return verdict, alone(environment, request, response), rawget(environment, "response")
end

-- For an environment that holds nothing but these: runs one of them, says whether that is still so, and gives what is left
-- as function for the response where it is not.
local function again(environment, f, request, response)
    return function(first, second)
        local verdict = f(first, second)
        if alone(environment, request, response) then
            return verdict, true
        end
        return verdict, false, rawget(environment, "response")
    end
end

return start, again
