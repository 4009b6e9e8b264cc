#!lua
-- Leaves a build token, unless the set has as much as it may, and puts there what is under way. Those
-- of builders who have not come back go when nobody has begun for long, or many have.
--
-- Keys: the epoch; the set; the records.
-- Arguments: what the records call the set.
-- Returns the token, or nil.

local set, records, name = set_keys(), key(), argument()
if redis.call('ZCARD', set.entries) >= KEPT and redis.call('EXISTS', set.mark) == 1 then
  return false
end
for _, record in ipairs(redis.call('HVALS', records)) do
  -- Of each place the set, the position, the revision, and whether its document is new, behind what is
  -- about the documents.
  local at = struct.unpack('>I4', record) + 5
  if record:find(name, at, true) then
    while at <= #record do
      local set_name, position, revision, is_new
      set_name, position, revision, is_new, at = struct.unpack('>I4c0I4c0c8B', record, at)
      if set_name == name then
        put(set, position, revision, is_new == 1)
      end
    end
  end
end
local token = next_token()
local builders = redis.call('GET', set.builders) or ''
local _, count = builders:gsub('%.', '')
if count >= BUILDS then
  builders = builders:sub(builders:find('.', 1, true) + 1)
end
redis.call('SET', set.builders, builders .. token .. '.', 'PX', BUILD_TIME)
return token
