-- Conversations: names for the ends of chains. Their numbers are never used again, as running turns tell theirs.
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

-- The conversation that a run holds. That it is held is told by the running turn alone: nothing else could be left over.
ALTER TABLE turns ADD COLUMN conversation INTEGER;
CREATE INDEX turns_holding ON turns (conversation) WHERE status < 2 AND conversation IS NOT NULL;
