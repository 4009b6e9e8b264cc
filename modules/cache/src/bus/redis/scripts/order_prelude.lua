-- The events of each document in the order of its revisions, whichever instance is quicker to tell.
-- An event leads from one version of a document to the next; a version is a revision, or nothing
-- before the document was made and after it was deleted. An event that comes before the one it
-- follows waits for it, for a while: who was to tell that one may be gone. What comes after a later
-- one is not told any more. Listeners read again what it was about.
--
-- `told:` of each document is the version that was told last; of one that was deleted an `x` and its
-- last revision. It is known for twice as long as an instance may be silent. `parked` has what waits,
-- by the document and the version that it follows, and `waits` says until when.
local remembered = 2 * silence
local parked, waits = own .. 'parked', own .. 'waits'
local waiting = call('ZCARD', waits)
local most_waiting = 10000
local missed = {} -- by collection, channels on which something was not told

-- Takes out the event that waits for a version of a document.
local function unpark(document, version)
  local place = document .. ' ' .. version
  local event = waiting > 0 and call('HGET', parked, place)
  if not event then
    return nil
  end
  call('HDEL', parked, place)
  call('ZREM', waits, place)
  waiting = waiting - 1
  return cmsgpack.unpack(event)
end

-- Lets an event wait. False where there is no room, or somebody has its place: a document that was
-- deleted twice and made twice meanwhile.
local function park(event)
  local place = event.document .. ' ' .. event.before
  if waiting >= most_waiting or call('HSETNX', parked, place, cmsgpack.pack(event)) == 0 then
    return false
  end
  call('ZADD', waits, text(millis + patience), place)
  waiting = waiting + 1
  call('PEXPIRE', parked, replay)
  call('PEXPIRE', waits, replay)
  return true
end

-- Tells an event, and what has waited for it.
local function proceed(event)
  while event do
    emit(event.channels, event.payload)
    local version = event.after ~= '' and event.after or 'x' .. event.before
    call('SET', own .. 'told:' .. event.document, version, 'PX', remembered)
    event = unpark(event.document, event.after)
  end
end

-- Notes that an event is not told.
local function miss(event)
  local collection = event.document:match('^[^/]+')
  missed[collection] = missed[collection] or {}
  for _, channel in ipairs(event.channels) do
    missed[collection][channel] = true
  end
end

-- Says so where it would have been heard.
local function tell_missed()
  for collection, on in pairs(missed) do
    local channels = {}
    for channel in pairs(on) do
      channels[#channels + 1] = channel
    end
    local payload = '{"v":1,"on":' .. cjson.encode(channels) .. ',"what":{"missed":{"collection":'
      .. cjson.encode(collection) .. '}}}'
    emit(channels, payload)
  end
end

-- Where an event stands: `next`, `early`, `late`, or `known` where it was told already. What follows
-- a version from after `recent` that was not told waits for it; where nothing is known, an event that
-- leads to one from before `oldest` may be followed by what was told long ago.
local function stand(event, recent, oldest)
  local before, after = event.before, event.after
  local told = call('GET', own .. 'told:' .. event.document)
  if not told then
    if after ~= '' and tonumber(after) < oldest then
      return 'late'
    end
    return before ~= '' and tonumber(before) > recent and 'early' or 'next'
  end
  local gone = told:sub(1, 1) == 'x'
  local version = gone and told:sub(2) or told
  local reached, reaches = tonumber(version), tonumber(after ~= '' and after or before)
  if gone and before == '' and reaches > reached or not gone and before == version then
    return 'next'
  end
  if reaches <= reached then
    return reaches == reached and gone == (after == '') and 'known' or 'late'
  end
  return (before == '' or tonumber(before) > recent) and 'early' or 'next'
end

-- Tells an event in its order, now or later.
local function tell(event, recent, oldest)
  local stands = stand(event, recent, oldest)
  if stands == 'late' then
    miss(event)
  elseif stands == 'next' or stands == 'early' and not park(event) then
    proceed(event)
  end
end

-- Tells what has waited long enough.
local function give_up_waiting(most)
  if waiting == 0 then
    return
  end
  for _, place in ipairs(call('ZRANGEBYSCORE', waits, '-inf', millis, 'LIMIT', 0, most)) do
    -- It may have been told behind another one of these.
    local event = unpark(place:match('^(.*) (.*)$'))
    if event then
      tell(event, math.huge, 0)
    end
  end
end
