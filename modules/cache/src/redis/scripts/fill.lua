#!lua
-- Holds documents whose fill token is still there.
--
-- Keys: the epoch; the documents.
-- Arguments: the lifetime; of each document the fill token and the packed document.
-- Returns of each 1 where it counts, else 0.

local lifetime = argument()
local counts = {}
while is_more() do
  local document, token, packed = key(), argument(), argument()
  if redis.call('GET', document) == 'F' .. token then
    hold(document, packed, lifetime)
    counts[#counts + 1] = 1
  else
    counts[#counts + 1] = 0
  end
end
return counts
