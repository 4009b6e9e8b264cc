-- Tells events in their order, once however often it is tried.
-- ARGV: instance, number of the batch, the time by the clock of the instance (in microseconds), then
-- for each event how many channels, those, the payload, and its order: `step`, the document and the
-- versions before and after; `once`, of how much it tells, and of what; or nothing.
-- Answers the sequence.
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

-- Whether nobody has told of some of these arguments yet.
local function are_news(from, to)
  local news = false
  for next = from, to do
    if call('SET', own .. 'by:' .. ARGV[next], '', 'PX', 3600000, 'NX') then
      news = true
    end
  end
  return news
end

local next = first + 3
while ARGV[next] do
  local count = tonumber(ARGV[next])
  local channels = {}
  for place = 1, count do
    channels[place] = ARGV[next + place]
  end
  next = next + count + 1
  local payload, order = ARGV[next], ARGV[next + 1]
  next = next + 2
  if order == 'step' then
    tell({
      channels = channels,
      payload = payload,
      document = ARGV[next],
      before = ARGV[next + 1],
      after = ARGV[next + 2],
    }, recent, oldest)
    next = next + 3
  elseif order == 'once' then
    local of = tonumber(ARGV[next])
    if are_news(next + 1, next + of) then
      emit(channels, payload)
    end
    next = next + of + 1
  else
    emit(channels, payload)
  end
end
give_up_waiting(500)
tell_missed()
tidy()
return sequence
