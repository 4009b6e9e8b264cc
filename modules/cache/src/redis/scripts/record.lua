#!lua
-- Puts down what a batch is about to announce, unless its instance is fenced: for who builds a set, and
-- for who has to take it back.
--
-- Keys: the epoch, the instance's fence, the records.
-- Arguments: the name of the record and what it says.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
redis.call('HSET', key(), argument(), argument())
return redis.status_reply('OK')
