-- What all scripts stand on. The server that loads them puts it in front of each, together with the
-- numbers KEPT and MOST (see `sets.rs`), MOST_PENDING and MOST_CLAIMS (see `claims.rs`), and FILL_TIME
-- and BUILD_TIME, in milliseconds, and BUILDS.
--
-- The first key is the epoch's, in the partition where all other keys are. Where it is not there,
-- nothing is done: what comes late, or comes to a server that has lost its data, comes for an epoch
-- that is over. Its value counts tokens.
--
-- A document has one key. What is there begins with a letter:
--   H  it is held: the packed document, which begins with the revision
--   L  the same, for a limited time
--   F  a reader has missed it: the fill token, a number; for a limited time
--   B  some batch is about to change it: the newest version that was settled meanwhile (9 bytes), how
--      many tokens there are (2 bytes), the token of each batch (24 bytes), and the packed document as
--      it was held or settled last, if it is kept
--
-- A set has three:
--   entries   a sorted set without scores: each member is a position and the revision (8 bytes) that
--             put it there; sometimes there are several with one position
--   mark      a stamp (16 bytes), and 'E' where the set is complete, or 'T' and the position down to
--             where it is
--   builders  build tokens, one after the other, each with a '.' behind it; for a limited time
--
-- A batch that is about to change documents puts an entry where somebody reads it, or is about to:
-- where the set is complete down to there, or has builders. Where neither is so, the set is as it is,
-- and who begins to build it finds what is under way in the records of its partition.
--
-- Whatever is announced gives the marks of the sets that it touches another stamp: who has read such a
-- set knows by it whether anything may have changed. The document has its token by then, or gets it in
-- the same step, so that nobody reads the new stamp and then the document as it was.
--
-- The pending lists of the recent tier are there as long as they have a state: 'B', the epoch of the
-- recent tier (12 bytes) and a nonce where they were begun, 'O' and the epoch where they are open. Each
-- is a hash: by the id (16 bytes) of a document the tokens of the batches that claim it, one behind the
-- other. A claim that is named is a token and an id.
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

local function set_keys()
  return { entries = key(), mark = key(), builders = key() }
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

-- A number that no other token of the epoch has.
local function next_token()
  return redis.call('INCR', KEYS[1])
end

-- Sets ------------------------------------------------------------------------------------------

local REVISION = 8
-- Above every revision.
local ABOVE = string.rep('\255', REVISION + 1)

-- Puts an entry there, in the place of those with earlier revisions. One of a document that was never
-- there before takes nobody's place: if nothing comes of it, it goes again and leaves all as it was.
local function put(set, position, revision, is_new)
  local member = position .. revision
  if not is_new then
    redis.call('ZREMRANGEBYLEX', set.entries, '[' .. position, '(' .. member)
  end
  redis.call('ZADD', set.entries, 0, member)
end

-- Takes entries out of a set that were put there up to a revision. A later version stays.
local function leave(entries, position, revision)
  redis.call('ZREMRANGEBYLEX', entries, '[' .. position, '[' .. position .. revision)
end

local STAMP = 16

-- A stamp that nothing else of the partition has.
local function next_stamp()
  return string.format('%016d', next_token())
end

-- Down to where a mark says that the set is complete: 'E', or 'T' and a position.
local function reach_of(mark)
  return mark:sub(STAMP + 1)
end

local function covers(mark, position)
  if not mark then
    return false
  end
  local reach = reach_of(mark)
  return reach == 'E' or not is_before(reach:sub(2), position)
end

-- Removes members, so many at a time that Lua's stack holds them.
local function remove(set, members)
  for from = 1, #members, 500 do
    local to = math.min(from + 499, #members)
    redis.call('ZREM', set.entries, unpack(members, from, to))
  end
end

-- Keeps the beginning of a set that has grown long; nobody may say of the rest any more that it is
-- complete, nor that he has seen all of it.
local function cut_back(set)
  if redis.call('ZCARD', set.entries) <= MOST then
    return
  end
  local last = redis.call('ZRANGE', set.entries, KEPT - 1, KEPT - 1)[1]:sub(1, -REVISION - 1)
  remove(set, redis.call('ZRANGE', set.entries, KEPT, -1))
  redis.call('DEL', set.builders)
  if covers(redis.call('GET', set.mark), last) then
    redis.call('SET', set.mark, next_stamp() .. 'T' .. last)
  end
end

-- One stamp for all that a call touches.
local touched

local function touch(key, mark)
  touched = touched or next_stamp()
  redis.call('SET', key, touched .. reach_of(mark))
end

-- Puts a document into the sets where it will stand, as far as those are read, and gives the marks of
-- them, and of those where it stands, another stamp. They are named next: how many sets it will stand
-- in, its revision, and its position in each; how many it stands in, or nothing where nobody knows.
-- Whether somebody has built any where it will stand.
local function enter(partition_stamp, is_new)
  local count, revision, is_read = argument(), argument(), false
  for _ = 1, tonumber(count) do
    local set, position = set_keys(), argument()
    local head = redis.call('MGET', set.mark, set.builders)
    local mark, builders = head[1], head[2]
    if mark then
      touch(set.mark, mark)
      is_read = true
    end
    if builders or covers(mark, position) then
      put(set, position, revision, is_new)
      cut_back(set)
    end
  end
  local stood = argument()
  if stood == '' then
    touched = touched or next_stamp()
    redis.call('SET', partition_stamp, touched)
  else
    for _ = 1, tonumber(stood) do
      local key = key()
      local mark = redis.call('GET', key)
      if mark then
        touch(key, mark)
      end
    end
  end
  return is_read
end

-- Documents -------------------------------------------------------------------------------------

local VERSION = 9
local NONE = string.rep('\0', VERSION)
-- Above every version.
local ALL = string.rep('\255', VERSION)
local TOKEN = 24
-- What is longer is not kept for the case that a batch comes to nothing.
local LONG = 65536

-- What is there of a document, in parts: the letter, or nothing; the newest version that was settled;
-- the tokens; the packed document, which may be empty.
local function read_document(document)
  local value = redis.call('GET', document)
  if not value then
    return nil, NONE, '', ''
  end
  local letter = value:sub(1, 1)
  if letter == 'B' then
    local first = VERSION + 4
    local behind = first + (value:byte(VERSION + 2) * 256 + value:byte(VERSION + 3)) * TOKEN
    return letter, value:sub(2, VERSION + 1), value:sub(first, behind - 1), value:sub(behind)
  end
  return letter, NONE, '', letter == 'F' and '' or value:sub(2)
end

-- Tokens without one of them; nil where it is not among them.
local function without(tokens, token)
  for at = 1, #tokens, TOKEN do
    if tokens:sub(at, at + TOKEN - 1) == token then
      return tokens:sub(1, at - 1) .. tokens:sub(at + TOKEN)
    end
  end
  return nil
end

-- Notes that batches are about to change it.
local function keep_busy(document, settled, tokens, packed)
  local count = #tokens / TOKEN
  local counted = string.char(math.floor(count / 256), count % 256)
  redis.call('SET', document, 'B' .. settled .. counted .. tokens .. packed)
end

-- Holds a document for so many milliseconds; without a limit where that is 0.
local function hold(document, packed, lifetime)
  if lifetime == '0' then
    redis.call('SET', document, 'H' .. packed)
  else
    redis.call('SET', document, 'L' .. packed, 'PX', lifetime)
  end
end

-- One batch less is about to change it. When the last token goes, every batch that was announced
-- before is settled; later ones have later versions.
local function release(document, settled, tokens, packed, lifetime)
  if tokens ~= '' then
    keep_busy(document, settled, tokens, lifetime == '0' and packed or '')
  elseif packed ~= '' then
    hold(document, packed, lifetime)
  else
    redis.call('DEL', document)
  end
end

-- Pending lists ---------------------------------------------------------------------------------

local RECENT = 12

-- Whether the lists are kept; where an epoch of the recent tier is named, for that.
local function are_kept(state, epoch)
  local known = redis.call('GET', state)
  return known and (not epoch or known:sub(2, RECENT + 1) == epoch)
end

-- Adds a claim. False where the document has too many.
local function add_claim(list, id, token)
  if redis.call('HSETNX', list, id, token) == 1 then
    return true
  end
  local tokens = redis.call('HGET', list, id)
  if without(tokens, token) then
    return true
  end
  redis.call('HSET', list, id, tokens .. token)
  return #tokens < MOST_CLAIMS * TOKEN
end

local function take_claim(list, id, token)
  local rest = without(redis.call('HGET', list, id) or '', token)
  if rest == '' then
    redis.call('HDEL', list, id)
  elseif rest then
    redis.call('HSET', list, id, rest)
  end
end

-- Does something with each claim that the arguments have of a list. How many those are.
local function each_claim(list, act)
  local count, all = tonumber(argument()), true
  for _ = 1, count do
    local claim = argument()
    all = act(list, claim:sub(TOKEN + 1), claim:sub(1, TOKEN)) and all
  end
  return count, all
end

-- Adds the claims that are named next, if the lists are kept. One that is too long closes all of them,
-- so that all have to be named.
local function add_claims(epoch)
  local count = tonumber(argument())
  if count == 0 then
    return
  end
  local state, lists, is_too_much = key(), {}, false
  if not are_kept(state, epoch) then
    return
  end
  for at = 1, count do
    lists[at] = key()
    local claims, all = each_claim(lists[at], add_claim)
    if not all or (claims > 0 and redis.call('HLEN', lists[at]) > MOST_PENDING) then
      is_too_much = true
    end
  end
  if is_too_much then
    redis.call('UNLINK', state, unpack(lists))
  end
end

-- Takes the claims back that are named next.
local function take_claims()
  for _ = 1, tonumber(argument()) do
    each_claim(key(), take_claim)
  end
end
