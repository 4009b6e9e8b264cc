#!lua
-- Puts down what a batch is about to announce, unless its instance is fenced: for who builds a set, and
-- for who has to take it back. What the recent tier is to have is claimed in the same step, if the
-- pending lists are kept.
--
-- Keys: the epoch, the instance's fence, the records; where there are claims the state of the pending
-- lists, and all of them.
-- Arguments: the name of the record and what it says; how many lists there are, or 0 where there are no
-- claims; of each the number of claims, and these.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
redis.call('HSET', key(), argument(), argument())
add_claims()
return redis.status_reply('OK')
