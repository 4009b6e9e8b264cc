-- The accounts on a channel, or which of some are there.
-- ARGV: channel, accounts. Answers all, or for each whether it is there.
local channel = ARGV[first]
reap(channel, 1000)
local accounts = own .. 'accounts:' .. channel
if #ARGV == first then
  return call('HKEYS', accounts)
end
local answer = {}
for next = first + 1, #ARGV do
  answer[next - first] = call('HEXISTS', accounts, ARGV[next])
end
return answer
