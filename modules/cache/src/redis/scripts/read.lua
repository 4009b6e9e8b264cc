#!lua
-- What is known of documents that were not there a moment ago. One of which nothing is known gets a
-- fill token.
--
-- Keys: the epoch; the documents.
-- Returns of each what is there.

local found = {}
while is_more() do
  local document = key()
  local value = redis.call('GET', document)
  if not value then
    value = 'F' .. next_token()
    redis.call('SET', document, value, 'PX', FILL_TIME)
  end
  found[#found + 1] = value
end
return found
