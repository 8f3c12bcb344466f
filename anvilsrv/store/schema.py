"""The tables, and how a database of an earlier version becomes one of this.

Each table has one module that alone reads and writes it: sessions/session_rows.py, sessions/prompts.py, sessions/turn_rows.py,
sessions/drafts.py, mail/box.py, store/events.py, desk/stamps.py (``reports``), sessions/changes.py and others.
"""

SCHEMA = """
CREATE TABLE sessions(
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL, alias TEXT UNIQUE, backend TEXT NOT NULL, cwd TEXT NOT NULL,
    role TEXT NOT NULL DEFAULT '', tasks TEXT NOT NULL DEFAULT '[]', parent TEXT,
    state TEXT NOT NULL, wanted TEXT NOT NULL DEFAULT 'run', error TEXT NOT NULL DEFAULT '',
    context BLOB NOT NULL DEFAULT x'', conversation TEXT, transcript TEXT,
    pane TEXT, pid INTEGER NOT NULL DEFAULT 0, tier TEXT NOT NULL DEFAULT '', policy TEXT NOT NULL DEFAULT '',
    crashes INTEGER NOT NULL DEFAULT 0, handed INTEGER NOT NULL DEFAULT 0, held TEXT NOT NULL DEFAULT '', held_until REAL,
    ask TEXT, usage TEXT NOT NULL DEFAULT '{}', created REAL NOT NULL, changed REAL NOT NULL, started REAL);
CREATE TABLE prompts(
    id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, origin TEXT NOT NULL, message TEXT, text TEXT NOT NULL,
    status TEXT NOT NULL, pasted INTEGER NOT NULL DEFAULT 0, turn INTEGER,
    response BLOB, error TEXT, created REAL NOT NULL, started REAL, ended REAL);
CREATE INDEX prompts_by_session ON prompts(session, status);
CREATE INDEX prompts_by_turn ON prompts(session, turn);
CREATE TABLE drafts(id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, file TEXT NOT NULL, last INTEGER NOT NULL DEFAULT 0);
CREATE TABLE chunks(draft INTEGER NOT NULL, offset INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX chunks_by_draft ON chunks(draft);
CREATE TABLE messages(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL,
    type TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, ts REAL NOT NULL, json TEXT NOT NULL, box TEXT NOT NULL);
CREATE INDEX messages_by_box ON messages(recipient, box);
CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, sessions TEXT NOT NULL, line TEXT NOT NULL);
CREATE TABLE reports(id TEXT PRIMARY KEY, ts REAL NOT NULL);
"""

# So that neither ``out`` nor a change of a session's row costs more the longer the session has lived: ``boxes`` has the number
# of messages in each box and their bytes as lines of an array, and is kept true by the triggers alone.
TOTALS = """
CREATE INDEX prompts_by_end ON prompts(session, ended);
CREATE TABLE boxes(
    owner TEXT NOT NULL, box TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY(owner, box)) WITHOUT ROWID;
INSERT INTO boxes SELECT recipient, box, count(*), sum(length(CAST(json AS BLOB)) + 2) FROM messages GROUP BY recipient, box;
CREATE TRIGGER message_comes AFTER INSERT ON messages BEGIN
    INSERT INTO boxes VALUES(NEW.recipient, NEW.box, 1, length(CAST(NEW.json AS BLOB)) + 2)
        ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER message_goes AFTER DELETE ON messages BEGIN
    UPDATE boxes SET messages = messages - 1, bytes = bytes - length(CAST(OLD.json AS BLOB)) - 2
        WHERE owner = OLD.recipient AND box = OLD.box;
END;
CREATE TRIGGER message_moves AFTER UPDATE OF recipient, box, json ON messages BEGIN
    UPDATE boxes SET messages = messages - 1, bytes = bytes - length(CAST(OLD.json AS BLOB)) - 2
        WHERE owner = OLD.recipient AND box = OLD.box;
    INSERT INTO boxes VALUES(NEW.recipient, NEW.box, 1, length(CAST(NEW.json AS BLOB)) + 2)
        ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;
"""

# ``reply_type`` of messages composed before there was one (``mail.message.reply_type``). Put in as text: a writer's metadata may
# hold what is not JSON to SQLite (NaN).
REPLY_TYPES = """
UPDATE messages SET json = '{"reply_type":"' || CASE WHEN type LIKE '%!_REQUEST' ESCAPE '!'
    THEN replace(type, '_REQUEST', '_RESPONSE') ELSE 'QUERY_REQUEST' END || '",' || substr(json, 2)
    WHERE json LIKE '{"%';
"""

# A prompt's status says what is known of it; a turn is a row of its own.
TURNS = """
CREATE TABLE turns(
    session TEXT NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL, opened REAL NOT NULL, ended REAL,
    PRIMARY KEY(session, number)) WITHOUT ROWID;
INSERT INTO turns SELECT session, turn, CASE status WHEN 'running' THEN 'open' ELSE 'closed' END, coalesce(started, created), ended
    FROM prompts WHERE turn IS NOT NULL GROUP BY session, turn;
UPDATE prompts SET status = 'taken' WHERE status = 'running';
UPDATE prompts SET status = 'pasted' WHERE status = 'typing';
"""

# Prompts are numbered in their session, for good; a draft has its number already. ``place`` is the order of the queue, ``paused`` the
# user's own hold of it; ``mail`` is the newest message that there was when a turn began.
NUMBERS = """
ALTER TABLE prompts ADD COLUMN n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE prompts ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE drafts ADD COLUMN n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN mail INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN numbers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
UPDATE prompts SET place = prompts.id, n = numbered.n
    FROM (SELECT id, row_number() OVER (PARTITION BY session ORDER BY id) AS n FROM prompts) AS numbered WHERE numbered.id = prompts.id;
UPDATE sessions SET numbers = (SELECT coalesce(max(n), 0) FROM prompts WHERE session = sessions.id);
CREATE UNIQUE INDEX prompts_by_number ON prompts(session, n);
DROP INDEX prompts_by_end;
"""

# Sessions that were killed: what is left of them in tmux may be ended; anything else there belongs to another store.
KILLED = "CREATE TABLE killed(id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;"

# Durations are taken on the monotonic clock: ``began`` is a time on it (s), of this boot or an earlier one; ``took`` is in s.
DURATIONS = """
ALTER TABLE sessions ADD COLUMN began REAL;
ALTER TABLE prompts ADD COLUMN began REAL;
ALTER TABLE prompts ADD COLUMN took REAL;
UPDATE prompts SET took = max(0.0, ended - started) WHERE status IN ('done', 'failed');
"""

# They are forgotten in the order in which they were killed: a clock that is set forward would forget them all at once.
KILLED_IN_ORDER = """
ALTER TABLE killed RENAME TO killed_before;
CREATE TABLE killed(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL);
INSERT INTO killed(id) SELECT id FROM killed_before ORDER BY at;
DROP TABLE killed_before;
"""

# A queue is held by a set of holders, each with its reason (sessions/gate.py). What held it before is one of them.
GATE = """
ALTER TABLE sessions ADD COLUMN gate TEXT NOT NULL DEFAULT '{}';
UPDATE sessions SET held = substr(held, 1, instr(held, '; goes on at ') - 1) WHERE instr(held, '; goes on at ') > 0;
UPDATE sessions SET gate = json_set(gate, '$.limit', json_array(held, held_until)) WHERE held_until IS NOT NULL;
UPDATE sessions SET gate = json_set(gate, '$.failed', json_array(held, NULL)) WHERE held_until IS NULL AND held != '';
UPDATE sessions SET gate = json_set(gate, '$.user', json_array('', NULL)) WHERE paused;
ALTER TABLE sessions DROP COLUMN held;
ALTER TABLE sessions DROP COLUMN held_until;
ALTER TABLE sessions DROP COLUMN paused;
"""

# What is known of a prompt on its way: when it was pasted and its Enter pressed (monotonic, s), how often each, how often it was
# chosen, what was pasted where that is not its text, how long the transcript was then, and the reply that carried it instead. A turn
# has the agent's own name for it and its times (monotonic); ``ends`` are reports of a turn whose submit was not heard yet; ``told`` is
# when an interrupt was told last.
TABLES = """
ALTER TABLE prompts ADD COLUMN pasted_at REAL;
ALTER TABLE prompts ADD COLUMN sent_at REAL;
ALTER TABLE prompts ADD COLUMN pastes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE prompts ADD COLUMN presses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE prompts ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE prompts ADD COLUMN typed TEXT;
ALTER TABLE prompts ADD COLUMN mark TEXT;
ALTER TABLE prompts ADD COLUMN link TEXT;
UPDATE prompts SET pastes = 1, pasted_at = 0 WHERE status IN ('pasted', 'sent') OR (status = 'queued' AND pasted);
UPDATE prompts SET presses = 1, sent_at = 0 WHERE status = 'sent';
ALTER TABLE prompts DROP COLUMN pasted;
ALTER TABLE turns ADD COLUMN ident TEXT;
ALTER TABLE turns ADD COLUMN opened_at REAL NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN ended_at REAL;
ALTER TABLE turns ADD COLUMN active_at REAL NOT NULL DEFAULT 0;
UPDATE turns SET ended_at = 0 WHERE status = 'closed';
CREATE INDEX turns_by_ident ON turns(session, ident);
CREATE TABLE ends(
    session TEXT NOT NULL, ident TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, pending INTEGER NOT NULL);
CREATE INDEX ends_by_session ON ends(session, ident);
ALTER TABLE sessions ADD COLUMN told REAL;
"""

# The work in the background that a turn began (sessions/tasks.py), and of which a report tells that is kept.
TASKS = """
ALTER TABLE turns ADD COLUMN tasks TEXT;
ALTER TABLE ends ADD COLUMN tasks TEXT;
CREATE INDEX turns_with_tasks ON turns(session, number) WHERE tasks IS NOT NULL;
"""

# ``since`` is the last turn before the conversation that the agent keeps, ``carried`` the last turn whose log goes before its first
# prompt; 0: none.
CARRIED = """
ALTER TABLE sessions ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN carried INTEGER NOT NULL DEFAULT 0;
"""

# What the daemon remarks in a conversation, and how many of its blocks stand before that.
REMARKS = """
CREATE TABLE remarks(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, block INTEGER NOT NULL, at REAL NOT NULL, text TEXT NOT NULL);
CREATE INDEX remarks_by_session ON remarks(session, seq);
"""

# What one session has waiting, or in the store at all, is looked up and not summed: ``sent`` has the messages of each sender by the
# box in which they are, ``asked`` the queued prompts of each origin, ``answers`` the bytes of the answers of each session.
SHARES = """
CREATE TABLE sent(
    sender TEXT NOT NULL, box TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY(sender, box)) WITHOUT ROWID;
INSERT INTO sent SELECT sender, box, count(*), sum(length(CAST(json AS BLOB))) FROM messages GROUP BY sender, box;
CREATE TRIGGER sent_comes AFTER INSERT ON messages BEGIN
    INSERT INTO sent VALUES(NEW.sender, NEW.box, 1, length(CAST(NEW.json AS BLOB)))
        ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER sent_goes AFTER DELETE ON messages BEGIN
    UPDATE sent SET messages = messages - 1, bytes = bytes - length(CAST(OLD.json AS BLOB)) WHERE sender = OLD.sender AND box = OLD.box;
END;
CREATE TRIGGER sent_moves AFTER UPDATE OF sender, box, json ON messages BEGIN
    UPDATE sent SET messages = messages - 1, bytes = bytes - length(CAST(OLD.json AS BLOB)) WHERE sender = OLD.sender AND box = OLD.box;
    INSERT INTO sent VALUES(NEW.sender, NEW.box, 1, length(CAST(NEW.json AS BLOB)))
        ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;
CREATE TABLE asked(origin TEXT PRIMARY KEY, prompts INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO asked SELECT origin, count(*), sum(length(CAST(text AS BLOB))) FROM prompts WHERE status = 'queued' GROUP BY origin;
CREATE TRIGGER asked_comes AFTER INSERT ON prompts WHEN NEW.status = 'queued' BEGIN
    INSERT INTO asked VALUES(NEW.origin, 1, length(CAST(NEW.text AS BLOB)))
        ON CONFLICT DO UPDATE SET prompts = prompts + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER asked_goes AFTER DELETE ON prompts WHEN OLD.status = 'queued' BEGIN
    UPDATE asked SET prompts = prompts - 1, bytes = bytes - length(CAST(OLD.text AS BLOB)) WHERE origin = OLD.origin;
END;
CREATE TRIGGER asked_leaves AFTER UPDATE OF status, text ON prompts WHEN OLD.status = 'queued' BEGIN
    UPDATE asked SET prompts = prompts - 1, bytes = bytes - length(CAST(OLD.text AS BLOB)) WHERE origin = OLD.origin;
END;
CREATE TRIGGER asked_returns AFTER UPDATE OF status, text ON prompts WHEN NEW.status = 'queued' BEGIN
    INSERT INTO asked VALUES(NEW.origin, 1, length(CAST(NEW.text AS BLOB)))
        ON CONFLICT DO UPDATE SET prompts = prompts + 1, bytes = bytes + excluded.bytes;
END;
CREATE TABLE answers(session TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO answers SELECT session, sum(length(response)) FROM prompts WHERE response IS NOT NULL GROUP BY session;
CREATE TRIGGER answer_comes AFTER UPDATE OF response ON prompts BEGIN
    INSERT INTO answers VALUES(NEW.session, coalesce(length(NEW.response), 0) - coalesce(length(OLD.response), 0))
        ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER answer_goes AFTER DELETE ON prompts WHEN OLD.response IS NOT NULL BEGIN
    UPDATE answers SET bytes = bytes - length(OLD.response) WHERE session = OLD.session;
END;
"""

# What an agent says was typed to it counts with its answers.
TYPED = """
CREATE TRIGGER typed_comes AFTER INSERT ON prompts WHEN NEW.origin IN ('typed', 'agent') BEGIN
    INSERT INTO answers VALUES(NEW.session, length(CAST(NEW.text AS BLOB)))
        ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
"""

# What happens in a session, as lines of JSON (activity/schema.py); ``ident`` is the id, of an edit with its number. ``followed``
# is how far files that agents write were read. A session of before has ``*`` there: what stands in its files already is not told.
ACTIVITY = """
CREATE TABLE activity(
    session TEXT NOT NULL, seq INTEGER NOT NULL, turn INTEGER NOT NULL, kind TEXT NOT NULL, ident TEXT NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY(session, seq));
CREATE INDEX activity_by_ident ON activity(session, kind, ident, seq);
CREATE INDEX activity_by_turn ON activity(session, turn, seq);
CREATE TABLE activity_size(session TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER activity_comes AFTER INSERT ON activity BEGIN
    INSERT INTO activity_size VALUES(NEW.session, length(CAST(NEW.line AS BLOB)) + 1)
        ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER activity_goes AFTER DELETE ON activity BEGIN
    UPDATE activity_size SET bytes = bytes - length(CAST(OLD.line AS BLOB)) - 1 WHERE session = OLD.session;
END;
CREATE TABLE followed(
    session TEXT NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY(session, path)) WITHOUT ROWID;
INSERT INTO followed SELECT id, '*', 0, 0, 0 FROM sessions;
"""

# What a session is doing, and since when (epoch, s); the last prompt whose answer the user has looked at.
DOING = """
ALTER TABLE sessions ADD COLUMN doing TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN doing_since REAL;
ALTER TABLE sessions ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET seen = numbers;
"""

# What each message of a model used, by a digest of the agent's name for it, and the sum (sessions/usage.py). ``usage`` of a session
# is as it was until the sum is more: what was counted before is read again.
USAGE = """
CREATE TABLE usage(
    session TEXT NOT NULL, message BLOB NOT NULL, figures TEXT NOT NULL, PRIMARY KEY(session, message)) WITHOUT ROWID;
"""

# What turns changed (sessions/changes.py): ``segments`` are pairs of checkpoints, ``diff`` is compressed. ``checkpoints`` has those
# of a session when it began and now.
CHANGES = """
CREATE TABLE changes(
    session TEXT NOT NULL, turn INTEGER NOT NULL, ended REAL NOT NULL, segments TEXT NOT NULL, plus INTEGER NOT NULL,
    minus INTEGER NOT NULL, files TEXT NOT NULL, note TEXT NOT NULL, diff BLOB NOT NULL, PRIMARY KEY(session, turn));
CREATE TABLE checkpoints(
    session TEXT PRIMARY KEY, began TEXT NOT NULL, last TEXT NOT NULL, base TEXT NOT NULL) WITHOUT ROWID;
"""

# Comments on lines of files (sessions/comments.py); ``quoted`` is what stood there.
COMMENTS = """
CREATE TABLE comments(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, n INTEGER NOT NULL, path TEXT NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, words TEXT NOT NULL, quoted TEXT NOT NULL);
CREATE INDEX comments_by_session ON comments(session, seq);
"""

# What was chosen of an agent (name -> value), and what it told last that can be: its options and its own commands.
OPTIONS = """
ALTER TABLE sessions ADD COLUMN chosen TEXT NOT NULL DEFAULT '{}';
CREATE TABLE offers(session TEXT PRIMARY KEY, options TEXT NOT NULL, commands TEXT NOT NULL) WITHOUT ROWID;
"""

# The limits that the user set for a session, as they were written, and when its run began (monotonic, s): a crash does not end one.
LIMITS = """
ALTER TABLE sessions ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sessions ADD COLUMN ran REAL;
UPDATE sessions SET ran = began WHERE pid;
"""

# What was called so types into Kiro's own terminal, and is called kiro-tui now.
KIRO = """
UPDATE sessions SET backend = 'kiro-tui' WHERE backend = 'kiro-cli';
UPDATE sessions SET backend = 'kiro-cli' WHERE backend = 'kiro-acp';
"""

# What is run, as a JSON list of words, for the backend that takes any command.
COMMAND = """
ALTER TABLE sessions ADD COLUMN command TEXT NOT NULL DEFAULT '[]';
"""

# Sessions on a branch of their own (sessions/worktrees.py), which ``branch`` names.
WORKTREES = """
ALTER TABLE sessions ADD COLUMN branch TEXT NOT NULL DEFAULT '';
CREATE TABLE worktrees(
    session TEXT PRIMARY KEY, top TEXT NOT NULL, directory TEXT NOT NULL, common TEXT NOT NULL, path TEXT NOT NULL,
    branch TEXT NOT NULL, base TEXT NOT NULL, made INTEGER NOT NULL, merged TEXT NOT NULL);
"""

# The session in whose sandbox a shell works, beside its agent; the conversation with which a fork began; and the tasks that sessions
# claimed when they were made (sessions/claims.py): a row goes when the claim does, which may be after its session.
BESIDE = """
ALTER TABLE sessions ADD COLUMN beside TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN forked TEXT;
CREATE TABLE claims(session TEXT PRIMARY KEY, bead TEXT NOT NULL) WITHOUT ROWID;
"""

# What was told and is not a record any more, or is one under another id: it is not told again (activity/rows.py).
TOLD = """
CREATE TABLE told(
    session TEXT NOT NULL, kind TEXT NOT NULL, ident TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(session, kind, ident))
    WITHOUT ROWID;
CREATE INDEX told_by_seq ON told(session, seq);
"""

# When the agent woke itself in a turn that is open, and whether what the open turn says are that turn's words too.
WOKEN = """
ALTER TABLE turns ADD COLUMN woken_at REAL;
ALTER TABLE turns ADD COLUMN shares INTEGER NOT NULL DEFAULT 0;
"""

# Whether the program that was to give the prompt to the agent has not said yet that it did.
GIVING = "ALTER TABLE prompts ADD COLUMN giving INTEGER NOT NULL DEFAULT 0;"

# What an agent tells of itself, as JSON: its model, its mode, how much of its context is left.
ITSELF = "ALTER TABLE sessions ADD COLUMN itself TEXT NOT NULL DEFAULT '{}';"

# Each entry brings a database from version n to n + 1 (``PRAGMA user_version``); the first makes an empty one.
MIGRATIONS: tuple[str, ...] = (
    SCHEMA,
    TOTALS,
    REPLY_TYPES,
    TURNS,
    NUMBERS,
    KILLED,
    DURATIONS,
    KILLED_IN_ORDER,
    GATE,
    TABLES,
    TASKS,
    CARRIED,
    REMARKS,
    SHARES,
    TYPED,
    ACTIVITY,
    DOING,
    USAGE,
    CHANGES,
    COMMENTS,
    OPTIONS,
    LIMITS,
    KIRO,
    COMMAND,
    WORKTREES,
    BESIDE,
    TOLD,
    WOKEN,
    GIVING,
    ITSELF,
)
