-- The words of turns that have ended, to be searched. They are cut in postgres/words.py.
CREATE TABLE words (
  tree bytea NOT NULL,
  turn bytea NOT NULL,
  vector tsvector NOT NULL,
  PRIMARY KEY (tree, turn)
);

CREATE INDEX words_found ON words USING gin (vector);

-- The turns whose words are still to be taken: no commit waits for that.
CREATE TABLE unworded (
  tree bytea NOT NULL,
  turn bytea NOT NULL,
  PRIMARY KEY (tree, turn)
);
