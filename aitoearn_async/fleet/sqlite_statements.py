"""The statements of the ledger in SQLite, by name. Which follows which is in `sqlite`."""

from __future__ import annotations

# `:now` is the ledger's clock. The states stand in the text: a partial index is not used for one
# that comes as a parameter.
STATEMENTS = {
    "schema": """
        CREATE TABLE IF NOT EXISTS {refs} (
            id INTEGER PRIMARY KEY, ref TEXT NOT NULL UNIQUE, added REAL NOT NULL,
            state INTEGER NOT NULL DEFAULT 0, holder INTEGER, call INTEGER, changed REAL,
            outcome BLOB
        );
        CREATE INDEX IF NOT EXISTS {refs}_waiting ON {refs} (added) WHERE state = 0;
        CREATE INDEX IF NOT EXISTS {refs}_held ON {refs} (holder, added) WHERE state = 1;
        CREATE INDEX IF NOT EXISTS {refs}_ended ON {refs} (changed) WHERE state = 2;
        CREATE INDEX IF NOT EXISTS {refs}_reading ON {refs} (holder) WHERE state = 3;
        CREATE INDEX IF NOT EXISTS {refs}_done ON {refs} (changed) WHERE state = 4;
        CREATE TABLE IF NOT EXISTS {members} (
            id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, expires REAL NOT NULL,
            gave INTEGER NOT NULL DEFAULT 0, call INTEGER, held INTEGER NOT NULL DEFAULT 0,
            report BLOB
        );""",
    "exists": "SELECT 1 FROM sqlite_master WHERE name = '{members}'",
    "add": """
        INSERT INTO {refs} (ref, added) SELECT value, :now FROM json_each(:refs) WHERE true
        ON CONFLICT (ref) DO NOTHING""",
    "join": """
        INSERT INTO {members} (kind, expires, report) VALUES (:kind, :now + :lease, :report)
        RETURNING id""",
    "alive": "SELECT call FROM {members} WHERE id = :member AND expires > :now",
    "members": "SELECT id, held, report FROM {members} WHERE expires > :now",
    "beat": """
        UPDATE {members} SET expires = :now + :lease, held = :held, report = :report
        WHERE id = :member""",
    "is_waiting": "SELECT EXISTS (SELECT 1 FROM {refs} WHERE state = 0)",
    "is_ended": "SELECT EXISTS (SELECT 1 FROM {refs} WHERE state = 2)",
    "leave": "UPDATE {members} SET expires = 0, gave = 1 WHERE id = :member AND expires > :now",
    "gone": "SELECT id, gave FROM {members} WHERE expires <= :now AND kind = :kind ORDER BY id",
    "free": """
        SELECT (SELECT count(*) FROM (SELECT 1 FROM {refs} WHERE state = 0 LIMIT :most))
            + (SELECT count(*) FROM (SELECT 1 FROM {refs} WHERE state = 1 AND holder IN (
                SELECT id FROM {members} WHERE expires <= :now AND kind = 0) LIMIT :most))""",
    "remove": "DELETE FROM {members} WHERE id = :member",
    "taken": """
        SELECT ref, :now - added FROM {refs} WHERE state = 1 AND holder = :member
        AND call = :call""",
    "take_over": """
        UPDATE {refs} SET holder = :member, call = :call WHERE id IN (
            SELECT id FROM {refs} WHERE state = 1 AND holder = :gone LIMIT :most
        ) RETURNING ref, :now - added""",
    "take": """
        UPDATE {refs} SET state = 1, holder = :member, call = :call WHERE id IN (
            SELECT id FROM {refs} WHERE state = 0 ORDER BY added LIMIT :most
        ) RETURNING ref, :now - added""",
    "took": "UPDATE {members} SET held = held + :count, call = :call WHERE id = :member",
    "let_go": "UPDATE {members} SET held = held - :count WHERE id = :member",
    "held": "SELECT ref FROM {refs} WHERE state = 1 AND holder = :member LIMIT :most",
    "giver": "INSERT INTO {members} (kind, expires, gave) VALUES (0, 0, 1) RETURNING id",
    "give": """
        UPDATE {refs} SET holder = :giver WHERE state = 1 AND holder = :member
        AND ref IN (SELECT value FROM json_each(:refs))""",
    "record": """
        UPDATE {refs} SET state = 2, outcome = :outcome, changed = :now
        WHERE ref = :ref AND state = 1 AND holder = :member""",
    "finish": """
        UPDATE {refs} SET state = 4, outcome = NULL, changed = :now
        WHERE ref IN (SELECT value FROM json_each(:refs)) AND state = 3 AND holder = :member""",
    "reading": "SELECT ref, outcome FROM {refs} WHERE state = 3 AND holder = :member",
    "read_over": """
        UPDATE {refs} SET holder = :member WHERE id IN (
            SELECT id FROM {refs} WHERE state = 3 AND holder = :gone LIMIT :most
        ) RETURNING ref, outcome""",
    "read": """
        UPDATE {refs} SET state = 3, holder = :member WHERE id IN (
            SELECT id FROM {refs} WHERE state = 2 ORDER BY changed LIMIT :most
        ) RETURNING ref, outcome""",
    "counts": """
        SELECT (SELECT count(*) FROM {refs} WHERE state = 0),
               (SELECT count(*) FROM {refs} WHERE state = 1),
               (SELECT count(*) FROM {refs} WHERE state = 2),
               (SELECT count(*) FROM {refs} WHERE state = 3),
               (SELECT count(*) FROM {refs} WHERE state = 4),
               (SELECT max(age) FROM (
                   SELECT :now - min(added) AS age FROM {refs} WHERE state = 0
                   UNION ALL SELECT :now - min(added) FROM {refs} WHERE state = 1))""",
    "unfinished": """
        SELECT EXISTS (SELECT 1 FROM {refs} WHERE state = 0)
            OR EXISTS (SELECT 1 FROM {refs} WHERE state = 1)
            OR EXISTS (SELECT 1 FROM {refs} WHERE state = 2)
            OR EXISTS (SELECT 1 FROM {refs} WHERE state = 3)""",
    "forget": """
        DELETE FROM {refs} WHERE id IN (
            SELECT id FROM {refs} WHERE state = 4 AND changed <= :now - :keep
            ORDER BY changed LIMIT :most
        )""",
}
