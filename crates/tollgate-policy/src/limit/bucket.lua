-- One token bucket in Redis, as crates/tollgate-policy/src/limit/bucket.rs keeps it in memory, on the server's clock.
--
-- Times are microseconds and a rest in parts: a microsecond has as many parts as the rate has tokens. The caller
-- computes what would not fit: every number here stays a whole one below 2^53, so nothing is ever rounded.
--
-- ARGV  1 what: 0 take all or none, 1 take as many as there are, 2 give back
--       2 tokens   3,4 their time   5,6 the time of one   7,8 of the burst   9,10 of what is nearly full
--       11 parts of a microsecond   12 when what is given back was taken
-- Reply { tokens taken or given back, time until the bucket is full (2 numbers), now }
-- Kept  full at (2 numbers) : latest take : latest take when it was nearly full : until when returns count
--
-- What comes back is as if it had never been taken. Had it stayed, it could have overflowed before a take that met a bucket
-- which lacked less than this and the other returns since: then less comes back. So a bucket counts as nearly full while
-- it lacks less than three leases, and returns are summed up as a time that passes: what was returned within some while
-- is at most that while and what is left of the sum. Where that is more than three leases, every take was such a one.

local what, n = tonumber(ARGV[1]), tonumber(ARGV[2])
local cost = { tonumber(ARGV[3]), tonumber(ARGV[4]) }
local token = { tonumber(ARGV[5]), tonumber(ARGV[6]) }
local burst = { tonumber(ARGV[7]), tonumber(ARGV[8]) }
local margin = { tonumber(ARGV[9]), tonumber(ARGV[10]) }
local parts = tonumber(ARGV[11])

local function less(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

local function add(a, b)
  local part = a[2] + b[2]
  if part >= parts then return { a[1] + b[1] + 1, part - parts } end
  return { a[1] + b[1], part }
end

local function sub(a, b)
  if not less(b, a) then return { 0, 0 } end
  if a[2] < b[2] then return { a[1] - b[1] - 1, a[2] + parts - b[2] } end
  return { a[1] - b[1], a[2] - b[2] }
end

local function times(k)
  local part = k * token[2]
  return { k * token[1] + math.floor(part / parts), part % parts }
end

-- How many tokens, fewer than n, fit into a time: an estimate, put right.
local function fitting(room)
  local k = math.floor((room[1] + room[2] / parts) / (token[1] + token[2] / parts))
  k = math.max(0, math.min(k, n - 1))
  while k > 0 and less(room, times(k)) do k = k - 1 end
  while k < n - 1 and not less(room, times(k + 1)) do k = k + 1 end
  return k
end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local full, latest, brimful, returns = { 0, 0 }, 0, 0, 0
local kept = redis.call('GET', KEYS[1])
if kept then
  local a, b, c, d, e = string.match(kept, '^(%d+):(%d+):(%d+):(%d+):?(%d*)$')
  if a then
    full, latest, brimful = { tonumber(a), math.min(tonumber(b), parts - 1) }, tonumber(c), tonumber(d)
    returns = tonumber(e) or 0
  end
end

-- More than a burst cannot be missing, unless the burst became smaller or the server's clock stepped back.
local missing = sub(full, { now, 0 })
-- A full bucket says nothing more than a new one, whether or not it has expired yet.
if not less({ 0, 0 }, missing) then latest, brimful, returns = 0, 0, 0 end
-- Then it is empty from now on.
local excess = less(burst, missing)
if excess then missing = burst end

local moved = 0
if what == 2 then
  local taken = tonumber(ARGV[12])
  local back = cost
  if latest > taken then
    -- Rounded up to whole microseconds.
    returns = math.max(returns, now) + cost[1] + 1
    if returns - taken > margin[1] then brimful = latest end
    if brimful > taken then back = sub(back, { brimful - taken, 0 }) end
  end
  missing = sub(missing, back)
  moved = n
else
  local after = add(missing, cost)
  if not less(burst, after) then
    moved = n
  elseif what == 1 then
    moved = fitting(sub(burst, missing))
    after = add(missing, times(moved))
  end
  if moved > 0 then
    if less(missing, margin) then brimful = now end
    latest = now
    missing = after
  end
end

if moved > 0 or excess then
  full = add({ now, 0 }, missing)
  local text = string.format('%.0f:%.0f:%.0f:%.0f:%.0f', full[1], full[2], latest, brimful, returns)
  redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', math.floor(missing[1] / 1000) + 2))
end
return { moved, missing[1], missing[2], now }
