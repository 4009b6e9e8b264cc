#!lua flags=allow-oom
-- Forgets what is known of documents, but for what batches are about to change.
--
-- Keys: the epoch; the documents.
-- Arguments: 1 where only fill tokens are to go, else 0.
-- Returns of each 1 where something was forgotten, else 0.

local tokens_only = argument() == '1'
local forgotten = {}
while is_more() do
  local document = key()
  local letter = redis.call('GETRANGE', document, 0, 0)
  local goes = letter ~= '' and (letter == 'F' or not tokens_only)
  if goes and letter == 'B' then
    local _, settled, tokens, packed = read_document(document)
    goes = packed ~= ''
    if goes then
      keep_busy(document, settled, tokens, '')
    end
  elseif goes then
    redis.call('DEL', document)
  end
  forgotten[#forgotten + 1] = goes and 1 or 0
end
return forgotten
