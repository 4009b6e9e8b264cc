#!lua
-- What is known of documents that were not there a moment ago. One that is neither held nor about to
-- be changed gets a fill token, or keeps the one that it has: nothing has changed since.
--
-- Keys: the epoch; of each document its slot.
-- Returns of each the packed document, nil where it is about to be changed, or its fill token.

local found = {}
while is_more() do
  local slot = slot_keys()
  if redis.call('EXISTS', slot.tokens) == 1 then
    found[#found + 1] = false
  else
    local held = redis.call('GET', slot.held)
    if not held then
      held = tonumber(redis.call('GET', slot.fill)) or next_token()
      redis.call('SET', slot.fill, held, 'PX', FILL_TIME)
    end
    found[#found + 1] = held
  end
end
return found
