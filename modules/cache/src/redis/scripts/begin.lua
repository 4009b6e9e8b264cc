#!lua
-- Leaves a build token, unless the set has as much as it may. Those of builders who have not come
-- back go when nobody has begun for long, or many have.
--
-- Keys: the epoch; the set.
-- Returns the token, or nil.

local set = set_keys()
if redis.call('ZCARD', set.entries) >= KEPT and redis.call('EXISTS', set.mark) == 1 then
  return false
end
local token = next_token()
redis.call('RPUSH', set.builders, token)
redis.call('LTRIM', set.builders, -BUILDS, -1)
redis.call('PEXPIRE', set.builders, BUILD_TIME)
return token
