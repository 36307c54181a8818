-- Where a project hears of the ends of its background responses: a JSON array of endpoints, the newest first. They are
-- few, and read and written together.
ALTER TABLE projects ADD COLUMN webhooks TEXT;

-- The outbox: what endpoints have yet to hear, in the order in which it is due. `due` is the time of the next try or,
-- while one is under way, the end of its lease: so it is the fence as well.
CREATE TABLE deliveries (
  due REAL NOT NULL,
  project INTEGER NOT NULL,
  endpoint TEXT NOT NULL,
  subject TEXT NOT NULL,
  event_type TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (due, endpoint, subject)
) WITHOUT ROWID;

-- Which turn a client's key began. By day, so that what is over stands in front and goes without a search.
CREATE TABLE request_keys (
  day INTEGER NOT NULL,
  project INTEGER NOT NULL,
  name BLOB NOT NULL,
  body BLOB NOT NULL,
  turn TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (day, project, name)
) WITHOUT ROWID;
