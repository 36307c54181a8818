-- The tables as all migrations in their order make them: to be read, never to be run. A test holds it to them.

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
CREATE INDEX turns_deleted ON turns (created_at) WHERE deleted;

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

-- Where a project hears of the ends of its background responses. `document` is the endpoint as JSON.
CREATE TABLE endpoints (
  project text NOT NULL,
  id text NOT NULL,
  number bigint NOT NULL DEFAULT nextval('turn_numbers'),
  event_types text[] NOT NULL,
  document bytea NOT NULL,
  PRIMARY KEY (project, id)
);

-- The outbox: what endpoints have yet to hear, in the order in which it is due. `due` is the time of the next try or,
-- while one is under way, the end of its lease: so it is the fence as well.
CREATE TABLE deliveries (
  due double precision NOT NULL,
  project text NOT NULL,
  endpoint text NOT NULL,
  subject text NOT NULL,
  event_type text NOT NULL,
  created_at bigint NOT NULL,
  tries integer NOT NULL DEFAULT 0,
  PRIMARY KEY (due, endpoint, subject)
);

-- Which turn a client's key began. By day, so that what is over stands in front and goes without a search.
CREATE TABLE request_keys (
  day bigint NOT NULL,
  project text NOT NULL,
  name bytea NOT NULL,
  body bytea NOT NULL,
  turn text NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (day, project, name)
);

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

-- What servers ask of the one that has a run: to cancel it, or to let it go on, as somebody follows it elsewhere.
CREATE TABLE signals (
  tree bytea NOT NULL,
  turn bytea NOT NULL,
  cancel boolean NOT NULL DEFAULT false,
  attended_until timestamptz,
  PRIMARY KEY (tree, turn)
);

-- How often contents were removed from a tree, so that who remembers it knows.
CREATE TABLE removals (
  tree bytea NOT NULL,
  number integer NOT NULL,
  PRIMARY KEY (tree)
);

-- A key of a request that a server is about to begin a run for, or has begun one for, so that no other does.
CREATE TABLE key_holds (
  project text COLLATE "C" NOT NULL,
  name bytea NOT NULL,
  owner text NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (project, name)
);

-- What limits are counted with.
CREATE UNLOGGED TABLE buckets (
  name bytea NOT NULL,
  level double precision NOT NULL,
  size bigint NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (name)
);

CREATE UNLOGGED TABLE places (
  name bytea NOT NULL,
  held jsonb NOT NULL,
  PRIMARY KEY (name)
);

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

-- How far the turns were gone through that were stored while nobody took their words, in the order of projects and
-- numbers. One row for each version of the rules by which words are taken.
CREATE TABLE lookbacks (
  version integer NOT NULL,
  project text COLLATE "C" NOT NULL DEFAULT '',
  number bigint NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false,
  PRIMARY KEY (version)
);
