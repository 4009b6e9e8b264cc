-- Presence, for the scripts that look after it. `leases:` of a channel holds when the lease of each
-- account and connection runs out; `accounts:` how many connections of each account there are;
-- `due` which channel is to be looked at when.
local day = 86400000

local function tell(channel, account, joined)
  local payload = '{"v":1,"on":[' .. cjson.encode(channel) .. '],"what":{"presence":{"account":"'
    .. account .. '","joined":' .. joined .. '}}}'
  emit({ channel }, payload)
end

-- Takes a lease back. Who is gone with the last one is told.
local function leave(channel, member)
  if call('ZREM', own .. 'leases:' .. channel, member) == 0 then
    return
  end
  local account = member:sub(1, 36)
  if call('HINCRBY', own .. 'accounts:' .. channel, account, -1) <= 0 then
    call('HDEL', own .. 'accounts:' .. channel, account)
    tell(channel, account, 'false')
  end
end

-- Takes back what has run out on a channel.
local function reap(channel, most)
  local leases = own .. 'leases:' .. channel
  local late = call('ZRANGEBYSCORE', leases, '-inf', millis, 'LIMIT', 0, most)
  for _, member in ipairs(late) do
    leave(channel, member)
  end
end

-- Takes back what has run out wherever it is due.
local function reap_due(most)
  local due = call('ZRANGEBYSCORE', own .. 'due', '-inf', millis, 'LIMIT', 0, most)
  for _, channel in ipairs(due) do
    reap(channel, 1000)
    local next = call('ZRANGE', own .. 'leases:' .. channel, 0, 0, 'WITHSCORES')
    if next[2] then
      call('ZADD', own .. 'due', next[2], channel)
    else
      call('ZREM', own .. 'due', channel)
    end
  end
end
