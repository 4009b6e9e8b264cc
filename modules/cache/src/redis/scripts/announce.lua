#!lua
-- Notes that a batch is about to change documents, unless its instance is fenced. Each has a token
-- and no fill token afterwards, and stands in the sets that it is about to enter where those are
-- read. What was announced is put down in the epoch's records, for who builds a set, and for who has
-- to take it back.
--
-- A document that was never there before, and stands in no set that somebody has built, gets no
-- token: nobody holds it, what is read of it before the commit is nothing, and what is read afterwards
-- is new.
--
-- Keys: the epoch, the instance's fence, the records; of each document its own, then its sets.
-- Arguments: the name of the record and what it says, the token of the batch; of each document 1
-- where it was never there before, else 0, its revision, the number of its sets, and its position in
-- each.
-- Returns of each 1 where it is worth holding: it was held, or stands in a set that somebody has
-- built. Else 0.

if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
redis.call('HSET', key(), argument(), argument())
local token = argument()
local worth = {}
while is_more() do
  local document, is_new, revision = key(), argument() == '1', argument()
  local is_read = false
  for _ = 1, tonumber(argument()) do
    local set, position = set_keys(), argument()
    local head = redis.call('MGET', set.mark, set.builders)
    local mark, builders = head[1], head[2]
    if builders or covers(mark, position) then
      put(set, position, revision)
      cut_back(set, mark)
    end
    is_read = is_read or mark
  end
  if is_read or not is_new then
    local letter, settled, tokens, packed = read_document(document)
    is_read = is_read or packed ~= ''
    if letter == 'L' or #packed > LONG then
      packed = ''
    end
    if not without(tokens, token) then
      tokens = tokens .. token
    end
    keep_busy(document, settled, tokens, packed)
  end
  worth[#worth + 1] = is_read and 1 or 0
end
return worth
