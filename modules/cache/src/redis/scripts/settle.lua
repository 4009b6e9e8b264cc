#!lua flags=allow-oom
-- Notes what a batch has made of documents. Only the batch whose token is still there may say so:
-- one that says it twice, or after it was taken back, changes nothing.
--
-- Keys: the epoch, the instance's record; of each document its slot, the sets where it stands, then
-- the sets that it has left.
-- Arguments: the token of the batch; of each document its name in the record, its version, the
-- packed document (nothing where none is to be held), its lifetime, the revision that it had where it
-- has left, the number of sets where it stands, its position in each, the number of sets that it has
-- left, and the position that it had in each.

-- Takes out a document that has left, unless a later version of it is there.
local function leave(set, position, last)
  local there = find(set, position)
  if not there or is_before(last, there:sub(-REVISION)) then
    return
  end
  if redis.call('HEXISTS', set.pins, position) == 0 then
    redis.call('ZREM', set.entries, there)
  end
  tidy(set)
end

local function settle(slot, version, settled, packed, lifetime)
  local known = settled
  local held = redis.call('GETRANGE', slot.held, 0, REVISION - 1)
  if held ~= '' and is_before(known, held .. '\0') then
    known = held .. '\0'
  end
  if not is_before(known, version) then
    return settled
  end
  if packed == '' then
    redis.call('DEL', slot.held)
  else
    hold(slot, packed, lifetime)
  end
  return version
end

local record, token = key(), argument()
while is_more() do
  local slot, name = slot_keys(), argument()
  local version, packed, lifetime, left_at = argument(), argument(), argument(), argument()
  local settled, tokens = read_tokens(slot)
  local rest = without(tokens, token)
  if rest then
    settled = settle(slot, version, settled, packed, lifetime)
    write_tokens(slot, settled, rest)
    redis.call('DEL', slot.fill)
    redis.call('HDEL', record, name)
  end
  local stands = {}
  for at = 1, tonumber(argument()) do
    stands[at] = { set = set_keys(), position = argument() }
  end
  for _ = 1, tonumber(argument()) do
    local set, position = set_keys(), argument()
    if rest then
      leave(set, position, left_at)
    end
  end
  for _, place in ipairs(stands) do
    unpin(place.set, place.position, token)
  end
end
return redis.status_reply('OK')
