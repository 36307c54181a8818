-- name: make
-- Without a copy of the texts. The project is a word like any other.
CREATE VIRTUAL TABLE words USING fts5(project, text, content = '', columnsize = 0);

-- name: make_secure
-- What is taken out is overwritten at once, not marked.
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);

-- name: make_here
-- The rows that are in the index: one that is not must never be taken out.
CREATE TABLE here (number INTEGER PRIMARY KEY);

-- name: make_state
-- How far it is filled, with the key of the turn in that row; and whether something is about to be taken out.
CREATE TABLE state (place INTEGER NOT NULL, key BLOB, marked INTEGER NOT NULL);

-- name: make_waits
-- Rows before that place that must be looked at again: their turns had not ended.
CREATE TABLE waits (number INTEGER PRIMARY KEY);

-- name: make_first
INSERT INTO state (place, key, marked) VALUES (0, NULL, 0);

-- name: mark
UPDATE state SET marked = 1;

-- name: unmark
UPDATE state SET marked = 0;

-- name: marked
SELECT marked FROM state;

-- name: state
SELECT place, key FROM state;

-- name: move
UPDATE state SET place = :place, key = :key;

-- name: waiting
SELECT number FROM waits;

-- name: wait
INSERT INTO waits (number) VALUES (:number) ON CONFLICT DO NOTHING;

-- name: wait_no_more
DELETE FROM waits WHERE number = :number;

-- name: is_here
SELECT EXISTS (SELECT 1 FROM here WHERE number = :number);

-- name: put_here
INSERT INTO here (number) VALUES (:number);

-- name: drop_here
DELETE FROM here WHERE number = :number;

-- name: add
INSERT INTO words (rowid, project, text) VALUES (:number, :project, :text);

-- name: take_out
INSERT INTO words (words, rowid, project, text) VALUES ('delete', :number, :project, :text);

-- name: find
SELECT rowid FROM words WHERE words MATCH :match AND rowid {beyond} :after ORDER BY rowid {direction} LIMIT :limit;

-- name: new
-- In the database: the turns behind a row.
SELECT number, id, project, status, deleted, door, input, output FROM turns
WHERE number > :place ORDER BY number LIMIT :limit;

-- name: row
SELECT id, project, status, deleted, door, input, output FROM turns WHERE number = :number;

-- name: key
SELECT id, deleted FROM turns WHERE number = :number;

-- name: watch_erased
CREATE TEMP TRIGGER words_erased BEFORE UPDATE OF deleted ON main.turns WHEN new.deleted AND NOT old.deleted
BEGIN
SELECT catena_forget(old.number, old.id, old.project, old.input, old.output, old.door);
END;

-- name: watch_dropped
CREATE TEMP TRIGGER words_dropped BEFORE DELETE ON main.turns WHEN NOT old.deleted
BEGIN
SELECT catena_forget(old.number, old.id, old.project, old.input, old.output, old.door);
END;
