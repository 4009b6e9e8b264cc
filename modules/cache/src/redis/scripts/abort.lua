#!lua flags=allow-oom
-- Takes the tokens of a batch away that will not be committed. What is held stays: nothing has
-- changed. Where nobody knows whether it was committed, because its instance is fenced, nothing is
-- held afterwards. Sets keep what they have too much.
--
-- Keys: the epoch, the records; the documents.
-- Arguments: how many records are done with, and their names; the batch's token, 1 where it may have
-- been committed, else 0.

local records = key()
for _ = 1, tonumber(argument()) do
  redis.call('HDEL', records, argument())
end
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
end
return redis.status_reply('OK')
