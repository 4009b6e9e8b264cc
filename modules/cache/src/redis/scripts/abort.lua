#!lua flags=allow-oom
-- Takes the tokens of a batch away that will not be committed. What is held stays: nothing has
-- changed. Where nobody knows whether it was committed, because its instance is fenced, nothing is
-- held afterwards.
--
-- Keys: the epoch, the instance's record; of each document its slot, then its sets.
-- Arguments: the batch's token, 1 where it may have been committed, else 0; of each document its
-- name in the record, the number of its sets, and its position in each.

local record, token, is_doubtful = key(), argument(), argument() == '1'
while is_more() do
  local slot = slot_keys()
  redis.call('HDEL', record, argument())
  local settled, tokens = read_tokens(slot)
  local rest = without(tokens, token)
  if rest then
    if is_doubtful then
      -- Whoever else is about to settle may have been overtaken by it.
      settled = ALL
      redis.call('DEL', slot.held)
    end
    write_tokens(slot, settled, rest)
    redis.call('DEL', slot.fill)
  end
  for _ = 1, tonumber(argument()) do
    unpin(set_keys(), argument(), token)
  end
end
return redis.status_reply('OK')
