-- Puts down leases, or prolongs them. Who is new on a channel is told there.
-- ARGV: for each lease channel, account and connection, and for how many milliseconds.
-- Answers the sequence.
reap_due(100)
local shortest, longest = {}, {}
for next = first, #ARGV, 3 do
  local channel, member = ARGV[next], ARGV[next + 1]
  local left = tonumber(ARGV[next + 2])
  if call('ZADD', own .. 'leases:' .. channel, text(millis + left), member) == 1 then
    local account = member:sub(1, 36)
    if call('HINCRBY', own .. 'accounts:' .. channel, account, 1) == 1 then
      tell(channel, account, 'true')
    end
  end
  shortest[channel] = math.min(shortest[channel] or left, left)
  longest[channel] = math.max(longest[channel] or left, left)
end
-- The keys go a day after the last lease, should nobody be there to take it back.
for channel, left in pairs(longest) do
  call('ZADD', own .. 'due', 'LT', text(millis + shortest[channel]), channel)
  for _, kind in ipairs({ 'leases:', 'accounts:' }) do
    call('PEXPIRE', own .. kind .. channel, text(day + left))
  end
end
call('PEXPIRE', own .. 'due', 2 * day)
return sequence
