-- Looks after the time: who vanished is told, and the instance sees that it still hears.
-- ARGV: instance, number of the pulse, last sequence that was seen.
-- Answers the sequence, whether anybody listens.
if tonumber(sequence) < tonumber(ARGV[first + 2]) then
  return redis.error_reply('STALEEPOCH what is kept is older than what was seen')
end
reap_due(100)
call('PUBLISH', own .. 'pulse:' .. ARGV[first], ARGV[first + 1])
return { sequence, call('EXISTS', own .. 'heard') }
