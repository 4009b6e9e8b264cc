-- Looks after the time: who vanished is told, what waits for them goes on, and the instance sees that
-- it still hears. Of an instance that has vanished nobody knows what it had yet to tell.
-- ARGV: instance, number of the pulse, last sequence that was seen, the channel of all instances, the
-- payload that says that events are missing. Answers the sequence, whether anybody listens.
local instance = ARGV[first]
if tonumber(sequence) < tonumber(ARGV[first + 2]) then
  return redis.error_reply('STALEEPOCH what is kept is older than what was seen')
end
reap_due(100)
give_up_waiting(500)
tell_missed()
local instances = own .. 'instances'
call('ZADD', instances, text(millis), instance)
call('PEXPIRE', instances, day)
if call('ZREMRANGEBYSCORE', instances, '-inf', text(millis - silence)) > 0 then
  lose(ARGV[first + 3], ARGV[first + 4])
end
call('PUBLISH', own .. 'pulse:' .. instance, ARGV[first + 1])
return { sequence, call('EXISTS', own .. 'heard') }
