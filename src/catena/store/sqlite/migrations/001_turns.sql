-- Projects and their turns. A turn points at its parent by row number; its id is that of the outside, without what all
-- ids have in common: `tree` are 8 bytes, `id` the 17 of the rest (see rows.py).

CREATE TABLE projects (
  name TEXT PRIMARY KEY,
  number INTEGER NOT NULL
) WITHOUT ROWID;

-- A run, while it goes on, has an owner until its lease is over, and `request` is what is needed to begin it again.
-- `payloads` says where the large payloads of a turn belong: [column, offset, hash], … What is small comes first, so that
-- it is found without what is large.
CREATE TABLE turns (
  number INTEGER PRIMARY KEY,
  tree BLOB NOT NULL,
  id BLOB NOT NULL,
  project INTEGER NOT NULL,
  parent INTEGER,
  door INTEGER NOT NULL,
  status INTEGER NOT NULL,
  model TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  listed INTEGER NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0,
  owner TEXT,
  lease_until REAL,
  fence INTEGER NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0,
  payloads BLOB,
  fields BLOB,
  input BLOB,
  output BLOB,
  cuts BLOB,
  request BLOB
);

CREATE UNIQUE INDEX turns_by_id ON turns (tree, id);
CREATE INDEX turns_listed ON turns (project, created_at, number) WHERE listed;
CREATE INDEX turns_running ON turns (number) WHERE status < 2;

-- Large payloads, once for each tree and content.
CREATE TABLE payloads (
  tree BLOB NOT NULL,
  hash BLOB NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (tree, hash)
) WITHOUT ROWID;

CREATE TABLE payload_uses (
  tree BLOB NOT NULL,
  hash BLOB NOT NULL,
  turn INTEGER NOT NULL,
  PRIMARY KEY (tree, hash, turn)
) WITHOUT ROWID;

-- Items whose id does not tell their turn: clients chose it, or brought it along from another turn.
CREATE TABLE foreign_items (
  project INTEGER NOT NULL,
  id TEXT NOT NULL,
  turn INTEGER NOT NULL,
  PRIMARY KEY (project, id, turn)
) WITHOUT ROWID;
