"""The scripts of the ledger in Redis, by name: Lua. Which is called when is in `redis`."""

from __future__ import annotations

# The keys, after the fleet's prefix:
#   tasks      stream: refs without an outcome; its entries' ids say when they were added
#   outcomes   stream: outcomes that are not done
#   done       stream: refs that are done, to be forgotten some day
#   refs       hash: ref -> its entry's id in tasks, or "e" and that in outcomes, or "d"
#   members:K  hash: member -> report, of each kind K; held: hash: member -> how many it holds
#   lease:M    is there while the lease of member M holds; left: set of those who left well
#   last:M     hash: the last call of take by member M and its reply
COMMON = """
local p = KEYS[1]
local tasks = {key = p .. 'tasks', group = 'workers', kind = 0}
local outcomes = {key = p .. 'outcomes', group = 'readers', kind = 1}
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function alive(member) return redis.call('EXISTS', p .. 'lease:' .. member) == 1 end
local function lost(member) return {err = 'LEASE ' .. member} end
local function length(stream) return redis.call('XLEN', stream.key) end
local function pending(stream) return redis.call('XPENDING', stream.key, stream.group) end
local function pending_for(stream, member, most)
    return redis.call('XPENDING', stream.key, stream.group, '-', '+', most, member)
end
-- The entry of a ref in a stream, if it is pending for this member.
local function held_by(member, stream, ref)
    local form = stream == tasks and '^(%d.*)' or '^e(.*)'
    local id = string.match(redis.call('HGET', p .. 'refs', ref) or '', form)
    local held = id and redis.call('XPENDING', stream.key, stream.group, id, id, 1)[1]
    return held and held[2] == member and id
end
local function gone(kind)
    local found = {}
    for _, id in ipairs(redis.call('HKEYS', p .. 'members:' .. kind)) do
        if not alive(id) then found[#found + 1] = id end
    end
    return found
end
local function idle()
    return (length(tasks) > pending(tasks)[1] or #gone(0) > 0) and 0 or 1
end
local function all_members()
    local found = {}
    for kind = 0, 1 do
        local all = redis.call('HGETALL', p .. 'members:' .. kind)
        for at = 1, #all, 2 do
            if alive(all[at]) then
                local held = redis.call('HGET', p .. 'held', all[at]) or '0'
                found[#found + 1] = {all[at], held, all[at + 1]}
            end
        end
    end
    return found
end
local function renew(member, lease, kind, held, report)
    redis.call('SET', p .. 'lease:' .. member, 1, 'PX', lease)
    redis.call('HSET', p .. 'members:' .. kind, member, report)
    redis.call('HSET', p .. 'held', member, held)
end
local function remove(stream, id)
    redis.call('XGROUP', 'DELCONSUMER', stream.key, stream.group, id)
    redis.call('HDEL', p .. 'members:' .. stream.kind, id)
    redis.call('HDEL', p .. 'held', id)
    redis.call('SREM', p .. 'left', id)
    redis.call('DEL', p .. 'last:' .. id)
end
-- Entries for a member, each kept with its origin: of members who are gone, and then new ones.
local function hand_out(stream, member, most, keep)
    for _, id in ipairs(gone(stream.kind)) do
        if most <= 0 then return end
        local ids = {}
        for _, entry in ipairs(pending_for(stream, id, most)) do ids[#ids + 1] = entry[1] end
        if #ids > 0 then
            local some = redis.call('XCLAIM', stream.key, stream.group, member, 0, unpack(ids))
            local origin = redis.call('SISMEMBER', p .. 'left', id) == 1 and 1 or 2
            for _, entry in ipairs(some) do keep(entry, origin) end
        end
        -- Deleting a consumer loses what is pending for it.
        if #ids < most and #pending_for(stream, id, 1) == 0 then remove(stream, id) end
        most = most - #ids
    end
    if most <= 0 then return end
    local new = redis.call('XREADGROUP', 'GROUP', stream.group, member, 'COUNT', most, 'STREAMS',
        stream.key, '>')
    for _, entry in ipairs(new and new[1] and new[1][2] or {}) do keep(entry, 0) end
end
"""

SCRIPTS = {
    "open": """
        for _, of in ipairs({tasks, outcomes}) do
            local made = redis.pcall('XGROUP', 'CREATE', of.key, of.group, '0', 'MKSTREAM')
            if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
        end
        return redis.status_reply('OK')""",
    "exists": "return redis.call('EXISTS', tasks.key)",
    "add": """
        local new = 0
        for _, ref in ipairs(ARGV) do
            if redis.call('HSETNX', p .. 'refs', ref, '') == 1 then
                local id = redis.call('XADD', tasks.key, '*', 'r', ref)
                redis.call('HSET', p .. 'refs', ref, id)
                new = new + 1
            end
        end
        return new""",
    "join": """
        local id = redis.call('INCR', p .. 'ids')
        redis.call('SET', p .. 'lease:' .. id, 1, 'PX', ARGV[2])
        redis.call('HSET', p .. 'members:' .. ARGV[1], id, ARGV[3])
        return id""",
    "members": """
        return {redis.call('GET', p .. 'version') or '0', all_members()}""",
    "beat": """
        local version, member, lease, kind, held, report = unpack(ARGV)
        if not alive(member) then return lost(member) end
        if (redis.call('GET', p .. 'version') or '0') ~= version then return -1 end
        redis.call('INCR', p .. 'version')
        renew(member, lease, kind, held, report)
        return idle()""",
    "renew": """
        if not alive(ARGV[1]) then return lost(ARGV[1]) end
        renew(unpack(ARGV))
        return {idle(), all_members()}""",
    "leave": """
        if redis.call('DEL', p .. 'lease:' .. ARGV[1]) == 1 then
            redis.call('SADD', p .. 'left', ARGV[1])
        end
        return 0""",
    "is_idle": """
        if not alive(ARGV[1]) then return lost(ARGV[1]) end
        if redis.call('HGET', p .. 'last:' .. ARGV[1], 'call') == ARGV[2] then return 0 end
        return idle()""",
    "free": """
        local left = {}
        for _, id in ipairs(gone(0)) do left[id] = true end
        local all = pending(tasks)
        local free = length(tasks) - all[1]
        for _, of in ipairs(all[4] or {}) do
            if left[of[1]] then free = free + of[2] end
        end
        return free""",
    "take": """
        local member, call, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
        if not alive(member) then return lost(member) end
        local last = redis.call('HMGET', p .. 'last:' .. member, 'call', 'reply')
        if last[1] == call then return last[2] end
        -- Late: it was given up, and others came after it.
        if last[1] and tonumber(last[1]) > tonumber(call) then return '[]' end
        local taken, time = {}, now()
        hand_out(tasks, member, most, function(entry, origin)
            local added = tonumber(string.match(entry[1], '^%d+'))
            taken[#taken + 1] = {entry[2][2], (time - added) / 1000, origin}
        end)
        local is_in_doubt = ARGV[4] == '1'
        if #taken == 0 and not is_in_doubt then return '[]' end
        local reply = #taken == 0 and '[]' or cjson.encode(taken)
        redis.call('HSET', p .. 'last:' .. member, 'call', call, 'reply', reply)
        redis.call('HINCRBY', p .. 'held', member, #taken)
        return reply""",
    "held": """
        local found = {}
        local most = tonumber(ARGV[2])
        if most <= 0 then return found end
        for _, entry in ipairs(pending_for(tasks, ARGV[1], most)) do
            found[#found + 1] = redis.call('XRANGE', tasks.key, entry[1], entry[1])[1][2][2]
        end
        return found""",
    "give": """
        local member, giver = ARGV[1], redis.call('INCR', p .. 'ids')
        local given = 0
        for at = 2, #ARGV do
            local id = held_by(member, tasks, ARGV[at])
            if id then
                redis.call('XCLAIM', tasks.key, tasks.group, giver, 0, id, 'JUSTID')
                given = given + 1
            end
        end
        if given > 0 then
            redis.call('HSET', p .. 'members:0', giver, '')
            redis.call('SADD', p .. 'left', giver)
            redis.call('HINCRBY', p .. 'held', member, -given)
        end
        return given""",
    "record": """
        local member, count = ARGV[1], 0
        if not alive(member) then return lost(member) end
        for at = 2, #ARGV, 2 do
            local ref = ARGV[at]
            local id = held_by(member, tasks, ref)
            if id then
                redis.call('XACK', tasks.key, tasks.group, id)
                redis.call('XDEL', tasks.key, id)
                local made = redis.call('XADD', outcomes.key, '*', 'r', ref, 'o', ARGV[at + 1])
                redis.call('HSET', p .. 'refs', ref, 'e' .. made)
                count = count + 1
            end
        end
        redis.call('HINCRBY', p .. 'held', member, -count)
        return {count, idle()}""",
    "read": """
        local member, most, found = ARGV[1], tonumber(ARGV[2]), {}
        if not alive(member) then return lost(member) end
        for at = 3, #ARGV do
            local id = held_by(member, outcomes, ARGV[at])
            if id then
                redis.call('XACK', outcomes.key, outcomes.group, id)
                redis.call('XDEL', outcomes.key, id)
                redis.call('HSET', p .. 'refs', ARGV[at], 'd')
                redis.call('XADD', p .. 'done', '*', 'r', ARGV[at])
            end
        end
        local function keep(entry) found[#found + 1] = {entry[2][2], entry[2][4]} end
        for _, entry in ipairs(pending_for(outcomes, member, 100000)) do
            keep(redis.call('XRANGE', outcomes.key, entry[1], entry[1])[1])
        end
        hand_out(outcomes, member, most - #found, keep)
        return found""",
    "counts": """
        local first = redis.call('XRANGE', tasks.key, '-', '+', 'COUNT', 1)[1]
        local oldest = first and now() - string.match(first[1], '^%d+')
        local held, reading = pending(tasks)[1], pending(outcomes)[1]
        return {length(tasks) - held, held, length(outcomes) - reading, reading,
            redis.call('XLEN', p .. 'done'), oldest or false, all_members()}""",
    "finished": "return length(tasks) + length(outcomes)",
    "forget": """
        local last = now() - ARGV[1]
        if last < 0 then return 0 end
        local old = redis.call('XRANGE', p .. 'done', '-', string.format('%.0f', last), 'COUNT',
            ARGV[2])
        for _, entry in ipairs(old) do
            redis.call('HDEL', p .. 'refs', entry[2][2])
            redis.call('XDEL', p .. 'done', entry[1])
        end
        return #old""",
}
