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
