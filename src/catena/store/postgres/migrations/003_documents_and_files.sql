-- Small objects under their ids: see catena/store/documents.py.
CREATE TABLE documents (
  kind text NOT NULL,
  project text NOT NULL,
  id bytea NOT NULL,
  created_at bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (kind, project, id)
);

-- Files that clients upload. Their ids sort by time, and files of the same contents share a blob.
CREATE TABLE files (
  project text NOT NULL,
  id bytea NOT NULL,
  filename bytea NOT NULL,
  purpose bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  size bigint NOT NULL,
  digest bytea NOT NULL,
  blob bytea NOT NULL,
  PRIMARY KEY (project, id)
);

CREATE TABLE file_pieces (
  blob bytea NOT NULL,
  number integer NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (blob, number)
);
