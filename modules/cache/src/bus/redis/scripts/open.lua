-- Opens channels or keeps them open, and says what was told there since some place.
-- ARGV: the channel of all instances, whether clients listen (0 or 1), then for each channel its
-- name and a sequence, or nothing where only later events are of interest.
-- Answers the sequence, then for each channel the place of its last event, and the place of each
-- event since, with that of the one before.
local everyone, listens = ARGV[first], ARGV[first + 1]
if listens == '1' then
  if call('SET', own .. 'heard', text(now), 'PX', interest, 'NX') then
    call('PUBLISH', own .. 'on:' .. everyone, 'heard')
  else
    call('PEXPIRE', own .. 'heard', interest)
  end
end
local answer = {}
for next = first + 2, #ARGV, 2 do
  local channel, since = ARGV[next], ARGV[next + 1]
  local key = own .. 'last:' .. channel
  local last = call('GET', key)
  if last then
    call('PEXPIRE', key, interest)
  else
    -- A place of its own: whoever believed it open may have missed what nobody kept.
    last = advance()
    call('SET', key, last, 'PX', interest)
  end
  local entries = {}
  if since ~= '' and tonumber(since) < tonumber(last) then
    local from = text(tonumber(since) + 1)
    for at, entry in ipairs(call('XRANGE', own .. 'index:' .. channel, from, '+', 'COUNT', length)) do
      entries[at] = { entry[1]:match('%d+'), entry[2][2] }
    end
  end
  answer[#answer + 1] = { last, entries }
end
table.insert(answer, 1, sequence)
return answer
