#!lua
-- Claims documents in the pending lists, if those belong to an epoch of the recent tier, unless the
-- instance is fenced.
--
-- Keys: the epoch, the instance's fence, the state of the lists, all lists.
-- Arguments: the epoch of the recent tier; how many lists there are; of each the number of claims, and
-- these.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
add_claims(argument())
return redis.status_reply('OK')
