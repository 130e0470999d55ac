#!lua name=LADDER_LIBRARY
--
-- LADDER_LIBRARY is replaced by "ladder_" and a hash of this text (scripts/embed), so that servers of two versions each
-- call the functions they were built with.
--
-- ladder.lua -- everything that reads or writes a standing in Redis, each call one atomic step.
--
-- A standing's keys share one hash tag, so they live on one node of a cluster:
--
--     ladder:{shard}:<standing>:meta           HASH  epoch, gen, v, n, s [, bld, bn, bl, bs, until] [, d, db]
--     ladder:{shard}:<standing>:<gen>:order    ZSET  member = sort key .. player, score = nearest double
--     ladder:{shard}:<standing>:<gen>:entry    HASH  player -> revision .. length .. sort key [.. metadata]
--     ladder:{shard}:<standing>:<gen>:dense    ZSET  member = score and subscore as in a sort key: see dense_open
--     ladder:{shard}:<standing>:still          STRING  while it is cold: see look and settle
--     ladder:{shard}:<standing>:activity       HASH  how much was submitted when: see activity_add
--     ladder:version                           STRING  run id, version: see reach
--     ladder:changed                           STRING  the version of the newest change: see tick
--
-- Only `meta` is passed in KEYS; the rest is derived from it, because which generation is the current one is read in
-- the same call. `n` is how many members the order must have: a set that lost one says so itself. `s` has sums over the scores.
--
-- The sort key is compared byte by byte (see board/sort_key.h). Lua's own `<` on strings is the locale's collation,
-- so it is never used here; neither is arithmetic on scores, which are text all the way, but for the sums, which are in parts.
--
-- I2  In a generation, an entry's revision never falls, and the order has exactly one member for each live entry.
-- I4  While a generation is being built, every apply goes to both; the bulk load passes the same gate.
-- I5  A read finds the generation and its data in one call (store/standing_page.c: in one transaction).
-- I6  v changes if and only if something visible may have.
--
-- Versions are readings of one clock, which never stands still between two changes and never runs back while the process
-- lives: so one number orders the changes of all standings of a Redis, and a read that says when it was made (`as_of`)
-- contains exactly the changes up to then.
--
-- Every change is published to MOVES, in order, with what ranks it touched: a move from rank a to rank b shifts those
-- between, an insertion at b all from b on, a removal at a all from a on.
--
--     standing (8 bytes), v (8), v before (8), then for each row: lowest rank (4), highest rank (4)
--
-- all big-endian, ranks from 0, ALL for "to the end". Without rows: anything may have changed. An empty message, from the tail: in
-- any standing. Whoever makes a change also gets its message as the answer, with the version of the change before it in any standing:
-- a listener that has heard that one can take in the new one without waiting for its message (store/changes.h).

local REVISION = 6 -- bytes, big-endian
local MOVES = 'ladder:moves'
local ALL = 4294967295

local clock = 0 -- microseconds; kept by the library from call to call

local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function text_of(version) return string.format('%.0f', version) end

-- How far this process has come, for those who read from its replicas (kv/replicas.h): written in the same step as each change, so
-- a replica that has it has every change up to it. It names the process, because another one's clock says nothing about ours. Where
-- nobody follows us, it is left as it was: too low is never wrong. A cluster's node can't write it: it is of no shard.
local VERSION = 'ladder:version'
local LOOK_US = 1000000           -- between two looks whether somebody follows
local run, is_cluster             -- this process
local is_followed, look_at = true, 0

local function run_id()
    run = run or string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    return run
end

local function is_in_cluster()
    if is_cluster == nil then is_cluster = string.find(redis.call('INFO', 'cluster'), 'cluster_enabled:1', 1, true) ~= nil end
    return is_cluster
end

local function reach(version, must)
    if is_in_cluster() then return version end
    if version >= look_at then
        is_followed = not string.find(redis.call('INFO', 'replication'), 'connected_slaves:0', 1, true)
        look_at = version + LOOK_US
    end
    if must or is_followed then redis.call('SET', VERSION, run_id() .. ' ' .. text_of(version)) end
    return version
end

-- The version of the newest change lies in a key and not in this library, because servers of two versions of ladder have two libraries
-- with a clock each. What is no version, or too far ahead to be one, counts as not known. A cluster's node can't write it either.
local CHANGED = 'ladder:changed'
local AHEAD_US = 60000000

-- Puts this version there. Returns the one before; 0: not known.
local function change(version)
    local text = redis.pcall('SET', CHANGED, text_of(version), 'GET')
    if type(text) == 'table' then redis.call('SET', CHANGED, text_of(version)) end -- it was no string
    local previous = type(text) == 'string' and tonumber(text) or 0
    return previous > 0 and previous < version + AHEAD_US and previous or 0
end

-- A reading of the clock that is above every earlier one of this library.
local function advance(at_least)
    clock = math.max(now(), clock + 1, at_least or 0)
    return clock
end

-- The version of a change: above every earlier version and `as_of`, and above `before`, which a standing that came from another
-- node of a cluster may have from a clock ahead of ours. And the version of the change before it in any standing; 0: not known.
local function tick(before)
    if is_in_cluster() then return advance((before or 0) + 1), 0 end
    local version = advance((before or 0) + 1)
    local previous = change(version)
    if previous >= version then
        version = advance(previous + 1)
        change(version)
    end
    return reach(version), previous
end

-- When a read is made: not below any earlier version (as `version` is), below every later one.
local function as_of(version)
    clock = math.max(now() - 1, clock, version or 0)
    return clock
end

local function publish(meta, version, before, moves)
    local standing = tonumber(string.match(meta, ':(%d+):meta$'))
    local message = struct.pack('>I8I8I8', standing, version, before) .. table.concat(moves)
    redis.call('PUBLISH', MOVES, message)
    return message
end

-- Anything may have changed in this standing. Returns the version, the one before it in any standing, and the message.
local function publish_all(meta, before)
    local version, previous = tick(before)
    return version, previous, publish(meta, version, before or 0, {})
end

local function move(before, after)
    local low, high = math.min(before, after), math.max(before, after)
    if before < 0 or after < 0 then low, high = high, ALL end
    return struct.pack('>I4I4', low, high)
end

-- A cold standing is changed in PostgreSQL only; that somebody did is noted here, for readers who keep what PostgreSQL said.
local STIRRED_MS = 60000 -- longer than anybody needs to settle it
local stirs = 0          -- in this process: one counts even if what it wrote was flushed at once

-- What the standings could do without leaves them a fifth of the memory that Redis has, where it evicts nothing.
local FULL = 0.8

local function is_full()
    local memory = redis.call('INFO', 'memory')
    local most = tonumber(string.match(memory, 'maxmemory:(%d+)'))
    return most > 0 and string.find(memory, 'maxmemory_policy:noeviction', 1, true) ~= nil and
        tonumber(string.match(memory, 'used_memory:(%d+)')) > most * FULL
end

local function still_key(meta) return string.sub(meta, 1, -5) .. 'still' end
local function stir(meta, before)
    local version, previous, message = publish_all(meta, before)
    stirs = stirs + 1
    redis.call('SET', still_key(meta), 'p' .. text_of(version), 'PX', STIRRED_MS)
    return version, previous, message
end

local function order_key(base, gen) return base .. gen .. ':order' end
local function entry_key(base, gen) return base .. gen .. ':entry' end
local function dense_key(base, gen) return base .. gen .. ':dense' end
local function activity_key(base) return base .. 'activity' end
local function base_of(meta) return string.sub(meta, 1, -5) end -- up to the last colon
local function generation_unlink(base, gen) redis.call('UNLINK', order_key(base, gen), entry_key(base, gen), dense_key(base, gen)) end

-- The bytes of one coded integer: 1 of header, then as many as it says (see sort_key.h).
local function coded_size(text, at)
    local head = string.byte(text, at)
    if head >= 128 then return head - 127 end
    return 128 - head
end

-- The first `count` integers of a sort key.
local function head_size(text, count)
    local at = 1
    for _ = 1, count do at = at + coded_size(text, at) end
    return at - 1
end

-- a before b, as memcmp and then length would have it.
local function is_before(a, b)
    local shorter = math.min(#a, #b)
    for i = 1, shorter do
        local x, y = string.byte(a, i), string.byte(b, i)
        if x ~= y then return x < y end
    end
    return #a < #b
end

-- How many members come before (score, bytes).
local function seek(order, score, bytes)
    local low = redis.call('ZCOUNT', order, '-inf', '(' .. score)
    local high = low + redis.call('ZCOUNT', order, score, score)
    while low < high do
        local middle = math.floor((low + high) / 2)
        local member = redis.call('ZRANGE', order, middle, middle)[1]
        if is_before(member, bytes) then low = middle + 1 else high = middle end
    end
    return low
end

-- How many entries have a better (score, subscore) than this member.
local function group_start(order, member)
    local score = redis.call('ZSCORE', order, member)
    return seek(order, score, string.sub(member, 1, head_size(member, 2)))
end

-- A dense rank counts the different pairs of score and subscore above an entry. `dense` has each pair of the order once, with the score
-- of its entries, so that the rank of a pair in `dense` is the number of pairs that are better. It costs memory and time of each change,
-- so a standing has it only if dense ranks are read: ladder_dense makes it, a piece in each call, from the best pair on. `d` says how
-- far it is:
--
--     version (8), how many members (4), then the last pair that was taken in, with its score; nothing more: all were
--
--     order   A A A B B C | D D D D E F F        dense has exactly the pairs of the order up to the last one, C:
--     dense   A     B   C |                      apply keeps these, and leaves the others to the pieces that follow
--
-- The version is that of the standing, up to which every change was made to `dense`, too: servers of an older version change a
-- standing without it. With another version or another number of members it is worth nothing, and is made anew. It expires if
-- nobody reads it, and belongs to its generation: a new one begins without it.

local DENSE_S = 86400 -- lives; who still reads dense ranks prolongs it
local DENSE_HEAD = '>I8I4'
local DENSE_HEAD_SIZE = 12

local function pair_of(key) return string.sub(key, 1, head_size(key, 2)) end
local function has_pair(member, pair) return string.sub(member, 1, #pair) == pair end -- no coded integer begins another

-- `text` is `d`. nil: it is worth nothing. `last` is the last pair taken in, '' where all were.
local function dense_open(key, text, version)
    if not text or #text < DENSE_HEAD_SIZE then return nil end
    local at, count = struct.unpack(DENSE_HEAD, text)
    if at ~= version or redis.pcall('ZCARD', key) ~= count then return nil end
    local dense = { key = key, count = count, last = '', score = '' }
    if #text > DENSE_HEAD_SIZE then
        local size = string.byte(text, DENSE_HEAD_SIZE + 1)
        dense.score = string.sub(text, DENSE_HEAD_SIZE + 2, DENSE_HEAD_SIZE + 1 + size)
        dense.last = string.sub(text, DENSE_HEAD_SIZE + 2 + size)
    end
    return dense
end

local function dense_text(dense, version)
    local head = struct.pack(DENSE_HEAD, version, dense.count)
    return dense.last == '' and head or head .. string.char(#dense.score) .. dense.score .. dense.last
end

local function dense_drop(meta, key)
    redis.call('HDEL', meta, 'd', 'db')
    redis.pcall('UNLINK', key)
end

-- Is the pair one of those that were taken in?
local function dense_covers(dense, pair) return dense.last == '' or not is_before(dense.last, pair) end

-- The order has just lost a member with this pair, which had so many before it: those beside its place are all who may have the
-- pair still.
local function dense_lose(dense, order, pair, before)
    if not dense_covers(dense, pair) then return end
    local near = redis.call('ZRANGE', order, math.max(0, before - 1), before)
    for i = 1, #near do
        if has_pair(near[i], pair) then return end
    end
    dense.count = dense.count - redis.call('ZREM', dense.key, pair)
end

-- The order has just got a member with this pair.
local function dense_gain(dense, pair, score)
    if not dense_covers(dense, pair) then return end
    local is_first = dense.count == 0
    dense.count = dense.count + redis.call('ZADD', dense.key, score, pair)
    if is_first then redis.call('EXPIRE', dense.key, DENSE_S) end
end

-- How many different pairs are better than the member's; nil: it is not known, or not known yet.
local function dense_rank(dense, member)
    return dense and dense.last == '' and redis.call('ZRANK', dense.key, pair_of(member)) or nil
end

-- Sums over k1 of all entries of a generation, and over its squares: exact, in limbs of 32 bits, the lowest first, because Lua's
-- numbers are doubles. The total has four limbs, of which the highest has the sign; the squares have six. Before them, in `s`, stands
-- the version up to which they were kept: servers of an older version change a standing without its sums, and then they are of no use.

local SUMS = '<I8I4I4I4i4I4I4I4I4I4I4'
local SUMS_SIZE = 40 -- bytes without the version
local LIMB, HALF = 4294967296, 65536
local POWER = { [0] = 1, 256, 65536, 16777216, 4294967296 } -- of 256

local function no_sums() return { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } end

-- The first integer of a sort key as high * 2^32 + low, low not negative.
local function k1_of(key)
    local head, b1, b2, b3, b4, b5, b6, b7, b8 = string.byte(key, 1, 9)
    local size = head >= 128 and head - 128 or 127 - head
    local high, low
    if size == 2 then high, low = 0, b1 * 256 + b2
    elseif size == 3 then high, low = 0, (b1 * 256 + b2) * 256 + b3
    elseif size == 4 then high, low = 0, ((b1 * 256 + b2) * 256 + b3) * 256 + b4
    elseif size < 2 then high, low = 0, size == 0 and 0 or b1
    elseif size == 5 then high, low = b1, ((b2 * 256 + b3) * 256 + b4) * 256 + b5
    elseif size == 6 then high, low = b1 * 256 + b2, ((b3 * 256 + b4) * 256 + b5) * 256 + b6
    elseif size == 7 then high, low = (b1 * 256 + b2) * 256 + b3, ((b4 * 256 + b5) * 256 + b6) * 256 + b7
    else high, low = ((b1 * 256 + b2) * 256 + b3) * 256 + b4, ((b5 * 256 + b6) * 256 + b7) * 256 + b8 end
    if head >= 128 then return high, low end
    if size >= 4 then return high - POWER[size - 4], low end
    return -1, low + LIMB - POWER[size]
end

-- Adds the k1 of a sort key, or takes it away; of at most 100,000 keys each number stays exact.
local function sums_note(sums, key, sign)
    local high, low = k1_of(key)
    sums[1], sums[2] = sums[1] + sign * low, sums[2] + sign * high
    local value = high * LIMB + low
    if value < 67108864 and value > -67108864 then -- the square is exact
        local square = value * value
        local below = square % LIMB
        sums[5], sums[6] = sums[5] + sign * below, sums[6] + sign * (square - below) / LIMB
        return
    end
    local a, c = low % HALF, high % HALF
    local b, d = (low - a) / HALF, (high - c) / HALF
    local first, third, fifth = 2 * a * b, 2 * (a * d + b * c), 2 * c * d -- these count 2^16, 2^48, 2^80
    local first_below, third_below, fifth_below = first % HALF, third % HALF, fifth % HALF
    sums[5] = sums[5] + sign * (a * a + first_below * HALF)
    sums[6] = sums[6] + sign * (b * b + 2 * a * c + (first - first_below) / HALF + third_below * HALF)
    sums[7] = sums[7] + sign * (c * c + 2 * b * d + (third - third_below) / HALF + fifth_below * HALF)
    sums[8] = sums[8] + sign * (d * d + (fifth - fifth_below) / HALF)
end

-- The sums in `text`, if they are of version `before`, with these: as the text of `version`. Otherwise it stays as it is.
local function sums_add(text, sums, before, version)
    if not text or #text ~= 8 + SUMS_SIZE then return '' end
    local at, t1, t2, t3, t4, q1, q2, q3, q4, q5, q6 = struct.unpack(SUMS, text)
    if at ~= before then return text end
    local u1 = t1 + sums[1]
    local u2 = t2 + sums[2] + (u1 - u1 % LIMB) / LIMB
    local u3 = t3 + sums[3] + (u2 - u2 % LIMB) / LIMB
    local u4 = t4 + sums[4] + (u3 - u3 % LIMB) / LIMB
    local r1 = q1 + sums[5]
    local r2 = q2 + sums[6] + (r1 - r1 % LIMB) / LIMB
    local r3 = q3 + sums[7] + (r2 - r2 % LIMB) / LIMB
    local r4 = q4 + sums[8] + (r3 - r3 % LIMB) / LIMB
    local r5 = q5 + sums[9] + (r4 - r4 % LIMB) / LIMB
    local r6 = q6 + sums[10] + (r5 - r5 % LIMB) / LIMB
    return struct.pack(SUMS, version, u1 % LIMB, u2 % LIMB, u3 % LIMB, u4, r1 % LIMB, r2 % LIMB, r3 % LIMB, r4 % LIMB, r5 % LIMB, r6)
end

-- The sums in `text`, if they are of this version.
local function sums_of(text, version)
    if not text or #text ~= 8 + SUMS_SIZE or struct.unpack('<I8', text) ~= version then return nil end
    return string.sub(text, 9)
end

-- The standing as a reader may use it: base, gen, version, total; or nil and why not.
local function open(meta, epoch)
    local m = redis.call('HMGET', meta, 'epoch', 'gen', 'v', 'n')
    if not m[2] or m[1] ~= epoch then return nil, 'COLD' end
    local base = base_of(meta)
    local total = redis.call('ZCARD', order_key(base, m[2]))
    -- The hash has the tombstones as well.
    if total ~= tonumber(m[4]) or redis.call('HLEN', entry_key(base, m[2])) < total then return nil, 'CORRUPT' end
    return base, m[2], tonumber(m[3]), total
end

-- One entry of one generation, gated by revision. Returns what it added to the number of members, or nil for a no-op;
-- where ranks are wanted, also the member's rank before and after (-1: none). `sums` are those of the generation, and so is `dense`,
-- which needs the ranks.
local function put(order, entry, sums, player, key, score, revision, metadata, with_ranks, dense)
    local old = redis.call('HGET', entry, player)
    local had, before, after, old_key = 0, -1, -1, ''
    if old then
        if struct.unpack('>I6', old) >= struct.unpack('>I6', revision) then return nil end
        if #old > REVISION then
            had = 1
            local size = string.byte(old, REVISION + 1)
            old_key = string.sub(old, REVISION + 2, REVISION + 1 + size)
            if with_ranks then before = redis.call('ZRANK', order, old_key .. player) or -1 end
            if old_key ~= key then redis.call('ZREM', order, old_key .. player) end
        end
    end
    if old_key ~= key then
        if old_key ~= '' then sums_note(sums, old_key, -1) end
        if key ~= '' then sums_note(sums, key, 1) end
    end
    local old_pair, pair = '', ''
    if dense then
        old_pair, pair = old_key ~= '' and pair_of(old_key) or '', key ~= '' and pair_of(key) or ''
        if old_pair ~= pair and before >= 0 then dense_lose(dense, order, old_pair, before) end
    end
    if key == '' then
        redis.call('HSET', entry, player, revision)
        return -had, before, after
    end
    redis.call('ZADD', order, score, key .. player)
    if old_pair ~= pair then dense_gain(dense, pair, score) end
    redis.call('HSET', entry, player, revision .. string.char(#key) .. key .. metadata)
    if with_ranks then after = redis.call('ZRANK', order, key .. player) end
    return 1 - had, before, after
end

local function rank_of(order, entry, player)
    local value = redis.call('HGET', entry, player)
    if not value or #value <= REVISION then return -1 end
    local size = string.byte(value, REVISION + 1)
    return redis.call('ZRANK', order, string.sub(value, REVISION + 2, REVISION + 1 + size) .. player) or -1
end

-- ladder_drop meta -> OK: the standing leaves Redis whole.
local function drop(keys)
    local m = redis.call('HMGET', keys[1], 'gen', 'bld')
    local base = base_of(keys[1])
    for i = 1, 2 do
        if m[i] then generation_unlink(base, m[i]) end
    end
    redis.call('DEL', keys[1], still_key(keys[1]), activity_key(base))
    publish_all(keys[1])
    return 'OK'
end

-- ladder_apply meta ; epoch, with_ranks, then for each row: player, sort key, score, revision, metadata
--   an empty sort key removes, an empty revision only asks for the rank
-- -> status, version, the version of the change before this one in any standing (0: not known), the message (empty: nothing has
--    changed), then for each row: rank before, rank after (0-based, -1: none; before is -2 when the row was in already, so that it
--    can't be told)
local function apply(keys, args)
    local meta, epoch, with_ranks = keys[1], args[1], args[2] == '1'
    local m = redis.call('HMGET', meta, 'epoch', 'gen', 'bld', 'v', 'n', 's', 'bs', 'd')
    -- What the hash lacks, its members have still: each would come to stand beside what takes its place.
    if m[1] == epoch and m[2] and redis.call('HLEN', entry_key(base_of(meta), m[2])) < tonumber(m[5] or 0) then
        drop(keys)
        m = {}
    end
    if m[1] ~= epoch or not (m[2] or m[3]) then return { 'COLD', stir(meta) } end
    local base = base_of(meta)
    local version = tonumber(m[4] or 0)
    local result = { m[2] and 'OK' or 'COLD', version, 0, '' }
    local order = m[2] and order_key(base, m[2])
    local entry = m[2] and entry_key(base, m[2])
    local build_order = m[3] and order_key(base, m[3])
    local build_entry = m[3] and entry_key(base, m[3])
    local grown, build_grown, moves = 0, 0, {}
    local sums, build_sums = no_sums(), build_order and no_sums()
    -- In a cluster, a key that has gone on to another node raises an error: then it shall be before anything is written.
    if order and build_order then redis.call('EXISTS', build_order, build_entry) end
    local dense = order and m[8] and dense_open(dense_key(base, m[2]), m[8], version)
    if m[8] and not dense then dense_drop(meta, dense_key(base, m[2])) end
    for i = 3, #args, 5 do
        local player, key, score, revision, metadata = args[i], args[i + 1], args[i + 2], args[i + 3], args[i + 4]
        local delta, before, after
        if order and revision ~= '' then
            delta, before, after = put(order, entry, sums, player, key, score, revision, metadata, true, dense)
            if delta then
                grown = grown + delta
                if before >= 0 or after >= 0 then moves[#moves + 1] = move(before, after) end
            end
        end
        if build_order and revision ~= '' then
            build_grown = build_grown + (put(build_order, build_entry, build_sums, player, key, score, revision, metadata) or 0)
        end
        if with_ranks then
            if order and not delta then
                after = rank_of(order, entry, player)
                before = revision == '' and after or -2
            end
            result[#result + 1] = before or -1
            result[#result + 1] = after or -1
        end
    end
    if grown ~= 0 then redis.call('HINCRBY', meta, 'n', grown) end
    if build_grown ~= 0 then redis.call('HINCRBY', meta, 'bn', build_grown) end
    if build_order then redis.call('HSET', meta, 'bs', sums_add(m[7], build_sums, 0, 0)) end
    if #moves > 0 then
        result[2], result[3] = tick(version)
        redis.call('HSET', meta, 'v', text_of(result[2]), 's', sums_add(m[6], sums, version, result[2]))
        if dense then redis.call('HSET', meta, 'd', dense_text(dense, result[2])) end
        result[4] = publish(meta, result[2], version, moves)
    elseif not m[2] then
        result[2], result[3], result[4] = stir(meta, version)
    end
    return result
end

-- ladder_build meta ; epoch, new generation, '1' if nobody else is at it, lease seconds -> OK | BUSY
-- A generation of another epoch is dropped at once: its revisions mean other rows.
local function build(keys, args)
    local meta, epoch, gen, is_alone, lease = keys[1], args[1], args[2], args[3] == '1', tonumber(args[4])
    local m = redis.call('HMGET', meta, 'epoch', 'gen', 'bld', 'until')
    local base = base_of(meta)
    local now = tonumber(redis.call('TIME')[1])
    if m[1] and m[1] ~= epoch then
        for i = 2, 3 do
            if m[i] then generation_unlink(base, m[i]) end
        end
        redis.call('DEL', meta)
        publish_all(meta)
    elseif m[3] then
        if not is_alone and tonumber(m[4] or 0) > now then return 'BUSY' end
        generation_unlink(base, m[3])
    end
    redis.call('HSET', meta, 'epoch', epoch, 'bld', gen, 'bn', 0, 'bl', 0, 'bs', struct.pack(SUMS, 0, unpack(no_sums())),
               'until', now + lease)
    redis.call('HSETNX', meta, 'v', 0)
    return 'OK'
end

-- ladder_load meta ; epoch, generation, lease seconds, sums over the rows, n, then n times: player, entry value, then for each of
--   them that has a place: score, member -> OK | ABORTED
-- The gate of apply. But most rows of a load are new, and those go in as they came: what costs here is each string made in Lua.
-- `bl` counts the rows that came so far, each another player's: while the hash has no more (and forget takes none away), none
-- of the next is in it.
local function load(keys, args)
    local meta = keys[1]
    local m = redis.call('HMGET', meta, 'epoch', 'bld', 'bl', 'bs')
    if m[1] ~= args[1] or m[2] ~= args[2] then return 'ABORTED' end
    local base = base_of(meta)
    local order, entry = order_key(base, m[2]), entry_key(base, m[2])
    local count = tonumber(args[5])
    local last = 5 + 2 * count
    local sums, known, is_known = nil, {}, false
    if redis.call('HLEN', entry) ~= tonumber(m[3]) then
        local players = {}
        for row = 1, count do players[row] = args[4 + 2 * row] end
        known = redis.call('HMGET', entry, unpack(players))
        for row = 1, count do is_known = is_known or known[row] end
    end
    local grown = (#args - last) / 2
    if not is_known then
        sums = { struct.unpack('<I4I4I4i4I4I4I4I4I4I4', args[4]) }
        redis.call('HSET', entry, unpack(args, 6, last))
        if grown > 0 then redis.call('ZADD', order, unpack(args, last + 1)) end
    else
        local at = last + 1
        grown, sums = 0, no_sums()
        for row = 1, count do
            local player, value = args[4 + 2 * row], args[5 + 2 * row]
            local key, score, metadata = '', '0', ''
            if #value > REVISION then
                local size = string.byte(value, REVISION + 1)
                key, metadata = string.sub(value, REVISION + 2, REVISION + 1 + size), string.sub(value, REVISION + 2 + size)
                score = args[at]
                at = at + 2
            end
            grown = grown + (put(order, entry, sums, player, key, score, string.sub(value, 1, REVISION), metadata) or 0)
        end
    end
    redis.call('HINCRBY', meta, 'bn', grown)
    redis.call('HINCRBY', meta, 'bl', count)
    redis.call('HSET', meta, 'bs', sums_add(m[4], sums, 0, 0), 'until', tonumber(redis.call('TIME')[1]) + tonumber(args[3]))
    return 'OK'
end

-- ladder_flip meta ; epoch, generation -> OK | ABORTED
local function flip(keys, args)
    local meta = keys[1]
    local m = redis.call('HMGET', meta, 'epoch', 'bld', 'gen', 'bn', 'v', 'bs')
    if m[1] ~= args[1] or m[2] ~= args[2] then return 'ABORTED' end
    local base = base_of(meta)
    local n = tonumber(m[4])
    if redis.call('ZCARD', order_key(base, m[2])) ~= n or redis.call('HLEN', entry_key(base, m[2])) < n then return 'ABORTED' end
    if m[3] then generation_unlink(base, m[3]) end
    redis.call('DEL', still_key(meta))
    redis.call('HSET', meta, 'gen', m[2], 'n', m[4])
    redis.call('HDEL', meta, 'bld', 'bn', 'bl', 'bs', 'until', 'd', 'db')
    local version = publish_all(meta, tonumber(m[5]))
    redis.call('HSET', meta, 'v', text_of(version), 's', sums_add(m[6], no_sums(), 0, version))
    return 'OK'
end

-- ladder_whole meta -> OK | DROPPED: in a cluster, after its keys came to this node one by one, and some may not have. What was
-- being built begins anew: of its rows, nobody knows whether all are here.
local function whole(keys)
    local meta = keys[1]
    local m = redis.call('HMGET', meta, 'gen', 'bld', 'n')
    local base = base_of(meta)
    if m[2] then
        generation_unlink(base, m[2])
        redis.call('HDEL', meta, 'bld', 'bn', 'bl', 'bs', 'until')
    end
    local n = tonumber(m[3] or 0)
    if m[1] and redis.call('ZCARD', order_key(base, m[1])) == n and redis.call('HLEN', entry_key(base, m[1])) >= math.max(n, 1) then
        return 'OK'
    end
    drop(keys)
    return 'DROPPED'
end

-- ladder_dense meta ; epoch, who, how many members of the order at most -> OK | MORE | BUSY | FULL | COLD | CORRUPT
-- The next piece of what dense ranks are read from. Whoever got MORE goes on; meanwhile others are BUSY, unless he stops for a second.
-- What has begun with a pair of many entries goes on behind the last of them, without reading the others.
local DENSE_LEASE_US = 1000000

local function make_dense(keys, args)
    local meta, who, most = keys[1], args[2], tonumber(args[3])
    local base, gen, version = open(meta, args[1])
    if not base then return gen end
    local m = redis.call('HMGET', meta, 'd', 'db')
    local order, key = order_key(base, gen), dense_key(base, gen)
    local dense = dense_open(key, m[1], version)
    if dense and dense.last == '' then
        redis.call('EXPIRE', key, DENSE_S)
        return 'OK'
    end
    local by, at = string.match(m[2] or '', '^(%w+) (%d+)$')
    local age = at and now() - tonumber(at) or -1
    if by ~= who and age >= 0 and age < DENSE_LEASE_US then return 'BUSY' end
    if is_full() then
        dense_drop(meta, key)
        return 'FULL'
    end
    local start = 0
    if dense then
        start = seek(order, dense.score, dense.last .. '\255')
    else
        redis.call('UNLINK', key)
        dense = { key = key, count = 0, last = '', score = '' }
    end
    local members = redis.call('ZRANGE', order, start, start + most - 1, 'WITHSCORES')
    local rows, last, score = {}, nil, nil
    for i = 1, #members, 2 do
        if not last or not has_pair(members[i], last) then
            last, score = pair_of(members[i]), members[i + 1]
            rows[#rows + 1], rows[#rows + 2] = score, last
        end
    end
    if rows[1] then dense.count = dense.count + redis.call('ZADD', key, unpack(rows)) end
    local is_whole = #members < 2 * most
    dense.last, dense.score = is_whole and '' or last, is_whole and '' or score
    redis.call('HSET', meta, 'd', dense_text(dense, version), 'db', who .. ' ' .. text_of(now()))
    redis.call('EXPIRE', key, DENSE_S)
    if not is_whole then return 'MORE' end
    redis.call('HDEL', meta, 'db')
    return 'OK'
end

-- ladder_forget meta ; epoch, then for each row: player, revision -> how many tombstones went
local function forget(keys, args)
    local m = redis.call('HMGET', keys[1], 'epoch', 'gen', 'bld')
    if m[1] ~= args[1] or not m[2] or m[3] then return 0 end
    local entry, gone = entry_key(base_of(keys[1]), m[2]), 0
    for i = 2, #args, 2 do
        if redis.call('HGET', entry, args[i]) == args[i + 1] then gone = gone + redis.call('HDEL', entry, args[i]) end
    end
    return gone
end

-- How much was submitted to a standing, and how many entries were new, by second, minute and hour: in rings, of which each place says
-- whose it is. Written by the tail alone, in the same step as its cursor: so every event counts once, and the cursor says up to where.
-- `by` is the tail that loaded it; the cursor ends with the tail that moved it. What another one loaded may lack something.

local RINGS = { { name = 's', places = 120 }, { name = 'm', places = 1560 }, { name = 'h', places = 48 } } -- some to spare
local SLOT = '<I8I4I4' -- which, submissions, new entries
local ACTIVITY_S = 3600 -- lives; who still asks has it loaded again

local function slot_name(ring, slot) return ring.name .. slot % ring.places end

-- Adds to a slot; an older one has no place any more.
local function activity_add(key, ring, slot, submissions, arrivals)
    local name = slot_name(ring, slot)
    local old = redis.call('HGET', key, name)
    local at, s, a = slot, 0, 0
    if old then at, s, a = struct.unpack(SLOT, old) end
    if at > slot then return end
    if at < slot then s, a = 0, 0 end
    redis.call('HSET', key, name, struct.pack(SLOT, slot, s + submissions, a + arrivals))
end

-- ladder_cursor cursor ; expected, new, tail, then rows of the standings whose activity is kept, each one's together: standing, load
--   or add, ring (1 to 3; empty: nothing was submitted), slot, submissions, new entries -> 1 | 0
-- I3: written after the data, to the same node; and only over what the writer believes is there, so that a Redis that
-- came back older than it was is noticed. A value of another kind, from whomever, is none: it goes.
local function cursor(keys, args)
    local held = redis.pcall('GET', keys[1]) or ''
    if type(held) == 'table' then held = '' end
    if held ~= args[1] then return 0 end
    redis.call('SET', keys[1], args[2])
    local standing, key, is_ours
    for i = 4, #args, 6 do
        if args[i] ~= standing then
            standing, key = args[i], activity_key(string.sub(keys[1], 1, -7) .. args[i] .. ':')
            if args[i + 1] == 'load' then
                redis.call('DEL', key)
                redis.call('HSET', key, 'by', args[3])
                redis.call('EXPIRE', key, ACTIVITY_S)
            end
            is_ours = redis.pcall('HGET', key, 'by') == args[3]
        end
        if is_ours and args[i + 2] ~= '' then
            activity_add(key, RINGS[tonumber(args[i + 2])], tonumber(args[i + 3]), tonumber(args[i + 4]), tonumber(args[i + 5]))
        end
    end
    return 1
end

-- ladder_reached cursor -> the cursor; every change made to get there has at most this version
local function reached(keys)
    return { redis.call('GET', keys[1]) or '', as_of() }
end

-- ladder_mark -> the version up to which a replica is now known to have everything, though nothing changed
local function mark() return reach(as_of(), true) end

local function values_of(entry, members)
    local players = {}
    for i = 1, #members do players[i] = string.sub(members[i], head_size(members[i], 3) + 1) end
    if #players == 0 then return {} end
    return redis.call('HMGET', entry, unpack(players))
end

local function dense_of(base, gen, version)
    return dense_open(dense_key(base, gen), redis.call('HGET', base .. 'meta', 'd'), version)
end

-- Ranking 0 is ordinal, 1 competition, 2 dense. UNDENSE: nobody keeps what dense ranks are read from (ladder_dense).
local function page(base, gen, version, total, start, stop, ranking, with_values)
    local order = order_key(base, gen)
    local members = {}
    if stop >= start then members = redis.call('ZRANGE', order, start, stop) end
    local group = start
    if ranking == '1' and members[1] then group = group_start(order, members[1]) end
    if ranking == '2' and start > 0 and members[1] then
        group = dense_rank(dense_of(base, gen, version), members[1])
        if not group then return { 'UNDENSE', version, total, as_of(version) } end
    end
    local values = {}
    if with_values == '1' then values = values_of(entry_key(base, gen), members) end
    return { 'OK', version, total, as_of(version), start, group, members, values, gen }
end

-- ladder_page meta ; epoch, start, count, ranking, with values
-- -> status, version, total, as_of, index of the first, entries (dense: pairs) better than the first's pair, members, values,
--    generation; UNDENSE
local function read_page(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    local start = tonumber(args[2])
    return page(base, gen, version, total, start, start + tonumber(args[3]) - 1, args[4], args[5])
end

-- ladder_after meta ; epoch, score, bytes, count, ranking, with values, stop score, stop bytes -> as ladder_page
-- From the first member after `bytes` (not `bytes` itself), before the stop (an empty stop score: none).
local function read_after(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    local order = order_key(base, gen)
    local start = seek(order, args[2], args[3])
    if redis.call('ZRANGE', order, start, start)[1] == args[3] then start = start + 1 end
    local stop = start + tonumber(args[4]) - 1
    if args[7] ~= '' then stop = math.min(stop, seek(order, args[7], args[8]) - 1) end
    return page(base, gen, version, total, start, stop, args[5], args[6])
end

-- ladder_around meta ; epoch, player, above, below, ranking, with values, absent -> as ladder_page; ABSENT
-- Near an end the page is filled up from the other side. Where the player has no entry and absent says top or last, it is the
-- page at that end, and a 1 at the end of the answer says so.
local function read_around(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    local rank = rank_of(order_key(base, gen), entry_key(base, gen), args[2])
    local want = tonumber(args[3]) + tonumber(args[4]) + 1
    local start = math.max(0, math.min(rank - tonumber(args[3]), total - want))
    if rank < 0 then
        if args[7] == '' then return { 'ABSENT', version, total, as_of(version) } end
        start = args[7] == 'last' and math.max(0, total - want) or 0
    end
    local result = page(base, gen, version, total, start, start + want - 1, args[5], args[6])
    if rank < 0 then result[#result + 1] = 1 end
    return result
end

-- ladder_percentile meta ; epoch, percentile, count, ranking, with values -> as ladder_page
-- From the last entry that has at least this percentile: percentile_rank of board/board.h.
local function read_percentile(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    local start = math.max(0, total - math.ceil(tonumber(args[2]) * (total - 1) / 100 - 1e-6) - 1)
    return page(base, gen, version, total, start, start + tonumber(args[3]) - 1, args[4], args[5])
end

-- ladder_players meta ; epoch, ranking, players… -> status, version, total, as_of, then for each: rank, group, value; UNDENSE
local function read_players(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    local order, entry = order_key(base, gen), entry_key(base, gen)
    local result = { 'OK', version, total, as_of(version) }
    local dense = args[2] == '2' and dense_of(base, gen, version)
    for i = 3, #args do
        local value = redis.call('HGET', entry, args[i])
        local rank, group = -1, -1
        if value and #value > REVISION then
            local size = string.byte(value, REVISION + 1)
            local member = string.sub(value, REVISION + 2, REVISION + 1 + size) .. args[i]
            rank = redis.call('ZRANK', order, member)
            if not rank then return { 'CORRUPT' } end
            group = rank
            if args[2] == '1' then group = group_start(order, member) end
            if args[2] == '2' then
                group = dense_rank(dense, member)
                if not group then return { 'UNDENSE', version, total, as_of(version) } end
            end
        end
        result[#result + 1] = rank
        result[#result + 1] = group
        result[#result + 1] = value
    end
    return result
end

-- ladder_seek meta ; epoch, score, bytes, ranking -> status, version, total, as_of, how many entries are before; dense: and how many
--   different pairs, where the bytes begin with one; UNDENSE
local function read_seek(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    local result = { 'OK', version, total, as_of(version), seek(order_key(base, gen), args[2], args[3]) }
    if args[4] == '2' then
        local dense = dense_of(base, gen, version)
        if not dense or dense.last ~= '' then return { 'UNDENSE', version, total, result[4] } end
        result[6] = seek(dense.key, args[2], pair_of(args[3]))
    end
    return result
end

local function activity_sum(key, ring, from, to)
    if to < from then return 0, 0 end
    local names, submissions, arrivals = {}, 0, 0
    for slot = from, to do names[#names + 1] = slot_name(ring, slot) end
    local values = redis.call('HMGET', key, unpack(names))
    for i = 1, #values do
        if values[i] then
            local slot, s, a = struct.unpack(SLOT, values[i])
            if slot == from + i - 1 then submissions, arrivals = submissions + s, arrivals + a end
        end
    end
    return submissions, arrivals
end

local KNOWN_MAX = 1000
local known, known_count = {}, 0 -- by standing: what was added up last, and for which cursor; no cursor comes twice

-- Submissions and new entries of the last 60 seconds, 60 minutes and 24 hours, up to the second, the minute and the minute that the
-- cursor is in: six numbers; nil: nobody keeps them.
local function activity_of(base, cursor)
    local at, by = string.match(cursor, '^%d+ (%d+) [^ ]+ (%w+)$')
    local key = activity_key(base)
    if known[key] and known[key].cursor == cursor then return known[key].sums end
    if not at or redis.pcall('HGET', key, 'by') ~= by then return nil end
    local second = math.floor(tonumber(at) / 1000000)
    local minute = math.floor(second / 60)
    local hour, first = math.floor(minute / 60), minute - 1439 -- of the day
    local s1, a1 = activity_sum(key, RINGS[1], second - 59, second)
    local s2, a2 = activity_sum(key, RINGS[2], minute - 59, hour * 60 - 1)
    local s3, a3 = activity_sum(key, RINGS[2], hour * 60, minute) -- the present hour, which is of both
    local s4, a4 = activity_sum(key, RINGS[2], first, math.ceil(first / 60) * 60 - 1)
    local s5, a5 = activity_sum(key, RINGS[3], math.ceil(first / 60), hour - 1)
    if not known[key] then
        if known_count == KNOWN_MAX then known, known_count = {}, 0 end
        known_count = known_count + 1
    end
    known[key] = { cursor = cursor, sums = { s1, a1, s2 + s3, a2 + a3, s3 + s4 + s5, a3 + a4 + a5 } }
    return known[key].sums
end

-- ladder_statistics meta ; epoch, is descending, bins of equal count (0: none), percentiles…
-- -> status, version, total, as_of, sums, cursor, activity (six numbers), then the k1, coded, of: the best, the last, the last that has
--    at least each percentile, and from the lowest score on the first and the last of each bin; UNSUMMED, UNCOUNTED: nobody keeps the
--    sums, the activity
local function read_statistics(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    local sums = sums_of(redis.call('HGET', keys[1], 's'), version)
    if not sums then return { 'UNSUMMED' } end
    local cursor = redis.call('GET', string.match(base, '^ladder:{%d+}:') .. 'cursor') or ''
    local activity = activity_of(base, cursor)
    if not activity then return { 'UNCOUNTED' } end
    local result = { 'OK', version, total, as_of(version), sums, cursor, activity }
    if total == 0 then return result end
    local order, places = order_key(base, gen), { 0, total - 1 }
    for i = 4, #args do
        places[#places + 1] = math.max(0, total - math.ceil(tonumber(args[i]) * (total - 1) / 100 - 1e-6) - 1)
    end
    local bins = math.min(tonumber(args[3]), total)
    for i = 1, bins do
        local first, last = math.floor((i - 1) * total / bins), math.floor(i * total / bins) - 1
        if args[2] == '1' then first, last = total - 1 - first, total - 1 - last end
        places[#places + 1], places[#places + 2] = first, last
    end
    for i = 1, #places do
        local member = redis.call('ZRANGE', order, places[i], places[i])[1]
        result[#result + 1] = string.sub(member, 1, coded_size(member, 1))
    end
    return result
end

-- ladder_counts meta ; epoch, version, then n times: score, bytes -> status, version, total, as_of, how many are before each;
--   CHANGED: it is of another version by now
local function read_counts(keys, args)
    local base, gen, version, total = open(keys[1], args[1])
    if not base then return { gen } end
    if text_of(version) ~= args[2] then return { 'CHANGED' } end
    local order = order_key(base, gen)
    local result = { 'OK', version, total, as_of(version) }
    for i = 3, #args, 2 do
        local low = redis.call('ZCOUNT', order, '-inf', '(' .. args[i])
        local member = redis.call('ZRANGE', order, low, low)[1]
        if member and is_before(member, args[i + 1]) then low = seek(order, args[i], args[i + 1]) end -- a double of several scores
        result[#result + 1] = low
    end
    return result
end

-- The second cache (cache/l2.h, store/l2.c): what PostgreSQL answered, under tags.
--
--     ladder:l2:value:<hash>    STRING  see cache/l2.h; carries the nonces of its tags as they were before it was fetched
--     ladder:l2:tag:<tag>       STRING  run id, epoch, lsn (8 bytes), nonce (16): made by a reader
--                                       'p' and a version: purged; nothing is under it until a reader makes it anew
--     ladder:l2:lock:<hash>     STRING  who refreshes the value
--
-- A value counts only under its own nonces, and no nonce is drawn twice. So a tag that is gone (evicted, flushed) costs values
-- and brings none back; nor does an old copy of the data in another process, because a tag is of the process that holds it.

local L2_PURGED_MS = 60000 -- longer than anybody needs to make a tag
local L2_TAG = 24          -- bytes that a reader is told: lsn, nonce
local L2_TEXT = 128        -- no tag of ours is longer
local L2_VALUE = 2097152   -- no value

local function tag_head(epoch) return run_id() .. ' ' .. epoch .. ' ' end

-- ladder_vouched ; epoch, shards… -> "101…": whether the tail has said that this very process holds the shard whole.
-- For a cluster, where each shard has a ladder:ready of its own (keys.h); one that is not here is not vouched for.
local function vouched(_, args)
    local expected, result = args[1] .. ' ' .. run_id(), {}
    for i = 2, #args do
        result[i - 1] = redis.pcall('GET', 'ladder:{' .. args[i] .. '}:ready') == expected and '1' or '0'
    end
    return table.concat(result)
end

local purges = 0 -- in this process: a purge counts even if what it wrote was evicted at once

local function text_at(key, most)
    local value = redis.pcall('GET', key)
    return type(value) == 'string' and #value <= most and value or '' -- what is strange is as good as nothing
end

-- What a tag's text says of the tag: lsn and nonce; '' unless a reader of this epoch made it in this process.
local function tag_of(text, head)
    if #text ~= #head + L2_TAG or string.sub(text, 1, #head) ~= head then return '' end
    return string.sub(text, #head + 1)
end

-- ladder_recall value, tags… ; epoch -> now in ms, purges, value, then for each tag: its text, lsn and nonce
local function recall(keys, args)
    local head = tag_head(args[1])
    local result = { math.floor(now() / 1000), purges, text_at(keys[1], L2_VALUE) }
    for i = 2, #keys do
        local text = text_at(keys[i], L2_TEXT)
        result[#result + 1] = text
        result[#result + 1] = tag_of(text, head)
    end
    return result
end

-- ladder_tag tags… ; epoch, lsn (8 bytes), nonce, milliseconds to live, purges and then for each its text, as recall had them
-- -> lsn and nonce of each; '' for one that may have been purged meanwhile
-- lsn: where the primary was after the recall: so a fetch that covers it has what the purges before the recall were about.
local function tag(keys, args)
    local head, result = tag_head(args[1]), {}
    for i = 1, #keys do
        local text = text_at(keys[i], L2_TEXT)
        if tag_of(text, head) == '' and text == args[5 + i] and tonumber(args[5]) == purges then
            text = head .. args[2] .. args[3]
            redis.call('SET', keys[i], text, 'PX', args[4])
        end
        result[i] = tag_of(text, head)
    end
    return result
end

-- ladder_purge tags… -> how many
local function purge(keys)
    purges = purges + 1
    for i = 1, #keys do redis.call('SET', keys[i], 'p' .. text_of(advance()), 'PX', L2_PURGED_MS) end
    return #keys
end

-- A cold standing that has stood still. The record is as a tag's: made by a reader, with a position of the primary from after he
-- looked; the next apply to the standing takes it away, and so does the flip that makes it warm. So whatever is kept under its
-- nonce, and was read from a server that covers the position, has every change that was applied.

local function is_cold(meta, epoch)
    local m = redis.call('HMGET', meta, 'epoch', 'gen')
    return not m[2] or m[1] ~= epoch
end

-- ladder_look meta ; epoch -> COLD, stirs, text, its lsn and nonce ('': none) | WARM
local function look(keys, args)
    if not is_cold(keys[1], args[1]) then return { 'WARM' } end
    local text = text_at(still_key(keys[1]), L2_TEXT)
    return { 'COLD', stirs, text, tag_of(text, tag_head(args[1])) }
end

-- ladder_settle meta ; epoch, lsn (8 bytes), nonce, milliseconds to live, stirs and text as look had them -> lsn and nonce, or ''
local function settle(keys, args)
    local head, text = tag_head(args[1]), text_at(still_key(keys[1]), L2_TEXT)
    if not is_cold(keys[1], args[1]) then return '' end
    if tag_of(text, head) == '' and text == args[6] and tonumber(args[5]) == stirs then
        text = head .. args[2] .. args[3]
        redis.call('SET', still_key(keys[1]), text, 'PX', args[4])
    end
    return tag_of(text, head)
end

-- ladder_retain value, tags… ; bytes, until (ms), milliseconds that tags live -> 1 | 0: there is no room
local function retain(keys, args)
    if is_full() then return 0 end
    redis.call('SET', keys[1], args[1], 'PXAT', args[2])
    for i = 2, #keys do redis.call('PEXPIRE', keys[i], args[3], 'GT') end
    return 1
end

-- A value of another kind under one of a standing's names, from whomever: the standing leaves Redis like any that is damaged.
-- PostgreSQL answers until it was loaded again. (What a meta that is no hash had pointed at stays behind.)
local function mended(write)
    return function(keys, args)
        local is_ok, answer = pcall(write, keys, args)
        if is_ok then return answer end
        if not string.find(type(answer) == 'table' and answer.err or tostring(answer), 'WRONGTYPE', 1, true) then error(answer, 0) end
        local base, m = base_of(keys[1]), redis.pcall('HMGET', keys[1], 'gen', 'bld')
        for i = 1, 2 do
            if m[i] then generation_unlink(base, m[i]) end
        end
        redis.call('UNLINK', keys[1])
        publish_all(keys[1])
        return write(keys, args)
    end
end

redis.register_function('LADDER_LIBRARY_apply', mended(apply))
redis.register_function('LADDER_LIBRARY_build', mended(build))
redis.register_function('LADDER_LIBRARY_load', mended(load))
redis.register_function('LADDER_LIBRARY_flip', mended(flip))
redis.register_function('LADDER_LIBRARY_drop', mended(drop))
redis.register_function('LADDER_LIBRARY_whole', mended(whole))
redis.register_function('LADDER_LIBRARY_forget', mended(forget))
redis.register_function('LADDER_LIBRARY_dense', mended(make_dense))
redis.register_function{
    function_name = 'LADDER_LIBRARY_vouched', callback = vouched, flags = { 'no-writes', 'allow-cross-slot-keys' }
}
redis.register_function('LADDER_LIBRARY_cursor', cursor)
redis.register_function{ function_name = 'LADDER_LIBRARY_reached', callback = reached, flags = { 'no-writes' } }
redis.register_function('LADDER_LIBRARY_mark', mark)
redis.register_function{ function_name = 'LADDER_LIBRARY_page', callback = read_page, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_after', callback = read_after, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_around', callback = read_around, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_percentile', callback = read_percentile, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_players', callback = read_players, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_seek', callback = read_seek, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_statistics', callback = read_statistics, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_counts', callback = read_counts, flags = { 'no-writes' } }
redis.register_function{ function_name = 'LADDER_LIBRARY_look', callback = look, flags = { 'no-writes' } }
redis.register_function('LADDER_LIBRARY_settle', settle)
redis.register_function('LADDER_LIBRARY_tag', tag)
redis.register_function('LADDER_LIBRARY_purge', purge)
redis.register_function('LADDER_LIBRARY_retain', retain)
redis.register_function{ function_name = 'LADDER_LIBRARY_recall', callback = recall, flags = { 'no-writes' } }
