#!lua flags=allow-oom
-- Begins the pending lists again, unless the instance is fenced.
--
-- Keys: the epoch, the instance's fence, the records, the state of the lists, all lists.
-- Arguments: the epoch of the recent tier.
-- Returns the nonce of this beginning, and the names of all records, one behind the other: of the
-- batches that are under way, whose claims may not be in the lists.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
local records, state, epoch = key(), key(), argument()
while is_more() do
  redis.call('UNLINK', key())
end
local nonce = next_token()
redis.call('SET', state, 'B' .. epoch .. nonce)
return { nonce, table.concat(redis.call('HKEYS', records)) }
