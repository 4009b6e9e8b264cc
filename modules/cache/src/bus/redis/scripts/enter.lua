-- Says which epoch it is. Another one begins where what was kept is lost or may be: the server was
-- started again, the data is gone, or it is older than what somebody has seen.
-- ARGV: prefix, run id of the server, name of the epoch that may begin, last sequence that was seen.
-- Answers epoch, sequence, whether anybody listens.
local prefix, run, fresh, seen = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local call = redis.call
local known = call('HMGET', prefix .. 'epoch', 'run', 'epoch')
local old = known[2]
if old then
  local own = prefix .. old .. ':'
  local sequence = call('GET', own .. 'sequence')
  if known[1] == run and sequence and tonumber(sequence) >= seen then
    return { old, sequence, call('EXISTS', own .. 'heard') }
  end
  -- The rest runs out by itself.
  call('DEL', own .. 'sequence', own .. 'lost', own .. 'kept', own .. 'bytes', own .. 'due')
end
local time = call('TIME')
local sequence = string.format('%.0f', math.max(seen + 1, time[1] * 1000000 + time[2]))
call('HSET', prefix .. 'epoch', 'run', run, 'epoch', fresh)
call('SET', prefix .. fresh .. ':sequence', sequence)
return { fresh, sequence, 0 }
