#!lua
-- Notes that a batch is about to change documents, unless its instance is fenced. Each has a token
-- and no fill token afterwards, and stands in the sets that it is about to enter. What was announced
-- is put down in the instance's record, for who has to take it back.
--
-- Keys: the epoch, the instance's fence, its record; of each document its slot, then its sets.
-- Arguments: the token of the batch; of each document its name in the record and what is written
-- there, its revision, the number of its sets, and its position in each.
-- Returns of each 1 where it is worth holding: it was held, or stands in a set that somebody has
-- built. Else 0.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
local record, token = key(), argument()
local worth = {}
while is_more() do
  local slot = slot_keys()
  redis.call('HSET', record, argument(), argument())
  local revision, count = argument(), tonumber(argument())
  local is_read = redis.call('EXISTS', slot.held)
  redis.call('DEL', slot.fill)
  local settled, tokens = read_tokens(slot)
  if not without(tokens, token) then
    write_tokens(slot, settled, tokens .. token)
  end
  for _ = 1, count do
    local set, position = set_keys(), argument()
    put(set, position, revision)
    pin(set, position, token)
    if redis.call('EXISTS', set.mark) == 1 then
      is_read = 1
    end
  end
  worth[#worth + 1] = is_read
end
return worth
