-- What a database has beyond schema.sql if its trees are in partitions by the day on which they began: see periods.py.

-- How it was made, in one row: how many days a partition has, and over how many it is spread in turn.
CREATE TABLE partitioning (
  days smallint NOT NULL,
  shards smallint NOT NULL
);

-- The trees that were written to while what stays of their partition is copied (see retiring.py).
CREATE TABLE touched_trees (
  period text NOT NULL,
  tree bytea NOT NULL
);

CREATE FUNCTION note_touched_tree() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO touched_trees (period, tree) VALUES (TG_ARGV[0], OLD.tree);
  ELSE
    INSERT INTO touched_trees (period, tree) VALUES (TG_ARGV[0], NEW.tree);
  END IF;
  RETURN NULL;
END
$$;
