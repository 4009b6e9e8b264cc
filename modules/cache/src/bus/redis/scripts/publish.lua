-- Tells events in their order, once however often it is tried.
-- ARGV: instance, number of the batch, the time by the clock of the instance (in microseconds), then
-- for each event how many channels, those, the payload, the document that it is about, and the
-- versions before and after it; nothing where it is about none. Answers the sequence.
local done = own .. 'done:' .. ARGV[first]
if tonumber(call('GET', done) or '0') >= tonumber(ARGV[first + 1]) then
  return sequence
end
call('SET', done, ARGV[first + 1], 'PX', 3600000)
-- Revisions are times of instances: they are held against another one's, never against Redis's.
-- What was written before anybody listened may never have been told.
local clock = tonumber(ARGV[first + 2])
local heard = call('GET', own .. 'heard')
local recent = heard and clock - math.min(silence * 1000, now - heard) or math.huge
local oldest = clock - remembered * 1000
tells_many = true
local next = first + 3
while ARGV[next] do
  local count = tonumber(ARGV[next])
  local channels = {}
  for place = 1, count do
    channels[place] = ARGV[next + place]
  end
  next = next + count + 1
  local payload, document = ARGV[next], ARGV[next + 1]
  if document == '' then
    emit(channels, payload)
  else
    tell({
      channels = channels,
      payload = payload,
      document = document,
      before = ARGV[next + 2],
      after = ARGV[next + 3],
    }, recent, oldest)
  end
  next = next + 4
end
give_up_waiting(500)
tell_missed()
tidy()
return sequence
