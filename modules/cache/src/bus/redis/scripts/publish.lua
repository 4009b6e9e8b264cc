-- Tells events in their order, once however often it is tried.
-- ARGV: instance, number of the batch, then for each event how many channels, those, the payload.
-- Answers the sequence.
local done = own .. 'done:' .. ARGV[first]
if tonumber(call('GET', done) or '0') >= tonumber(ARGV[first + 1]) then
  return sequence
end
call('SET', done, ARGV[first + 1], 'PX', 3600000)
local next = first + 2
while ARGV[next] do
  local count = tonumber(ARGV[next])
  local channels = {}
  for place = 1, count do
    channels[place] = ARGV[next + place]
  end
  emit(channels, ARGV[next + count + 1])
  next = next + count + 2
end
return sequence
