#!lua flags=allow-oom
-- Takes the tokens of a batch away that will not be committed. What is held stays: nothing has
-- changed. Where nobody knows whether it was committed, because its instance is fenced, nothing is
-- held afterwards.
--
-- New documents leave the sets that they have not entered after all. What others have too much they
-- keep: the place may have been the document's before.
--
-- Keys: the epoch, the records; the pending lists that claims go from; of each document its own, then
-- the entries of sets that it leaves, as far as they are in its partition.
-- Arguments: how many records are done with, and their names; how many pending lists there are, of each
-- the number of claims, and these; the batch's token, 1 where it may have been committed, else 0; of
-- each document the number of those sets, and its entry in each.

local records = key()
for _ = 1, tonumber(argument()) do
  redis.call('HDEL', records, argument())
end
take_claims()
local token, is_doubtful = argument(), argument() == '1'
while is_more() do
  local document = key()
  local _, settled, tokens, packed = read_document(document)
  local rest = without(tokens, token)
  if rest and is_doubtful then
    -- Whoever else is about to settle may have been overtaken by it.
    release(document, ALL, rest, '', '0')
  elseif rest then
    release(document, settled, rest, packed, '0')
  end
  for _ = 1, tonumber(argument()) do
    redis.call('ZREM', key(), argument())
  end
end
return redis.status_reply('OK')
