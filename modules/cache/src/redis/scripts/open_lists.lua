#!lua flags=allow-oom
-- Has the pending lists be believed, if they were not begun again meanwhile, unless the instance is
-- fenced.
--
-- Keys: the epoch, the instance's fence, the state of the lists.
-- Arguments: the epoch of the recent tier, the nonce of their beginning.
-- Returns 1 where they are, else 0.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
local state, epoch, nonce = key(), argument(), argument()
if redis.call('GET', state) ~= 'B' .. epoch .. nonce then
  return 0
end
redis.call('SET', state, 'O' .. epoch)
return 1
