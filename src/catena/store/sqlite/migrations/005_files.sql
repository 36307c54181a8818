-- Files that clients upload. Their ids sort by time, and files of the same contents share a blob.
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
