-- Small objects under their ids: see catena/store/documents.py. By the name of their project, as projects are documents
-- too, and are made before they have anything else.
CREATE TABLE documents (
  kind TEXT NOT NULL,
  project TEXT NOT NULL,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (kind, project, id)
) WITHOUT ROWID;
