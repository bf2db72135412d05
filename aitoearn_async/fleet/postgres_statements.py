"""The statements of the ledger in Postgres, by name. Which follows which is in `postgres`."""

from __future__ import annotations

from psycopg import sql

# Whether there is nothing to take. Not with EXISTS: for that the planner reads the table from its
# beginning, where it believes that many rows have the state, and there may be none any more.
IDLE = """(SELECT 1 FROM {refs} WHERE state = '0' ORDER BY added LIMIT 1) IS NULL
            AND NOT EXISTS (
                SELECT 1 FROM {members} WHERE expires <= clock_timestamp() AND kind = 0)"""

# The states stand in the text: a partial index is not used for one that comes as a parameter.
# Lists are sent as binary data (`b`): written as text, an outcome takes thirty times as long.
STATEMENTS = {
    "schema": """
        CREATE TABLE IF NOT EXISTS {refs} (
            ref text COLLATE "C" PRIMARY KEY, added timestamptz NOT NULL, changed timestamptz,
            holder integer, call integer, state "char" NOT NULL DEFAULT '0', outcome bytea
        ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
        CREATE INDEX IF NOT EXISTS {waiting} ON {refs} (added) WHERE state = '0';
        CREATE INDEX IF NOT EXISTS {held} ON {refs} (holder) WHERE state = '1';
        CREATE INDEX IF NOT EXISTS {ended} ON {refs} (changed) WHERE state = '2';
        CREATE INDEX IF NOT EXISTS {reading} ON {refs} (holder) WHERE state = '3';
        CREATE INDEX IF NOT EXISTS {done} ON {refs} (changed) WHERE state = '4';
        CREATE TABLE IF NOT EXISTS {members} (
            id serial PRIMARY KEY, kind smallint NOT NULL, expires timestamptz NOT NULL,
            gave boolean NOT NULL DEFAULT false, call integer, held integer NOT NULL DEFAULT 0,
            report bytea
        ) WITH (fillfactor = 50)""",
    "begin": "BEGIN ISOLATION LEVEL READ COMMITTED",
    # Milliseconds that a member may be silent inside a transaction: a frozen one would hold up all
    # that need its locks. For this transaction alone, since the session may be a pooler's.
    "idle_limit": "SET LOCAL idle_in_transaction_session_timeout = 5000",
    "commit": "COMMIT",
    # In the order of the refs: who adds the same ones at once waits, and not in a circle.
    "add": """
        INSERT INTO {refs} (ref, added)
        SELECT ref, statement_timestamp() + number * interval '1 us'
        FROM unnest(%(refs)b::text[]) WITH ORDINALITY AS given (ref, number)
        ORDER BY ref COLLATE "C" ON CONFLICT (ref) DO NOTHING""",
    "join": """
        INSERT INTO {members} (kind, expires, report)
        VALUES (%(kind)s, clock_timestamp() + %(lease)s * interval '1 s', %(report)s)
        RETURNING id""",
    # The lock holds off whoever would remove the member: a take that commits later than that
    # would leave refs to nobody. It does not hold off beats.
    "alive": """
        SELECT call FROM {members} WHERE id = %(member)s AND expires > clock_timestamp()
        FOR KEY SHARE""",
    # One beat at a time, so that no two members decide on the same share.
    "lock": "SELECT pg_advisory_xact_lock(%(lock)s)",
    "members": "SELECT id, held, report FROM {members} WHERE expires > clock_timestamp()",
    "beat": """
        UPDATE {members} SET expires = clock_timestamp() + %(lease)s * interval '1 s',
        held = %(held)s, report = %(report)s
        WHERE id = %(member)s AND expires > clock_timestamp() RETURNING {idle}""",
    "renew": """
        WITH me AS (
            UPDATE {members} SET expires = clock_timestamp() + %(lease)s * interval '1 s',
            held = %(held)s, report = %(report)s
            WHERE id = %(member)s AND expires > clock_timestamp() RETURNING 1
        ) SELECT id, held, report, {idle} FROM {members}, me
        WHERE expires > clock_timestamp() OR id = %(member)s""",
    "leave": """
        UPDATE {members} SET expires = '-infinity', gave = true
        WHERE id = %(member)s AND expires > clock_timestamp()""",
    "gone": """
        SELECT id, gave FROM {members} WHERE expires <= clock_timestamp() AND kind = %(kind)s
        ORDER BY id""",
    # In the order of an index, and for one member at a time: so it ends where enough are counted.
    "free": """
        SELECT (SELECT count(*) FROM (
                SELECT 1 FROM {refs} WHERE state = '0' ORDER BY added LIMIT %(most)s) AS waiting)
            + (SELECT COALESCE(sum((SELECT count(*) FROM (
                SELECT 1 FROM {refs} WHERE state = '1' AND holder = gone.id LIMIT %(most)s
            ) AS held)), 0)::int FROM {members} AS gone
            WHERE expires <= clock_timestamp() AND kind = %(kind)s)""",
    "lock_gone": "SELECT 1 FROM {members} WHERE id = %(gone)s FOR UPDATE SKIP LOCKED",
    "holds": """
        SELECT 0 < (SELECT count(*) FROM {refs} WHERE state = '1' AND holder = %(gone)s)
                 + (SELECT count(*) FROM {refs} WHERE state = '3' AND holder = %(gone)s)""",
    "remove": "DELETE FROM {members} WHERE id = %(gone)s",
    "taken": """
        SELECT ref, extract(epoch FROM clock_timestamp() - added)::float8 FROM {refs}
        WHERE state = '1' AND holder = %(member)s AND call = %(call)s""",
    "take_over": """
        UPDATE {refs} SET holder = %(member)s, call = %(call)s WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM {refs} WHERE state = '1' AND holder = %(gone)s
            LIMIT %(most)s FOR UPDATE SKIP LOCKED
        )) RETURNING ref, extract(epoch FROM clock_timestamp() - added)::float8""",
    # The number of the call is a fence. A message of a call that was given up may arrive late, or
    # be carried out beside its repetition: whoever finds the number there takes nothing.
    "take": """
        WITH me AS (
            SELECT id FROM {members} WHERE id = %(member)s AND COALESCE(call, -1) < %(fence)s
            FOR NO KEY UPDATE
        ), taken AS (
            UPDATE {refs} SET state = '1', holder = %(member)s, call = %(call)s
            WHERE ctid = ANY (ARRAY (
                SELECT ctid FROM {refs} WHERE state = '0' ORDER BY added
                LIMIT %(most)s FOR UPDATE SKIP LOCKED
            )) AND EXISTS (SELECT 1 FROM me)
            RETURNING ref, extract(epoch FROM clock_timestamp() - added)::float8 AS age
        ), more AS (
            UPDATE {members} SET held = held + (SELECT count(*) FROM taken), call = %(call)s
            WHERE id = (SELECT id FROM me)
        ) SELECT ref, age FROM me LEFT JOIN taken ON true""",
    "took": """
        UPDATE {members} SET held = held + %(count)s, call = %(call)s
        WHERE id = %(member)s AND COALESCE(call, -1) < %(fence)s RETURNING 1""",
    "held": "SELECT ref FROM {refs} WHERE state = '1' AND holder = %(member)s LIMIT %(most)s",
    # Those that are named are found by their names: of what the member holds these are few. The
    # conditions are written so that the index of what is held, which seems to be shorter, is of
    # no use to them.
    "give": """
        WITH giver AS (
            INSERT INTO {members} (kind, expires, gave) VALUES (0, '-infinity', true) RETURNING id
        ), given AS (
            UPDATE {refs} SET holder = (SELECT id FROM giver)
            WHERE ref = ANY(%(refs)b::text[]) AND state::text = '1' AND holder + 0 = %(member)s
            RETURNING 1
        ) UPDATE {members} SET held = held - (SELECT count(*) FROM given)
        WHERE id = %(member)s""",
    # The next four are one transaction each: most calls need no more than one of them.
    "is_idle": """
        SELECT call, {idle} FROM {members}
        WHERE id = %(member)s AND expires > clock_timestamp()""",
    "is_read": """
        SELECT (SELECT 1 FROM {refs} WHERE state = '2' ORDER BY changed LIMIT 1) IS NULL
            AND 0 = (SELECT count(*) FROM {refs} WHERE state = '3' AND holder = %(member)s)
            AND NOT EXISTS (
                SELECT 1 FROM {members} WHERE expires <= clock_timestamp() AND kind = 1)
        FROM {members} WHERE id = %(member)s AND expires > clock_timestamp()""",
    "record": """
        WITH me AS (
            SELECT 1 FROM {members} WHERE id = %(member)s AND expires > clock_timestamp()
            FOR KEY SHARE
        ), done AS (
            UPDATE {refs} SET state = '2', outcome = given.outcome, changed = clock_timestamp()
            FROM unnest(%(refs)b::text[], %(outcomes)b::bytea[]) AS given (ref, outcome)
            WHERE {refs}.ref = given.ref AND {refs}.ref = ANY(%(refs)b::text[])
            AND state::text = '1' AND holder + 0 = %(member)s
            AND EXISTS (SELECT 1 FROM me) RETURNING 1
        ), less AS (
            UPDATE {members} SET held = held - (SELECT count(*) FROM done) WHERE id = %(member)s
            AND EXISTS (SELECT 1 FROM done)
        ) SELECT (SELECT count(*) FROM done), {idle} FROM me""",
    "finish_and_read": """
        WITH me AS (
            SELECT 1 FROM {members} WHERE id = %(member)s AND expires > clock_timestamp()
            FOR KEY SHARE
        ), more AS (
            SELECT 1 WHERE 0 < (
                SELECT count(*) FROM {refs} WHERE state = '3' AND holder = %(member)s
                AND ref <> ALL (%(refs)b::text[])
            ) OR EXISTS (
                SELECT 1 FROM {members} WHERE expires <= clock_timestamp() AND kind = 1)
        ), done AS (
            UPDATE {refs} SET state = '4', outcome = NULL, holder = NULL,
            changed = clock_timestamp()
            WHERE ref = ANY (%(refs)b::text[]) AND state = '3' AND holder = %(member)s
            AND EXISTS (SELECT 1 FROM me)
        ), following AS (
            UPDATE {refs} SET state = '3', holder = %(member)s WHERE ctid = ANY (ARRAY (
                SELECT ctid FROM {refs} WHERE state = '2' ORDER BY changed
                LIMIT %(most)s FOR UPDATE SKIP LOCKED
            )) AND EXISTS (SELECT 1 FROM me) AND NOT EXISTS (SELECT 1 FROM more)
            RETURNING ref, outcome
        ) SELECT (SELECT count(*) FROM more), ref, outcome FROM me LEFT JOIN following ON true""",
    "reading": "SELECT ref, outcome FROM {refs} WHERE state = '3' AND holder = %(member)s",
    "read_over": """
        UPDATE {refs} SET holder = %(member)s WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM {refs} WHERE state = '3' AND holder = %(gone)s
            LIMIT %(most)s FOR UPDATE SKIP LOCKED
        )) RETURNING ref, outcome""",
    "read": """
        UPDATE {refs} SET state = '3', holder = %(member)s WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM {refs} WHERE state = '2' ORDER BY changed
            LIMIT %(most)s FOR UPDATE SKIP LOCKED
        )) RETURNING ref, outcome""",
    # Of an outcome whose transaction was rolled back inside the block the effect is gone.
    "lock_one": """
        SELECT ref, outcome, txid_current() FROM {refs} WHERE state = '2' ORDER BY changed
        LIMIT 1 FOR UPDATE SKIP LOCKED""",
    "finish_one": """
        UPDATE {refs} SET state = '4', outcome = NULL, holder = NULL, changed = clock_timestamp()
        WHERE ref = %(ref)s AND state = '2' AND txid_status(%(read_in)s) <> 'aborted'""",
    # With the members, each in a row: two statements would not count at the same moment.
    "counts": """
        SELECT counts.*, id, held, report FROM (SELECT
               (SELECT count(*) FROM {refs} WHERE state = '0'),
               (SELECT count(*) FROM {refs} WHERE state = '1'),
               (SELECT count(*) FROM {refs} WHERE state = '2'),
               (SELECT count(*) FROM {refs} WHERE state = '3'),
               (SELECT count(*) FROM {refs} WHERE state = '4'),
               extract(epoch FROM clock_timestamp() - least(
                   (SELECT min(added) FROM {refs} WHERE state = '0'),
                   (SELECT min(added) FROM {refs} WHERE state = '1')))::float8
        ) AS counts LEFT JOIN {members} ON expires > clock_timestamp()""",
    "unfinished": """
        SELECT (SELECT 1 FROM {refs} WHERE state = '0' ORDER BY added LIMIT 1) IS NOT NULL
            OR (SELECT 1 FROM {refs} WHERE state = '1' ORDER BY holder LIMIT 1) IS NOT NULL
            OR (SELECT 1 FROM {refs} WHERE state = '2' ORDER BY changed LIMIT 1) IS NOT NULL
            OR (SELECT 1 FROM {refs} WHERE state = '3' ORDER BY holder LIMIT 1) IS NOT NULL""",
    "forget": """
        DELETE FROM {refs} WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM {refs} WHERE state = '4'
            AND changed <= clock_timestamp() - %(keep)s * interval '1 s'
            ORDER BY changed LIMIT %(most)s FOR UPDATE SKIP LOCKED
        ))""",
    "analyze": "ANALYZE {refs}",
    "exists": "SELECT to_regclass(%(table)s) IS NOT NULL",
}


def composed(prefix: str) -> dict[str, bytes]:
    """Return the statements for tables whose names begin with this, as they are sent."""
    names = ("refs", "members", "waiting", "held", "ended", "reading", "done")
    tables = {key: sql.Identifier(f"{prefix}_{key}").as_string() for key in names}
    idle = IDLE.format(**tables)
    return {key: text.format(**tables, idle=idle).encode() for key, text in STATEMENTS.items()}
