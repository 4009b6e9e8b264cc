-- What was told on a channel since some place.
-- ARGV: channel, sequence. Answers the sequence, up to where events are missing, the place of the
-- channel's last event or nothing where it is not kept, and the place of each event since, with
-- that of the one before.
local channel, since = ARGV[first], tonumber(ARGV[first + 1])
local last = call('GET', own .. 'last:' .. channel)
local entries = {}
if last and since < tonumber(last) then
  local from = text(since + 1)
  for at, entry in ipairs(call('XRANGE', own .. 'index:' .. channel, from, '+', 'COUNT', length)) do
    entries[at] = { entry[1]:match('%d+'), entry[2][2] }
  end
end
return { sequence, call('GET', own .. 'lost') or '0', last or '', entries }
