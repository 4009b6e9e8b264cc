#!lua
-- Notes that a batch is about to change documents, unless its instance is fenced. Each has a token
-- and no fill token afterwards, and stands in the sets that it is about to enter where those are
-- read, as far as they are in its partition. Records of them are there already.
--
-- A document that was never there before, and stands in no set that somebody has built, gets no
-- token: nobody holds it, what is read of it before the commit is nothing, and what is read afterwards
-- is new.
--
-- Keys: the epoch, its stamp, the instance's fence; of each document its own, then the sets where it
-- will stand, then the marks of those where it stands.
-- Arguments: the token of the batch; of each document 1 where it was never there before, 2 where it was
-- not and somebody is known to have built a set where it will stand, else 0; the number of the sets where
-- it will stand, its revision, and its position in each; the number of those where it stands, or nothing
-- where nobody knows.
-- Returns of each 1 where it is worth holding: it was held, or stands in a set that somebody has
-- built. Else 0.

local epoch_stamp = key()
if redis.call('EXISTS', key()) == 1 then
  return redis.error_reply('FENCED the instance is fenced')
end
local token = argument()
local worth = {}
while is_more() do
  local document, novelty = key(), argument()
  local is_new = novelty ~= '0'
  local is_read = enter(epoch_stamp, is_new) or novelty == '2'
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
