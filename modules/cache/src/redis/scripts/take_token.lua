#!lua
-- Takes a token out of a bucket, by the server's own clock: instances whose clocks differ agree.
--
-- Keys: the bucket, which holds its theoretical arrival time and expires when it is full.
-- Arguments: until there is one more token, and how far those that were taken may reach, both in
-- microseconds.
-- Returns how far those that were taken before reach now.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = tonumber(redis.call('GET', KEYS[1]) or now)
local reach = math.min(math.max(known - now, 0), tolerance + interval)
local after = reach
if reach <= tolerance then
  after = reach + interval
end
redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
return reach
