-- The tables as all migrations in their order make them: to be read, never to be run. A test holds it to them.

-- Projects by their names, and where each hears of the ends of its background responses: a JSON array of endpoints.
CREATE TABLE projects (
  name TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  webhooks TEXT
) WITHOUT ROWID;

-- A turn points at its parent by row number. Tree and id are the 25 bytes of its id (see rows.py). What is small comes
-- first, so that it is found without what is large.
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
  request BLOB,
  conversation INTEGER
);

CREATE UNIQUE INDEX turns_by_id ON turns (tree, id);
CREATE INDEX turns_listed ON turns (project, created_at, number) WHERE listed;
CREATE INDEX turns_running ON turns (number) WHERE status < 2;
CREATE INDEX turns_deleted ON turns (number) WHERE deleted;
CREATE INDEX turns_holding ON turns (conversation) WHERE status < 2 AND conversation IS NOT NULL;

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

-- The outbox: what endpoints have yet to hear, in the order in which it is due.
CREATE TABLE deliveries (
  due REAL NOT NULL,
  project INTEGER NOT NULL,
  endpoint TEXT NOT NULL,
  subject TEXT NOT NULL,
  event_type TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (due, endpoint, subject)
) WITHOUT ROWID;

-- Which turn a client's key began.
CREATE TABLE request_keys (
  day INTEGER NOT NULL,
  project INTEGER NOT NULL,
  name BLOB NOT NULL,
  body BLOB NOT NULL,
  turn TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (day, project, name)
) WITHOUT ROWID;

-- Names for the ends of chains.
CREATE TABLE conversations (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  tree BLOB NOT NULL,
  id BLOB NOT NULL,
  project INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  metadata BLOB NOT NULL,
  tip INTEGER NOT NULL
);

CREATE UNIQUE INDEX conversations_by_id ON conversations (tree, id);
CREATE INDEX conversations_of_project ON conversations (project, number);

-- Small objects under their ids, by the name of their project.
CREATE TABLE documents (
  kind TEXT NOT NULL,
  project TEXT NOT NULL,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (kind, project, id)
) WITHOUT ROWID;

-- Files that clients upload: what is known of each, and the contents in pieces. Files of the same contents share a blob.
CREATE TABLE files (
  project TEXT NOT NULL,
  id TEXT NOT NULL,
  filename TEXT NOT NULL,
  purpose TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  size INTEGER NOT NULL,
  digest BLOB NOT NULL,
  blob BLOB NOT NULL,
  PRIMARY KEY (project, id)
) WITHOUT ROWID;

CREATE TABLE file_pieces (
  blob BLOB NOT NULL,
  number INTEGER NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (blob, number)
) WITHOUT ROWID;
