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
