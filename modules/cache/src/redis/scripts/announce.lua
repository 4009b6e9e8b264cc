#!lua
-- Notes that a batch is about to change documents, unless its instance is fenced. Each has a token
-- and no fill token afterwards, and stands in the sets that it is about to enter where those are
-- read. Records of them are there already.
--
-- A document that was never there before, and stands in no set that somebody has built, gets no
-- token: nobody holds it, what is read of it before the commit is nothing, and what is read afterwards
-- is new.
--
-- Keys: the epoch, its stamp, the instance's fence; of each document its own, then the sets where it
-- will stand, then the marks of those where it stands.
-- Arguments: the token of the batch; of each document 1 where it was never there before, else 0; the
-- number of the sets where it will stand, its revision, and its position in each; the number of those
-- where it stands, or nothing where nobody knows.
-- Returns of each 1 where it is worth holding: it was held, or stands in a set that somebody has
-- built. Else 0.

local epoch_stamp = key()
if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
local token = argument()
-- One for all that this call touches.
local stamp

local function touch(key, mark)
  stamp = stamp or next_stamp()
  redis.call('SET', key, stamp .. reach_of(mark))
end

local worth = {}
while is_more() do
  local document, is_new, count, revision = key(), argument() == '1', argument(), argument()
  local is_read = false
  for _ = 1, tonumber(count) do
    local set, position = set_keys(), argument()
    local head = redis.call('MGET', set.mark, set.builders)
    local mark, builders = head[1], head[2]
    if mark then
      touch(set.mark, mark)
      is_read = true
    end
    if builders or covers(mark, position) then
      put(set, position, revision, is_new)
      cut_back(set)
    end
  end
  local stood = argument()
  if stood == '' then
    stamp = stamp or next_stamp()
    redis.call('SET', epoch_stamp, stamp)
  else
    for _ = 1, tonumber(stood) do
      local key = key()
      local mark = redis.call('GET', key)
      if mark then
        touch(key, mark)
      end
    end
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
