-- What limits are counted with: see catena/store/counters.py. After a crash of the database all buckets are full and all
-- places free, so nothing of this is written to its log.
CREATE UNLOGGED TABLE buckets (
  name bytea NOT NULL,
  level double precision NOT NULL,
  size bigint NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (name)
);

-- Who holds a place, and until when in unix seconds; in one row, so that who looks for a free one waits for who takes one.
CREATE UNLOGGED TABLE places (
  name bytea NOT NULL,
  held jsonb NOT NULL,
  PRIMARY KEY (name)
);
