-- What all scripts begin with. Time is this server's, so that wrong clocks of instances do not
-- matter. ARGV: prefix, epoch, replay (ms), interest (ms), room (bytes), inline (bytes), length,
-- patience (ms), silence (ms).
local prefix, epoch = ARGV[1], ARGV[2]
local replay, interest = tonumber(ARGV[3]), tonumber(ARGV[4])
local room, inline, length = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local patience, silence = tonumber(ARGV[8]), tonumber(ARGV[9])
local call = redis.call
local own = prefix .. epoch .. ':'
local first = 10 -- where the arguments of the script itself begin

local sequence = call('GET', own .. 'sequence')
if call('HGET', prefix .. 'epoch', 'epoch') ~= epoch or not sequence then
  return redis.error_reply('STALEEPOCH what was kept is lost')
end

local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local millis = math.floor(now / 1000)

-- A sequence as text. Microseconds stay below 2^53 until the year 2255.
local function text(number)
  return string.format('%.0f', number)
end

-- The next place: the time in microseconds, and never the same twice or less than before.
local function advance()
  sequence = text(math.max(tonumber(sequence) + 1, now))
  call('SET', own .. 'sequence', sequence)
  return sequence
end

-- Bytes that were added to what is kept, and not counted there yet. A script that tells many events
-- looks after what is kept once, at its end.
local added, tells_many = 0, false

-- Forgets payloads that are too old or too much, oldest first.
local function tidy()
  if added == 0 then
    return
  end
  local kept, oldest, at_once = own .. 'kept', now - replay * 1000, 16
  local bytes = call('INCRBY', own .. 'bytes', added)
  added = 0
  call('PEXPIRE', kept, 2 * replay)
  call('PEXPIRE', own .. 'bytes', 2 * replay)
  repeat
    local entries, gone = call('XRANGE', kept, '-', '+', 'COUNT', at_once), 0
    for _, entry in ipairs(entries) do
      local at, size = entry[1]:match('(%d+)-(%d+)')
      if bytes <= room and tonumber(at) >= oldest then
        break
      end
      call('XDEL', kept, entry[1])
      call('DEL', own .. 'event:' .. at)
      bytes = call('DECRBY', own .. 'bytes', size)
      gone = gone + 1
    end
  until gone < at_once
  if call('XLEN', kept) == 0 then
    call('DEL', own .. 'bytes')
  end
end

local function keep(at, payload)
  local size = #payload + 256
  call('SET', own .. 'event:' .. at, payload, 'PX', replay)
  call('XADD', own .. 'kept', at .. '-' .. size, 'e', '')
  added = added + size
  if not tells_many then
    tidy()
  end
end

-- Tells an event on those of its channels that somebody listens to or may come back to. Each says
-- which event came before on the channel, so that whoever misses one knows.
local function emit(channels, payload)
  local heard = {}
  for _, channel in ipairs(channels) do
    local before = call('GET', own .. 'last:' .. channel)
    if before then
      heard[#heard + 1] = { channel, before }
    end
  end
  if #heard == 0 then
    return
  end
  local at = advance()
  keep(at, payload)
  local carried = #payload <= inline and payload or ''
  for _, place in ipairs(heard) do
    local channel, before = place[1], place[2]
    call('SET', own .. 'last:' .. channel, at, 'KEEPTTL')
    call('XADD', own .. 'index:' .. channel, 'MAXLEN', '~', length, at .. '-0', 'before', before)
    call('PEXPIRE', own .. 'index:' .. channel, replay)
    call('PUBLISH', own .. 'on:' .. channel, at .. ' ' .. before .. ' ' .. carried)
  end
end

-- Says that events are missing here, to those who listen and to those who come back.
local function lose(everyone, payload)
  local before = sequence
  emit({ everyone }, payload)
  if sequence == before then
    advance()
  end
  call('SET', own .. 'lost', sequence)
end
