-- Puts down leases, or prolongs them. Who is new on a channel is told there.
-- ARGV: for each lease channel, account and connection, and for how many milliseconds.
-- Answers the sequence.
reap_due(100)
for next = first, #ARGV, 3 do
  local channel, member = ARGV[next], ARGV[next + 1]
  local left = tonumber(ARGV[next + 2])
  local leases, accounts = own .. 'leases:' .. channel, own .. 'accounts:' .. channel
  local account = member:sub(1, 36)
  if call('ZADD', leases, text(millis + left), member) == 1 then
    if call('HINCRBY', accounts, account, 1) == 1 then
      tell(channel, account, 'true')
    end
  end
  call('PEXPIRE', leases, text(day + left))
  call('PEXPIRE', accounts, text(day + left))
  call('ZADD', own .. 'due', 'LT', text(millis + left), channel)
end
return sequence
