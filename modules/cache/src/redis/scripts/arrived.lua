#!lua flags=allow-oom
-- Takes claims back of documents that have arrived in an epoch of the recent tier, if the lists belong
-- to that, unless the instance is fenced.
--
-- Keys: the epoch, the instance's fence, the state of the lists, those that claims go from.
-- Arguments: the epoch of the recent tier; how many lists there are; of each the number of claims, and
-- these.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
if are_kept(key(), argument()) then
  take_claims()
end
return redis.status_reply('OK')
