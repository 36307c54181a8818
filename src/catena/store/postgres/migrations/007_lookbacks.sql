-- How far the turns were gone through that were stored while nobody took their words, in the order of projects and
-- numbers. One row for each version of the rules by which words are taken.
CREATE TABLE lookbacks (
  version integer NOT NULL,
  project text COLLATE "C" NOT NULL DEFAULT '',
  number bigint NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false,
  PRIMARY KEY (version)
);
