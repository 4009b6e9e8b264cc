#!lua flags=allow-oom
-- Notes what a batch has made of documents. Only the batch whose token is still there may say so:
-- one that says it twice, or after it was taken back, changes nothing.
--
-- Keys: the epoch, the records; of each document its own, then the entries of the sets that it has
-- left, as far as they are in its partition.
-- Arguments: how many records are done with, and their names; the token of the batch; of each
-- document its version, the packed document (nothing where none is to be held), its lifetime, the
-- revision that it had where it has left, the number of those sets, and the position that it had in
-- each.
-- Returns of each 1 where the token was still there, else 0.

local records = key()
for _ = 1, tonumber(argument()) do
  redis.call('HDEL', records, argument())
end
local token = argument()
local counts = {}
while is_more() do
  local document, version, new, lifetime, left_at =
    key(), argument(), argument(), argument(), argument()
  local _, settled, tokens, packed = read_document(document)
  local rest = without(tokens, token)
  if rest then
    local known = settled
    if packed ~= '' and is_before(known, packed:sub(1, REVISION) .. '\0') then
      known = packed:sub(1, REVISION) .. '\0'
    end
    local is_newest = is_before(known, version)
    if is_newest then
      settled, packed = version, new
    end
    release(document, settled, rest, packed, is_newest and lifetime or '0')
  end
  for _ = 1, tonumber(argument()) do
    local entries, position = key(), argument()
    if rest then
      leave(entries, position, left_at)
    end
  end
  counts[#counts + 1] = rest and 1 or 0
end
return counts
