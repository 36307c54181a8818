-- Everything of a tree is found by its key, which comes first in the keys of these tables: so they can be spread over
-- partitions, or over servers, by that alone. Tree and id are the 25 bytes of a turn's id (see store/rows.py). What
-- clients write is bytes here: a text of PostgreSQL cannot have every character that a JSON string can.

-- Numbers grow as turns are stored: parents have smaller ones than their children.
CREATE SEQUENCE turn_numbers AS bigint;

-- A turn points at its parent by the rest of its id. A run, while it goes on, has an owner until its lease is over by the
-- clock of the database, and `request` is what is needed to begin it again. `payloads` says where the large payloads of a
-- turn belong; `labels` are what lists look for: the pairs of its metadata, and its conversation.
CREATE TABLE turns (
  tree bytea NOT NULL,
  id bytea NOT NULL,
  parent bytea,
  number bigint NOT NULL DEFAULT nextval('turn_numbers'),
  created_at bigint NOT NULL,
  door smallint NOT NULL,
  status smallint NOT NULL,
  under_way boolean NOT NULL GENERATED ALWAYS AS (status < 2) STORED,
  listed boolean NOT NULL,
  deleted boolean NOT NULL DEFAULT false,
  fence integer NOT NULL DEFAULT 0,
  tries integer NOT NULL DEFAULT 0,
  lease_until timestamptz,
  owner text,
  project text COLLATE "C" NOT NULL,
  model bytea NOT NULL,
  labels bytea[],
  payloads bytea,
  fields bytea,
  input bytea,
  output bytea,
  cuts bytea,
  request bytea,
  PRIMARY KEY (tree, id)
);

-- What is looked for across trees has indexes of its own. Each has a condition that no statement about one turn has: a
-- planner that knows nothing of the tables yet would use them there, and go through all that they have.
CREATE INDEX turns_running ON turns (number) WHERE under_way;
CREATE INDEX turns_of_project ON turns (project, number) WHERE door < 2 AND NOT deleted;
CREATE INDEX turns_listed ON turns (project, created_at, number) WHERE listed;

-- Large payloads, once for each tree and content.
CREATE TABLE payloads (
  tree bytea NOT NULL,
  hash bytea NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (tree, hash)
);

CREATE TABLE payload_uses (
  tree bytea NOT NULL,
  turn bytea NOT NULL,
  hash bytea NOT NULL,
  in_items boolean NOT NULL,
  PRIMARY KEY (tree, turn, hash)
);

CREATE INDEX payload_uses_by_hash ON payload_uses (tree, hash);

-- Items whose id does not tell their turn: clients chose it, or brought it along from another turn.
CREATE TABLE foreign_items (
  tree bytea NOT NULL,
  turn bytea NOT NULL,
  id bytea NOT NULL,
  project text COLLATE "C" NOT NULL,
  PRIMARY KEY (tree, turn, id)
);

CREATE INDEX foreign_items_by_id ON foreign_items (project, id);

-- What engines sent for runs under way.
CREATE TABLE logs (
  tree bytea NOT NULL,
  turn bytea NOT NULL,
  batch integer NOT NULL,
  chunks bytea NOT NULL,
  PRIMARY KEY (tree, turn, batch)
);

-- Names for the ends of chains. `holder` is the run that is about to move this one.
CREATE TABLE conversations (
  tree bytea NOT NULL,
  id bytea NOT NULL,
  number bigint NOT NULL DEFAULT nextval('turn_numbers'),
  created_at bigint NOT NULL,
  project text COLLATE "C" NOT NULL,
  metadata bytea NOT NULL,
  labels bytea[] NOT NULL,
  tip bytea NOT NULL,
  holder bytea,
  PRIMARY KEY (tree, id)
);

CREATE INDEX conversations_of_project ON conversations (project, number) WHERE number > 0;
