#!lua flags=allow-oom
-- Gives a token back to a bucket. One that is full is not there.
--
-- Keys: the bucket.
-- Arguments: what a token is worth, in microseconds.

local known = tonumber(redis.call('GET', KEYS[1]) or 0)
if known == 0 then
  return redis.status_reply('OK')
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local before = known - tonumber(ARGV[1])
if before > now then
  local left = math.ceil((before - now) / 1000)
  redis.call('SET', KEYS[1], string.format('%.0f', before), 'PX', left)
else
  redis.call('DEL', KEYS[1])
end
return redis.status_reply('OK')
