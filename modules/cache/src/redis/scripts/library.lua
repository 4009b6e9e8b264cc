-- What all scripts stand on. The server that loads them puts it in front of each, together with the
-- numbers KEPT and MOST (see `sets.rs`) and FILL_TIME and BUILD_TIME, in milliseconds, and BUILDS.
--
-- The first key is the epoch's. Where it is not there, nothing is done: what comes late, or comes to
-- a server that has lost its data, comes for an epoch that is over. Its value counts tokens.
--
-- A document's slot has three keys:
--   held      the packed document, with its time to live; it begins with the revision
--   tokens    there while some batch is about to change it: the newest version that was settled
--             meanwhile (9 bytes), then the token of each batch (24 bytes)
--   fill      the fill token; never there together with tokens
--
-- A set has four:
--   entries   a sorted set without scores: each member is a position and the revision (8 bytes) that
--             put it there
--   mark      'E' where the set is complete, or 'T' and the position down to where it is
--   pins      a hash: the position, and the tokens of the batches that are about to commit it
--   builders  a list of build tokens
--
-- Revisions and versions are bytes that compare as they do.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('NOEPOCH the epoch is over, or the server has lost it')
end

-- Keys and arguments are taken one after the other.
local keys_taken, arguments_taken = 1, 0

local function key()
  keys_taken = keys_taken + 1
  return KEYS[keys_taken]
end

local function argument()
  arguments_taken = arguments_taken + 1
  return ARGV[arguments_taken]
end

local function is_more()
  return keys_taken < #KEYS
end

local function slot_keys()
  return { held = key(), tokens = key(), fill = key() }
end

local function set_keys()
  return { entries = key(), mark = key(), pins = key(), builders = key() }
end

-- Whether bytes come before others. Lua's own comparison goes by the language of the server.
local function is_before(a, b)
  for at = 1, math.min(#a, #b) do
    local x, y = a:byte(at), b:byte(at)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- Tokens without one of them; nil where it is not among them.
local function without(tokens, token)
  for at = 1, #tokens, #token do
    if tokens:sub(at, at + #token - 1) == token then
      return tokens:sub(1, at - 1) .. tokens:sub(at + #token)
    end
  end
  return nil
end

-- A number that no other token of the epoch has.
local function next_token()
  return redis.call('INCR', KEYS[1])
end

-- Sets ------------------------------------------------------------------------------------------

local REVISION = 8
-- Above every revision.
local ABOVE = string.rep('\255', REVISION + 1)

local function find(set, position)
  local from, to = '[' .. position, '(' .. position .. ABOVE
  return redis.call('ZRANGEBYLEX', set.entries, from, to, 'LIMIT', 0, 1)[1]
end

-- Puts an entry there, with this revision or a later one that it has.
local function put(set, position, revision)
  local member, there = position .. revision, find(set, position)
  if there and not is_before(there, member) then
    return
  end
  if there then
    redis.call('ZREM', set.entries, there)
  end
  redis.call('ZADD', set.entries, 0, member)
end

local function covers(mark, position)
  if not mark then
    return false
  end
  return mark == 'E' or not is_before(mark:sub(2), position)
end

-- Removes members, so many at a time that Lua's stack holds them.
local function remove(set, members)
  for from = 1, #members, 500 do
    local to = math.min(from + 499, #members)
    redis.call('ZREM', set.entries, unpack(members, from, to))
  end
end

-- Those of the members that no batch is about to commit.
local function unpinned(set, members)
  local pinned = {}
  for _, position in ipairs(redis.call('HKEYS', set.pins)) do
    pinned[position] = true
  end
  local found = {}
  for _, member in ipairs(members) do
    if not pinned[member:sub(1, -REVISION - 1)] then
      found[#found + 1] = member
    end
  end
  return found
end

-- Keeps the beginning of a set that has grown long. What is pinned stays wherever it is, and nobody
-- may say of the rest any more that it is complete.
local function cut_back(set)
  local count = redis.call('ZCARD', set.entries)
  if count <= MOST or count - redis.call('HLEN', set.pins) <= MOST then
    return
  end
  local last = redis.call('ZRANGE', set.entries, KEPT - 1, KEPT - 1)[1]:sub(1, -REVISION - 1)
  remove(set, unpinned(set, redis.call('ZRANGE', set.entries, KEPT, -1)))
  redis.call('DEL', set.builders)
  if covers(redis.call('GET', set.mark), last) then
    redis.call('SET', set.mark, 'T' .. last)
  end
end

-- Removes the entries of a set that is of no use to anybody.
local function tidy(set)
  if redis.call('EXISTS', set.mark, set.pins, set.builders) == 0 then
    redis.call('DEL', set.entries)
  end
end

local function pin(set, position, token)
  local tokens = redis.call('HGET', set.pins, position) or ''
  if not without(tokens, token) then
    redis.call('HSET', set.pins, position, tokens .. token)
  end
end

-- A batch is settled, or taken back.
local function unpin(set, position, token)
  local tokens = redis.call('HGET', set.pins, position)
  local rest = tokens and without(tokens, token)
  if not rest then
    return
  end
  if rest ~= '' then
    redis.call('HSET', set.pins, position, rest)
    return
  end
  redis.call('HDEL', set.pins, position)
  local is_built = redis.call('EXISTS', set.builders) == 1
  if not is_built and not covers(redis.call('GET', set.mark), position) then
    remove(set, { find(set, position) })
  end
  cut_back(set)
  tidy(set)
end

-- Slots -----------------------------------------------------------------------------------------

local VERSION = 9
local NONE = string.rep('\0', VERSION)
-- Above every version.
local ALL = string.rep('\255', VERSION)

-- The newest version that was settled while there were tokens, and the tokens.
local function read_tokens(slot)
  local packed = redis.call('GET', slot.tokens)
  if not packed then
    return NONE, ''
  end
  return packed:sub(1, VERSION), packed:sub(VERSION + 1)
end

-- When the last token goes, every batch that was announced before is settled; later ones have later
-- versions.
local function write_tokens(slot, settled, tokens)
  if tokens == '' then
    redis.call('DEL', slot.tokens)
  else
    redis.call('SET', slot.tokens, settled .. tokens)
  end
end

-- Holds a document for so many milliseconds; without a limit where that is 0.
local function hold(slot, packed, lifetime)
  if lifetime == '0' then
    redis.call('SET', slot.held, packed)
  else
    redis.call('SET', slot.held, packed, 'PX', lifetime)
  end
end
