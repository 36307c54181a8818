-- name: begin
-- A turn whose run begins or waits, with what belongs to it; also one that is put into a conversation and is no run.
-- That its conversation is free is looked at and changed in one step.
WITH above AS MATERIALIZED (
  SELECT 1 FROM turns WHERE tree = :tree AND id = :parent AND project = :project FOR KEY SHARE
), held AS (
  UPDATE conversations SET holder = CASE WHEN :status < 2 THEN :id END, tip = CASE WHEN :status < 2 THEN tip ELSE :id END
  WHERE tree = :tree AND id = :conversation AND project = :project AND tip = :parent AND holder IS NULL
    AND NOT EXISTS (SELECT 1 FROM turns WHERE tree = :tree AND id = :id)
  RETURNING 1
), kept AS (
  INSERT INTO turns (tree, id, parent, created_at, door, status, listed, fence, lease_until, owner, project, model, labels,
    payloads, fields, input, output, cuts, request)
  SELECT :tree, :id, :parent, :created_at, :door, :status, :listed, :fence,
    now() + :lease * interval '1 second', :owner, :project, :model, :labels,
    :payloads, :fields, :input, :output, :cuts, :request
  WHERE (:parent IS NULL OR EXISTS (SELECT 1 FROM above))
    AND (:conversation IS NULL OR EXISTS (SELECT 1 FROM held))
  ON CONFLICT DO NOTHING RETURNING id
), {belongings}
SELECT EXISTS (SELECT 1 FROM kept) AS kept, :parent IS NULL OR EXISTS (SELECT 1 FROM above) AS above;

-- name: finish
-- A turn in its final state, over what was begun unless that was deleted, has ended or goes on under another fence.
WITH above AS MATERIALIZED (
  SELECT 1 FROM turns WHERE tree = :tree AND id = :parent AND project = :project FOR KEY SHARE
), kept AS (
  INSERT INTO turns AS t (tree, id, parent, created_at, door, status, listed, fence, project, model, labels, payloads,
    fields, input, output, cuts)
  SELECT :tree, :id, :parent, :created_at, :door, :status, :listed, :fence, :project, :model, :labels, :payloads,
    :fields, :input, :output, :cuts
  WHERE :parent IS NULL OR EXISTS (SELECT 1 FROM above)
  ON CONFLICT (tree, id) DO UPDATE SET status = excluded.status, listed = excluded.listed, labels = excluded.labels,
    payloads = excluded.payloads, fields = excluded.fields, input = excluded.input, output = excluded.output,
    cuts = excluded.cuts, owner = NULL, lease_until = NULL, request = NULL
  WHERE t.project = excluded.project AND t.status < 2 AND NOT t.deleted AND t.fence = excluded.fence
  RETURNING id
), advanced AS (
  UPDATE conversations SET holder = NULL, tip = CASE WHEN :status IN (2, 3) THEN :id ELSE tip END
  WHERE tree = :tree AND holder = :id AND EXISTS (SELECT 1 FROM kept)
), unlogged AS (
  DELETE FROM logs WHERE tree = :tree AND turn = :id AND EXISTS (SELECT 1 FROM kept)
), unsignalled AS (
  DELETE FROM signals WHERE tree = :tree AND turn = :id AND EXISTS (SELECT 1 FROM kept)
), told AS (
  INSERT INTO deliveries (due, project, endpoint, subject, event_type, created_at)
  SELECT :notify_at, :project, e.id, :subject, :event_type, floor(:notify_at) FROM kept, endpoints e
  WHERE :notify_at IS NOT NULL AND e.project = :project AND :event_type = ANY (e.event_types)
  ON CONFLICT DO NOTHING
), {belongings}
SELECT EXISTS (SELECT 1 FROM kept) AS kept, :parent IS NULL OR EXISTS (SELECT 1 FROM above) AS above;

-- name: belongings
-- What a turn has outside its row, as a part of the statement that keeps it. A payload that is there is written over, to
-- hold it against who is just removing its last use.
paid AS (
  INSERT INTO payloads (tree, hash, content)
  SELECT :tree, c.hash, c.content FROM kept, unnest(:hashes, :contents) AS c (hash, content)
  ORDER BY c.hash
  ON CONFLICT (tree, hash) DO UPDATE SET hash = excluded.hash
), used AS (
  INSERT INTO payload_uses AS u (tree, turn, hash, in_items)
  SELECT :tree, :id, c.hash, c.in_items FROM kept, unnest(:hashes, :in_items) AS c (hash, in_items)
  ON CONFLICT (tree, turn, hash) DO UPDATE SET in_items = true WHERE excluded.in_items AND NOT u.in_items
), named AS (
  INSERT INTO foreign_items (tree, turn, id, project)
  SELECT :tree, :id, c.id, :project FROM kept, unnest(:foreign_ids) AS c (id) ON CONFLICT DO NOTHING
), keyed AS (
  INSERT INTO request_keys (day, project, name, body, turn, created_at)
  SELECT :created_at / 86400, :project, :key_name, :key_body, :subject, :created_at FROM kept
  WHERE :key_name IS NOT NULL
  ON CONFLICT (day, project, name) DO UPDATE
  SET body = excluded.body, turn = excluded.turn, created_at = excluded.created_at
), swept AS (
  DELETE FROM request_keys r USING kept, (
    SELECT day, project, name FROM request_keys WHERE :key_name IS NOT NULL AND day < :created_at / 86400 - 1
    ORDER BY day, project, name LIMIT 2 FOR UPDATE SKIP LOCKED
  ) old WHERE r.day = old.day AND r.project = old.project AND r.name = old.name
), unworded AS (
  INSERT INTO unworded (tree, turn) SELECT :tree, :id FROM kept WHERE :searched ON CONFLICT DO NOTHING
);

-- name: columns
-- What turns are read by. Parts of statements.
t.tree, t.id, t.parent, t.door, t.status, t.model, t.created_at, t.listed, t.deleted;

-- name: pieces
-- The payloads of a turn, each behind its hash.
CASE WHEN t.payloads IS NOT NULL THEN ARRAY(
  SELECT p.hash || p.content FROM payload_uses u
  CROSS JOIN LATERAL (SELECT * FROM payloads q WHERE q.tree = t.tree AND q.hash = u.hash LIMIT 1) p
  WHERE u.tree = t.tree AND u.turn = t.id
) END AS pieces;

-- name: pieces_of_tree
-- The same in a statement about one tree. As they name it, the planner knows that no other partition has them.
CASE WHEN t.payloads IS NOT NULL THEN ARRAY(
  SELECT p.hash || p.content FROM payload_uses u
  CROSS JOIN LATERAL (SELECT * FROM payloads q WHERE q.tree = :tree AND q.hash = u.hash LIMIT 1) p
  WHERE u.tree = :tree AND u.turn = t.id
) END AS pieces;

-- name: state
-- What a turn is, whosever it may be.
SELECT project, status, deleted, fence, payloads, listed FROM turns WHERE tree = :tree AND id = :id;

-- name: lock
-- The same, to be changed next.
SELECT status, deleted, payloads, listed FROM turns WHERE tree = :tree AND id = :id AND project = :project FOR UPDATE;

-- name: position
-- Where a turn stands in lists, also when it was deleted.
SELECT created_at, number FROM turns WHERE tree = :tree AND id = :id AND project = :project;

-- name: load
SELECT {columns}, t.input, t.output, t.fields, t.cuts, t.payloads, t.number, {pieces_of_tree}
FROM turns t WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND NOT t.deleted;

-- name: load_chain
-- From the turn to its root along its parents, or :most turns. Contents that are large travel as references until the
-- end. The inner limit says what the planner cannot know of a table that is new to it: a parent is one row, and found by
-- its key.
WITH RECURSIVE chain AS (
  SELECT {columns}, t.input, t.output, t.fields, t.payloads, t.number
  FROM turns t WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND NOT t.deleted
  UNION ALL
  SELECT {columns}, t.input, t.output, t.fields, t.payloads, t.number
  FROM chain CROSS JOIN LATERAL (SELECT * FROM turns u WHERE u.tree = :tree AND u.id = chain.parent LIMIT 1) t
)
SELECT {columns}, t.input, t.output, CASE t.door WHEN 2 THEN t.fields END AS fields, NULL::bytea AS cuts, t.payloads,
  t.number, {item_pieces}
FROM chain t LIMIT :most;

-- name: conversation_chain
-- The same from the tip of a conversation.
WITH RECURSIVE chain AS (
  SELECT {columns}, t.input, t.output, t.fields, t.payloads, t.number
  FROM conversations c JOIN turns t ON t.tree = :tree AND t.id = c.tip
  WHERE c.tree = :tree AND c.id = :id AND c.project = :project
  UNION ALL
  SELECT {columns}, t.input, t.output, t.fields, t.payloads, t.number
  FROM chain CROSS JOIN LATERAL (SELECT * FROM turns u WHERE u.tree = :tree AND u.id = chain.parent LIMIT 1) t
)
SELECT {columns}, t.input, t.output, CASE t.door WHEN 2 THEN t.fields END AS fields, NULL::bytea AS cuts, t.payloads,
  t.number, {item_pieces}
FROM chain t LIMIT :most;

-- name: item_pieces
-- The payloads of a turn that belong into its items, each behind its hash.
CASE WHEN t.payloads IS NOT NULL THEN ARRAY(
  SELECT p.hash || p.content FROM payload_uses u
  CROSS JOIN LATERAL (SELECT * FROM payloads q WHERE q.tree = :tree AND q.hash = u.hash LIMIT 1) p
  WHERE u.tree = :tree AND u.turn = t.id AND u.in_items
) END AS pieces;

-- name: load_tree
-- All turns of a tree without their contents.
SELECT {columns}, NULL::bytea AS input, NULL::bytea AS output, t.fields, NULL::bytea AS cuts, t.payloads, t.number,
  {pieces_of_tree}
FROM turns t WHERE t.tree = :tree AND t.project = :project;

-- name: home_of_foreign_item
-- The newest turn that holds an item under an id that was not minted for it.
SELECT {columns}, t.input, t.output, NULL::bytea AS fields, NULL::bytea AS cuts, t.payloads, t.number, {pieces}
FROM foreign_items f JOIN turns t ON t.tree = f.tree AND t.id = f.turn
WHERE f.project = :project AND f.id = :id AND NOT t.deleted
ORDER BY t.number DESC LIMIT 1;

-- name: list_listed
SELECT {columns}, t.input, t.output, t.fields, t.cuts, t.payloads, t.number, {pieces}
FROM turns t
WHERE t.project = :project AND t.listed AND NOT t.deleted
  AND (:after IS NULL OR (t.created_at, t.number) {beyond} (:created_at, :after))
  AND (:model IS NULL OR t.model = :model) AND {labelled}
ORDER BY t.created_at {direction}, t.number {direction} LIMIT :limit;

-- name: outline
-- A tree's turns and their parents, which come first.
SELECT id, parent, deleted FROM turns WHERE tree = :tree AND project = :project ORDER BY number;

-- name: erase
-- Tombstones: ids and places stay, contents go.
UPDATE turns SET deleted = true, input = NULL, output = NULL, fields = NULL, cuts = NULL, payloads = NULL, labels = NULL,
  request = NULL, owner = NULL, lease_until = NULL, listed = false, status = CASE WHEN status < 2 THEN 5 ELSE status END
WHERE tree = :tree AND id = ANY (:ids) AND NOT deleted RETURNING id, number;

-- name: erase_around
-- What tombstones have outside their rows but payloads; conversations that they held are free.
WITH unlogged AS (
  DELETE FROM logs WHERE tree = :tree AND turn = ANY (:ids)
), unsignalled AS (
  DELETE FROM signals WHERE tree = :tree AND turn = ANY (:ids)
), counted AS (
  INSERT INTO removals AS r (tree, number) VALUES (:tree, 1)
  ON CONFLICT (tree) DO UPDATE SET number = r.number + 1
), unnamed AS (
  DELETE FROM foreign_items WHERE tree = :tree AND turn = ANY (:ids)
)
UPDATE conversations SET holder = NULL WHERE tree = :tree AND holder = ANY (:ids);

-- name: lock_payloads
-- Those that turns use, held until their uses have gone: nobody begins to use one meanwhile.
SELECT hash FROM payloads WHERE tree = :tree AND hash IN (
  SELECT hash FROM payload_uses WHERE tree = :tree AND turn = ANY (:ids)
) ORDER BY hash FOR UPDATE;

-- name: unuse_payloads
DELETE FROM payload_uses WHERE tree = :tree AND turn = ANY (:ids) AND hash <> ALL (:but);

-- name: drop_unused_payloads
DELETE FROM payloads p WHERE p.tree = :tree AND p.hash = ANY (:hashes)
  AND NOT EXISTS (SELECT 1 FROM payload_uses u WHERE u.tree = :tree AND u.hash = p.hash);

-- name: set_fields
WITH kept AS (
  UPDATE turns SET fields = :fields, payloads = :payloads, labels = :labels WHERE tree = :tree AND id = :id RETURNING id
), paid AS (
  INSERT INTO payloads (tree, hash, content)
  SELECT :tree, c.hash, c.content FROM kept, unnest(:hashes, :contents) AS c (hash, content)
  ORDER BY c.hash
  ON CONFLICT (tree, hash) DO UPDATE SET hash = excluded.hash
)
INSERT INTO payload_uses AS u (tree, turn, hash, in_items)
SELECT :tree, :id, c.hash, false FROM kept, unnest(:hashes) AS c (hash)
ON CONFLICT DO NOTHING;

-- name: walk_trees
-- The next turns along the key, by their trees: those whose newest turn that was seen is older (the time stands in every
-- id), and how far it went. It is said of each tree again before it goes.
WITH next AS MATERIALIZED (
  SELECT tree, encode(substr(id, 2, 4), 'hex') COLLATE "C" AS time FROM {place}
  WHERE tree > :tree ORDER BY tree, id LIMIT :limit
)
SELECT ARRAY(SELECT tree FROM next GROUP BY tree HAVING max(time) < :before ORDER BY tree) AS old,
  (SELECT tree FROM next ORDER BY tree DESC LIMIT 1) AS reached;

-- name: threshold
-- When the turns of a project are old. A part of statements.
coalesce(
  (SELECT n.before FROM unnest(:projects, :befores) AS n (project, before) WHERE n.project = split_part(t.project, '/', 1)),
  :before
);

-- name: judged_trees
-- What trees have of each project. One that a conversation ends in is never over.
SELECT t.tree, t.project, count(*) AS turns,
  max(encode(substr(t.id, 2, 4), 'hex') COLLATE "C") < {threshold} AND NOT EXISTS (
    SELECT 1 FROM {conversations} c WHERE c.tree = t.tree AND c.project = t.project
  ) AS over
FROM {turns} t WHERE {which} GROUP BY t.tree, t.project;

-- name: these_trees
t.tree = ANY (:trees);

-- name: all_trees
true;

-- name: due_trees
SELECT count(DISTINCT tree) AS trees, coalesce(sum(turns), 0)::bigint AS turns FROM ({judged_trees}) due WHERE over;

-- name: hold_trees
-- The turns of trees that nobody else holds: nobody continues one of them before this transaction has ended.
WITH held AS MATERIALIZED (
  SELECT tree FROM turns WHERE tree = ANY (:trees) ORDER BY tree, id FOR UPDATE SKIP LOCKED
)
SELECT tree, count(*) AS turns FROM held GROUP BY tree;

-- name: drop_trees
WITH unpaid AS (
  DELETE FROM payloads WHERE tree = ANY (:trees)
), unused AS (
  DELETE FROM payload_uses WHERE tree = ANY (:trees)
), unnamed AS (
  DELETE FROM foreign_items WHERE tree = ANY (:trees)
), unlogged AS (
  DELETE FROM logs WHERE tree = ANY (:trees)
), unsignalled AS (
  DELETE FROM signals WHERE tree = ANY (:trees)
), uncounted AS (
  DELETE FROM removals WHERE tree = ANY (:trees)
), gone AS (
  DELETE FROM turns WHERE tree = ANY (:trees) RETURNING 1
)
SELECT count(*) FROM gone;

-- name: count
SELECT count(*) AS turns, count(DISTINCT tree) AS trees, (
  SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
  WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
) AS bytes FROM turns;

-- name: clock
SELECT extract(epoch FROM clock_timestamp())::float8 AS now;

-- name: waiting
-- The first condition is that of the index.
SELECT count(*) FROM turns WHERE under_way AND status = 0;

-- name: claim
-- Runs that wait, and runs whose lease is over, the oldest first; what another is just claiming is left to it. What comes
-- late claims nothing: nobody may be waiting for it any more.
WITH free AS MATERIALIZED (
  SELECT tree, id FROM turns WHERE under_way AND (lease_until IS NULL OR lease_until < now())
    AND now() < to_timestamp(:until)
  ORDER BY number LIMIT :limit FOR UPDATE SKIP LOCKED
)
{claim_free};

-- name: claim_free
-- The second half of a claim.
UPDATE turns t SET status = 1, owner = :owner, lease_until = now() + :lease * interval '1 second',
  fence = t.fence + 1, tries = t.tries + 1
FROM free WHERE t.tree = free.tree AND t.id = free.id
RETURNING {columns}, t.input, t.output, t.fields, t.cuts, t.payloads, t.number, {pieces}, t.project, t.request, t.fence,
  t.tries;

-- name: renew
-- All of them but those that are just being written, which are told as not renewed: writes come in groups that hold
-- several runs, so who waits for one must hold no other.
WITH mine AS MATERIALIZED (
  SELECT t.tree, t.id FROM unnest(:trees, :ids) AS r (tree, id) JOIN turns t ON t.tree = r.tree AND t.id = r.id
  WHERE {where} AND t.status < 2 AND t.owner = :owner
), free AS MATERIALIZED (
  SELECT t.tree, t.id FROM mine m JOIN turns t ON t.tree = m.tree AND t.id = m.id
  WHERE {where} AND t.status < 2 AND t.owner = :owner FOR NO KEY UPDATE OF t SKIP LOCKED
), renewed AS (
  UPDATE turns t SET lease_until = now() + :lease * interval '1 second' FROM free f
  WHERE t.tree = f.tree AND t.id = f.id AND {where} AND t.status < 2 AND t.owner = :owner RETURNING t.tree, t.id
)
SELECT m.tree, m.id, r.id IS NOT NULL AS renewed FROM mine m LEFT JOIN renewed r ON r.tree = m.tree AND r.id = m.id;

-- name: of_their_days
-- What tells which partitions by time have none of several trees. A part of statements, where there are some.
t.tree >= :first_tree AND t.tree <= :last_tree;

-- name: renew_one
UPDATE turns SET lease_until = now() + :lease * interval '1 second'
WHERE tree = :tree AND id = :id AND status < 2 AND owner = :owner RETURNING tree, id;

-- name: release
UPDATE turns SET status = 0, owner = NULL, lease_until = NULL, tries = tries - 1
WHERE tree = :tree AND id = :id AND project = :project AND status = 1 AND fence = :fence;

-- name: append_log
-- The run stays its writer's own while a batch is written: who claims it afterwards finds the batch, or it is refused.
-- That this is the first one is asked of a row, or the planner would forget all that stands beside what is never true.
WITH mine AS MATERIALIZED (
  SELECT :batch = 0 AS begins FROM turns
  WHERE tree = :tree AND id = :id AND project = :project AND fence = :fence AND status < 2 FOR SHARE
), anew AS (
  DELETE FROM logs USING mine WHERE mine.begins AND tree = :tree AND turn = :id AND batch > 0
), added AS (
  INSERT INTO logs (tree, turn, batch, chunks) SELECT :tree, :id, :batch, :chunks FROM mine
  ON CONFLICT (tree, turn, batch) DO UPDATE SET chunks = excluded.chunks
)
SELECT EXISTS (SELECT 1 FROM mine) AS kept;

-- name: load_log
SELECT l.batch, l.chunks FROM turns t JOIN logs l ON l.tree = t.tree AND l.turn = t.id
WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND l.tree = :tree AND l.turn = :id ORDER BY l.batch;

-- name: find_key
SELECT turn, body FROM request_keys
WHERE day IN (:since / 86400, :since / 86400 + 1) AND project = :project AND name = :name AND created_at > :since
ORDER BY day DESC LIMIT 1;

-- name: notify
INSERT INTO deliveries (due, project, endpoint, subject, event_type, created_at)
SELECT :due, :project, e.id, :subject, :event_type, floor(:due) FROM endpoints e
WHERE e.project = :project AND :event_type = ANY (e.event_types)
ON CONFLICT DO NOTHING;

-- name: claim_deliveries
WITH late AS MATERIALIZED (
  SELECT due, endpoint, subject FROM deliveries WHERE due <= :now ORDER BY due LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE deliveries d SET due = :until, tries = d.tries + 1 FROM late, endpoints e
WHERE d.due = late.due AND d.endpoint = late.endpoint AND d.subject = late.subject
  AND e.project = d.project AND e.id = d.endpoint
RETURNING late.due AS since, d.event_type, d.subject, d.created_at, d.tries, e.project, e.id, e.document;

-- name: postpone
UPDATE deliveries SET due = :next WHERE due = :due AND endpoint = :endpoint AND subject = :subject;

-- name: drop_delivery
DELETE FROM deliveries WHERE due = :due AND endpoint = :endpoint AND subject = :subject;

-- name: endpoints
SELECT project, id, document FROM endpoints WHERE project = :project ORDER BY number DESC;

-- name: add_endpoint
INSERT INTO endpoints (project, id, event_types, document) VALUES (:project, :endpoint, :event_types, :document);

-- name: endpoint
SELECT project, id, document FROM endpoints WHERE project = :project AND id = :endpoint;

-- name: change_endpoint
-- If it is still as it was read.
UPDATE endpoints SET event_types = :event_types, document = :document
WHERE project = :project AND id = :endpoint AND document = :document_before RETURNING 1;

-- name: drop_endpoint
WITH gone AS (
  DELETE FROM endpoints WHERE project = :project AND id = :endpoint RETURNING 1
), unheard AS (
  DELETE FROM deliveries WHERE project = :project AND endpoint = :endpoint AND EXISTS (SELECT 1 FROM gone)
)
SELECT EXISTS (SELECT 1 FROM gone) AS gone;

-- name: conversation
SELECT tree, id, created_at, metadata, tip, holder IS NOT NULL AS busy, number FROM conversations
WHERE tree = :tree AND id = :id AND project = :project;

-- name: add_conversation
INSERT INTO conversations (tree, id, created_at, project, metadata, labels, tip)
VALUES (:tree, :id, :created_at, :project, :metadata, :labels, :tip);

-- name: set_conversation_metadata
UPDATE conversations SET metadata = :metadata, labels = :labels
WHERE tree = :tree AND id = :id AND project = :project RETURNING 1;

-- name: drop_conversation
DELETE FROM conversations WHERE tree = :tree AND id = :id AND project = :project RETURNING 1;

-- name: outside_all_contexts
-- The turns of a tree that no response has above it: items that were put into a conversation after the last one. Should
-- another conversation have the same key for its tree, they are not of that.
WITH RECURSIVE needed AS (
  (SELECT id, parent FROM turns WHERE tree = :tree AND project = :project AND door < 2 AND NOT deleted
  UNION ALL
  SELECT t.id, t.parent FROM conversations c JOIN turns t ON t.tree = :tree AND t.id = c.tip
  WHERE c.tree = :tree AND c.project = :project)
  UNION
  SELECT t.id, t.parent FROM needed JOIN turns t ON t.tree = :tree AND t.id = needed.parent
)
SELECT id FROM turns
WHERE tree = :tree AND project = :project AND NOT deleted AND id NOT IN (SELECT id FROM needed);

-- name: list_conversations
-- Those beyond a place, in one direction or the other.
SELECT tree, id, created_at, metadata, tip, holder IS NOT NULL AS busy, number FROM conversations
WHERE project = :project AND number > 0 AND (:after IS NULL OR number {beyond} :after)
  AND (labels @> :labels OR labels @> :sealed_labels)
ORDER BY number {direction} LIMIT :limit;

-- name: itself
-- As `outline` has it.
SELECT id, parent, deleted FROM turns WHERE tree = :tree AND id = :id AND project = :project AND NOT deleted;

-- name: has_version
SELECT to_regclass('schema_version') IS NOT NULL AS known;

-- name: version
SELECT version FROM schema_version;

-- name: has_turns
SELECT to_regclass('turns') IS NOT NULL AS known;

-- name: forget_version
DELETE FROM schema_version;

-- name: set_version
INSERT INTO schema_version (version) VALUES (:version);

-- name: idle_tombstones
-- Deleted turns that nothing is below, neither a turn nor the name of a conversation; held, so that nothing begins there.
SELECT t.tree, t.id FROM turns t
WHERE t.deleted AND t.created_at < :created_before
  AND NOT EXISTS (SELECT 1 FROM turns b WHERE b.tree = t.tree AND b.parent = t.id)
  AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tree = t.tree AND c.tip = t.id)
LIMIT :limit FOR UPDATE OF t SKIP LOCKED;

-- name: count_tombstones
SELECT count(*) FROM turns t
WHERE t.deleted AND t.created_at < :created_before
  AND NOT EXISTS (SELECT 1 FROM turns b WHERE b.tree = t.tree AND b.parent = t.id)
  AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tree = t.tree AND c.tip = t.id);

-- name: drop_tombstones
-- Those of these that nothing is below still.
DELETE FROM turns t USING unnest(:trees, :ids) AS d (tree, id)
WHERE t.tree = d.tree AND t.id = d.id AND NOT EXISTS (SELECT 1 FROM turns b WHERE b.tree = d.tree AND b.parent = d.id)
RETURNING 1;

-- name: fields_of_project
-- Turns with what they tell of themselves, from behind one on.
SELECT number, tree, id, status, fields FROM turns
WHERE number > :after AND project = :project AND door < 2 AND NOT deleted ORDER BY number LIMIT :limit;

-- name: wanted
-- What turns of a list must be like. A part of statements.
t.project = :project AND t.door < 2 AND NOT t.deleted
  AND (:model IS NULL OR t.model = :model) AND (:status IS NULL OR t.status = :status)
  AND (:created_after IS NULL OR t.created_at > :created_after)
  AND (:created_before IS NULL OR t.created_at < :created_before)
  AND {labelled} {found};

-- name: labelled
-- What a list looks for, which is sealed in some turns, or in all. A part of statements.
(:labels IS NULL OR t.labels @> :labels OR t.labels @> :sealed_labels);

-- name: few
-- Turns in which words were found, up to where they are many (see finding.py).
SELECT tree, turn FROM words WHERE vector @@ :query::tsquery LIMIT 1000;

-- name: among_few
-- With words in them that were found in these. A part of `wanted`.
AND (t.tree, t.id) IN (SELECT f.tree, f.turn FROM unnest(:found_trees, :found_ids) AS f (tree, turn));

-- name: among_many
-- The same, looked at in each turn that is passed.
AND (SELECT w.vector @@ :query::tsquery FROM words w WHERE w.tree = t.tree AND w.turn = t.id);

-- name: contents
-- What was said in turns, to show where words were found.
SELECT t.tree, t.id, t.input, t.output
FROM unnest(:trees, :ids) AS s (tree, id) JOIN turns t ON t.tree = s.tree AND t.id = s.id;

-- name: walk
-- The requests that are wanted, from behind one on.
SELECT t.number, t.tree, t.id FROM turns t WHERE (:after IS NULL OR t.number {beyond} :after) AND {wanted}
ORDER BY t.number {direction} LIMIT :limit;

-- name: newest_wanted
-- Of these trees the newest turns that are wanted.
SELECT t.tree, max(t.number) AS number FROM turns t WHERE t.tree = ANY (:trees) AND {wanted} GROUP BY t.tree;

-- name: sketch
-- Turns with the ends of their contents.
SELECT t.number, t.tree, t.id, t.parent, t.door, t.status, t.model, t.created_at, t.deleted, t.fields,
  CASE WHEN substr(t.input, 1, 4) = :head THEN t.input ELSE substr(t.input, 1, :edge) END AS input_head,
  CASE WHEN length(t.input) > :edge THEN substr(t.input, length(t.input) - :edge + 1) END AS input_tail,
  CASE WHEN substr(t.output, 1, 4) = :head THEN t.output ELSE substr(t.output, 1, :edge) END AS output_head,
  CASE WHEN length(t.output) > :edge THEN substr(t.output, length(t.output) - :edge + 1) END AS output_tail
FROM unnest(:trees, :ids) AS s (tree, id) JOIN turns t ON t.tree = s.tree AND t.id = s.id;

-- name: numbered_outline
SELECT number, parent, id FROM turns WHERE tree = :tree AND project = :project ORDER BY number;

-- name: project_names
SELECT DISTINCT project FROM turns
UNION SELECT project FROM endpoints UNION SELECT project FROM conversations UNION SELECT project FROM files
ORDER BY project;

-- name: trees
SELECT t.tree, t.project FROM turns t
WHERE t.tree >= :tree AND (t.tree, t.project) > (:tree, :after_project COLLATE "C")
  AND (:project IS NULL OR t.project = :project) AND (:until_tree IS NULL OR t.tree <= :until_tree)
GROUP BY t.tree, t.project HAVING bool_or(t.created_at >= :since AND t.created_at < :before_time)
ORDER BY t.tree, t.project LIMIT :limit;

-- name: copy_turns
-- The turns of a tree that have ended, whole.
SELECT {columns}, t.input, t.output, t.fields, t.cuts, t.payloads, t.number, {pieces_of_tree}
FROM turns t WHERE t.tree = :tree AND t.project = :project AND t.status >= 2;

-- name: conversations_of_tree
SELECT tree, id, created_at, metadata, tip, false AS busy, number FROM conversations
WHERE tree = :tree AND project = :project ORDER BY number;

-- name: name_end
-- A conversation that is not there yet, whose end is.
INSERT INTO conversations (tree, id, created_at, project, metadata, labels, tip)
SELECT :tree, :id, :created_at, :project, :metadata, :labels, :tip
WHERE EXISTS (SELECT 1 FROM turns WHERE tree = :tree AND id = :tip AND project = :project)
ON CONFLICT DO NOTHING;

-- name: add_document
INSERT INTO documents (kind, project, id, created_at, body) VALUES (:kind, :project, :id, :created_at, :body)
ON CONFLICT DO NOTHING RETURNING 1;

-- name: put_document
INSERT INTO documents (kind, project, id, created_at, body) VALUES (:kind, :project, :id, :created_at, :body)
ON CONFLICT (kind, project, id) DO UPDATE SET created_at = excluded.created_at, body = excluded.body;

-- name: document
SELECT id, created_at, body FROM documents WHERE kind = :kind AND project = :project AND id = :id;

-- name: list_documents
SELECT id, created_at, body FROM documents
WHERE kind = :kind AND project = :project AND (:created_at IS NULL OR (created_at, id) {beyond} (:created_at, :id))
ORDER BY created_at {direction}, id {direction} LIMIT :limit;

-- name: set_document
-- If it is still as it was read.
UPDATE documents SET body = :body WHERE kind = :kind AND project = :project AND id = :id AND body = :body_before
RETURNING 1;

-- name: drop_document
DELETE FROM documents WHERE kind = :kind AND project = :project AND id = :id RETURNING 1;

-- name: add_file_piece
INSERT INTO file_pieces (blob, number, content) VALUES (:blob, :piece, :content)
ON CONFLICT (blob, number) DO UPDATE SET content = excluded.content;

-- name: blob_of
-- What a project has of these contents already, held against who removes it.
SELECT blob FROM files
WHERE project = :project AND substr(digest, 1, length(:digest)) = :digest AND size = :size LIMIT 1 FOR UPDATE;

-- name: add_file
INSERT INTO files (project, id, filename, purpose, created_at, expires_at, size, digest, blob)
VALUES (:project, :id, :filename, :purpose, :created_at, :expires_at, :size, :digest, :blob);

-- name: file
SELECT project, id, filename, purpose, created_at, expires_at, size, digest, blob FROM files
WHERE project = :project AND id = :id AND coalesce(expires_at > :time, true);

-- name: file_piece
SELECT content FROM file_pieces WHERE blob = :blob AND number = :piece;

-- name: list_files
SELECT project, id, filename, purpose, created_at, expires_at, size, digest, blob FROM files
WHERE project = :project AND (:id IS NULL OR id {beyond} :id) AND coalesce(purpose = :purpose, true)
  AND coalesce(expires_at > :time, true)
ORDER BY id {direction} LIMIT :limit;

-- name: expired_files
SELECT project, id FROM files WHERE expires_at <= :time LIMIT :limit;

-- name: lock_files
-- All that share the contents of one, held.
SELECT 1 FROM files WHERE project = :project AND blob IN (
  SELECT blob FROM files WHERE project = :project AND id = :id AND coalesce(expires_at > :time, true)
) ORDER BY id FOR UPDATE;

-- name: drop_file
DELETE FROM files WHERE project = :project AND id = :id RETURNING blob;

-- name: drop_unused_pieces
DELETE FROM file_pieces WHERE blob = :blob
  AND NOT EXISTS (SELECT 1 FROM files WHERE project = :project AND blob = :blob);

-- name: drop_abandoned
WITH abandoned AS (
  SELECT blob FROM file_pieces p
  WHERE number = 0 AND blob < :begun_before AND NOT EXISTS (SELECT 1 FROM files f WHERE f.blob = p.blob)
), gone AS (
  DELETE FROM file_pieces WHERE blob IN (SELECT blob FROM abandoned)
)
SELECT count(*) FROM abandoned;

-- name: drop_pieces
DELETE FROM file_pieces WHERE blob = :blob;

-- name: progress
SELECT t.status, ARRAY(
  SELECT l.chunks FROM logs l WHERE l.tree = :tree AND l.turn = :id AND l.batch >= :batch ORDER BY l.batch
) AS batches, ARRAY(
  SELECT l.batch FROM logs l WHERE l.tree = :tree AND l.turn = :id AND l.batch >= :batch ORDER BY l.batch
) AS numbers
FROM turns t WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND NOT t.deleted;

-- name: order
SELECT request FROM turns WHERE tree = :tree AND id = :id AND project = :project AND status < 2;

-- name: attend
INSERT INTO signals AS s (tree, turn, attended_until)
SELECT t.tree, t.id, now() + :seconds * interval '1 second' FROM turns t
WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND t.status < 2
ON CONFLICT (tree, turn) DO UPDATE SET attended_until = greatest(s.attended_until, excluded.attended_until);

-- name: is_attended
SELECT 1 FROM turns t JOIN signals s ON s.tree = t.tree AND s.turn = t.id
WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND s.tree = :tree AND s.attended_until > now();

-- name: ask_to_cancel
-- One that comes just as the run ends stays behind, until its tree expires: it says nothing any more.
INSERT INTO signals (tree, turn, cancel)
SELECT tree, id, true FROM turns WHERE tree = :tree AND id = :id AND project = :project AND status < 2
ON CONFLICT (tree, turn) DO UPDATE SET cancel = true;

-- name: to_cancel
SELECT t.tree, t.id FROM signals s JOIN turns t ON t.tree = s.tree AND t.id = s.turn
WHERE s.cancel AND t.owner = :owner AND t.status < 2;

-- name: claim_cancelled
WITH free AS MATERIALIZED (
  SELECT t.tree, t.id FROM signals s JOIN turns t ON t.tree = s.tree AND t.id = s.turn
  WHERE s.cancel AND t.status < 2 AND (t.lease_until IS NULL OR t.lease_until < now()) AND now() < to_timestamp(:until)
  LIMIT :limit FOR UPDATE OF t SKIP LOCKED
)
{claim_free};

-- name: waiting_among
SELECT t.tree, t.id FROM unnest(:trees, :ids) AS w (tree, id) CROSS JOIN LATERAL (
  SELECT * FROM turns t WHERE t.tree = w.tree AND t.id = w.id AND {where} LIMIT 1
) t WHERE t.status = 0;

-- name: removals
SELECT number FROM removals WHERE tree = :tree;

-- name: stored_bytes
-- Of a project and its end users, whose names begin with that and a slash.
WITH own AS (
  SELECT tree, coalesce(length(input), 0) + coalesce(length(output), 0) + coalesce(length(fields), 0)
    + coalesce(length(cuts), 0) + coalesce(length(request), 0) AS bytes
  FROM turns WHERE project = :project OR starts_with(project, :project || '/')
)
SELECT coalesce((SELECT sum(bytes) FROM own), 0)::bigint
  + coalesce((SELECT sum(length(content)) FROM payloads WHERE tree IN (SELECT tree FROM own)), 0)::bigint
  + coalesce((SELECT sum(size) FROM files WHERE project = :project OR starts_with(project, :project || '/')), 0)::bigint
  + coalesce((
    SELECT sum(length(body)) FROM documents WHERE project = :project OR starts_with(project, :project || '/')
  ), 0)::bigint AS bytes;

-- name: draw
-- From all buckets or from none. Those that are there are locked first, in one order, and read as they are then; one that
-- two make at the same moment is made by the first, and drawn from by both.
WITH asked AS (
  SELECT a.name, a.amount, a.size, a.place
  FROM unnest(:names, :amounts, :sizes) WITH ORDINALITY AS a (name, amount, size, place)
), locked AS MATERIALIZED (
  SELECT b.name, least(b.level, b.size) AS level, b.at FROM buckets b WHERE b.name = ANY (:names) ORDER BY b.name FOR UPDATE
), levels AS MATERIALIZED (
  SELECT a.*, least(a.size, coalesce(
    l.level + greatest(0, extract(epoch FROM clock_timestamp() - l.at)) * a.size / 60, a.size)) AS level
  FROM asked a LEFT JOIN locked l ON l.name = a.name
), enough AS MATERIALIZED (
  SELECT bool_and(level >= amount) AS all_have FROM levels
), drawn AS (
  INSERT INTO buckets AS b (name, level, size, at)
  SELECT name, size - amount, size, clock_timestamp() FROM levels, enough WHERE all_have ORDER BY name
  ON CONFLICT (name) DO UPDATE SET size = excluded.size, at = excluded.at, level = least(excluded.size,
    least(b.level, b.size) + greatest(0, extract(epoch FROM excluded.at - b.at)) * excluded.size / 60)
    + excluded.level - excluded.size
)
SELECT CASE WHEN all_have THEN level - amount ELSE level END AS level, level < amount AS short
FROM levels, enough ORDER BY place;

-- name: give
INSERT INTO buckets AS b (name, level, size, at)
SELECT a.name, a.size + a.amount, a.size, clock_timestamp()
FROM unnest(:names, :amounts, :sizes) AS a (name, amount, size) ORDER BY a.name
ON CONFLICT (name) DO UPDATE SET size = excluded.size, at = excluded.at, level = least(excluded.size,
  least(excluded.size, least(b.level, b.size) + greatest(0, extract(epoch FROM excluded.at - b.at)) * excluded.size / 60)
  + excluded.level - excluded.size);

-- name: hold
-- A place under all names or under none; each row says whether one was free under its name.
WITH asked AS (
  SELECT a.name, a.size, a.place FROM unnest(:names, :sizes) WITH ORDINALITY AS a (name, size, place)
), locked AS MATERIALIZED (
  SELECT p.name, p.held FROM places p WHERE p.name = ANY (:names) ORDER BY p.name FOR UPDATE
), alive AS MATERIALIZED (
  SELECT a.*, coalesce((
    SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(l.held) e
    WHERE (e.value)::float8 > extract(epoch FROM clock_timestamp())
  ), '{}') AS held
  FROM asked a LEFT JOIN locked l ON l.name = a.name
), counted AS MATERIALIZED (
  SELECT *, (SELECT count(*) FROM jsonb_object_keys(held)) < size AS has_room FROM alive
), enough AS MATERIALIZED (
  SELECT bool_and(has_room) AS all_have FROM counted
), taken AS (
  INSERT INTO places AS p (name, held)
  SELECT name, held || jsonb_build_object(:holder, extract(epoch FROM clock_timestamp()) + :lease)
  FROM counted, enough WHERE all_have ORDER BY name
  ON CONFLICT (name) DO UPDATE SET held = excluded.held
)
SELECT has_room FROM counted ORDER BY place;

-- name: renew_places
-- In one order, as everybody locks them.
WITH locked AS MATERIALIZED (
  SELECT name FROM places WHERE held ?| :holders ORDER BY name FOR UPDATE
)
UPDATE places p SET held = held || (
  SELECT jsonb_object_agg(h.holder, extract(epoch FROM clock_timestamp()) + :lease)
  FROM unnest(:holders) AS h (holder) WHERE p.held ? h.holder)
FROM locked l WHERE p.name = l.name AND p.held ?| :holders;

-- name: let_go
WITH locked AS MATERIALIZED (
  SELECT name FROM places WHERE held ? :holder ORDER BY name FOR UPDATE
)
UPDATE places p SET held = held - :holder FROM locked l WHERE p.name = l.name;

-- name: hold_key
INSERT INTO key_holds AS h (project, name, owner, until)
VALUES (:project, :name, :owner, now() + :seconds * interval '1 second')
ON CONFLICT (project, name) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE h.until < now() OR h.owner = excluded.owner RETURNING 1;

-- name: renew_keys
UPDATE key_holds SET until = now() + :seconds * interval '1 second' WHERE owner = :owner AND name = ANY (:names);

-- name: release_key
DELETE FROM key_holds WHERE project = :project AND name = :name AND owner = :owner;

-- name: lock_unworded
-- Some turns whose words nobody is taking yet; along the index, which forgets the many that were here before.
SELECT tree, turn FROM unworded ORDER BY tree, turn LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: add_words
INSERT INTO words (tree, turn, vector)
SELECT w.tree, w.turn, w.vector::tsvector FROM unnest(:trees, :ids, :vectors) AS w (tree, turn, vector)
ON CONFLICT (tree, turn) DO UPDATE SET vector = excluded.vector;

-- name: drop_unworded
DELETE FROM unworded t USING unnest(:trees, :ids) AS d (tree, turn)
WHERE t.tree = d.tree AND t.turn = d.turn AND {where};

-- name: drop_words
DELETE FROM words WHERE tree = :tree AND turn = ANY (:ids);

-- name: drop_unworded_turns
DELETE FROM unworded WHERE tree = :tree AND turn = ANY (:ids);

-- name: drop_unworded_trees
DELETE FROM unworded WHERE tree = ANY (:trees);

-- name: drop_words_of_trees
-- Those of no turn: the trees are gone.
DELETE FROM words WHERE tree = ANY (:trees);

-- name: hold_unworded
-- The same; for those that somebody is just taking it waits, until they are taken.
SELECT tree, turn FROM unworded ORDER BY tree, turn LIMIT :limit FOR UPDATE;

-- name: to_word
-- What was said in these turns, as far as it is not too much at once, but for at least one of them.
SELECT tree, turn, project, input, output FROM (
  SELECT s.tree, s.turn, s.place, t.project, t.input, t.output,
    sum(coalesce(length(t.input), 0) + coalesce(length(t.output), 0)) OVER (ORDER BY s.place) AS bytes
  FROM unnest(:trees, :ids) WITH ORDINALITY AS s (tree, turn, place)
  LEFT JOIN LATERAL (
    SELECT * FROM turns t WHERE t.tree = s.tree AND t.id = s.turn AND {where} LIMIT 1
  ) t ON true
) w WHERE bytes <= :most OR place = 1;

-- name: behind
-- Whether there are words to be taken. What a newer version has begun is its own business.
SELECT (SELECT tree FROM unworded ORDER BY tree, turn LIMIT 1) IS NOT NULL
  OR NOT EXISTS (SELECT 1 FROM lookbacks WHERE version > :version OR version = :version AND done) AS behind;

-- name: begin_lookback
-- A newer version has begun its own, and knows better.
INSERT INTO lookbacks (version) SELECT :version WHERE NOT EXISTS (SELECT 1 FROM lookbacks WHERE version >= :version)
ON CONFLICT DO NOTHING;

-- name: hold_lookback
SELECT project, number FROM lookbacks WHERE version = :version AND NOT done FOR UPDATE;

-- name: look_back
-- The next turns that have ended, held until they are noted: who deletes one comes before that, or finds the note.
SELECT tree, id, project, number FROM turns
WHERE door < 2 AND NOT deleted AND status >= 2 AND (project, number) > (:project COLLATE "C", :after)
ORDER BY project, number LIMIT :limit FOR SHARE;

-- name: note_unworded
INSERT INTO unworded (tree, turn) SELECT n.tree, n.turn FROM unnest(:trees, :ids) AS n (tree, turn)
ON CONFLICT DO NOTHING;

-- name: move_lookback
UPDATE lookbacks SET project = :project, number = :after, done = :done WHERE version = :version;

-- name: has_words
SELECT EXISTS (SELECT 1 FROM words) OR EXISTS (SELECT 1 FROM unworded) OR EXISTS (SELECT 1 FROM lookbacks) AS found;

-- name: drop_all_words
TRUNCATE words, unworded, lookbacks;

-- name: unsealed_turn
-- That a turn has anything that is not sealed with the newest key. A part of statements.
(substr(t.input, 1, 12) <> :head OR substr(t.output, 1, 12) <> :head OR substr(t.fields, 1, 12) <> :head
  OR substr(t.cuts, 1, 12) <> :head OR substr(t.request, 1, 12) <> :head);

-- name: count_unsealed
SELECT (SELECT count(*) FROM turns t WHERE {unsealed_turn})
  + (SELECT count(*) FROM payloads WHERE substr(content, 1, 12) <> :head)
  + (SELECT count(*) FROM logs WHERE substr(chunks, 1, 12) <> :head)
  + (SELECT count(*) FROM conversations WHERE substr(metadata, 1, 12) <> :head)
  + (SELECT count(*) FROM endpoints WHERE substr(document, 1, 12) <> :head)
  + (SELECT count(*) FROM request_keys WHERE substr(body, 1, 12) <> :head)
  + (SELECT count(*) FROM files WHERE substr(filename, 1, 12) <> :head)
  + (SELECT count(*) FROM file_pieces WHERE substr(content, 1, 12) <> :head);

-- name: unsealed_turns
-- Along the primary key, held until they are sealed.
SELECT {columns}, t.input, t.output, t.fields, t.cuts, t.payloads, t.number, {pieces}, t.project, t.request
FROM turns t WHERE (t.tree, t.id) > (:tree, :id) AND {unsealed_turn}
ORDER BY t.tree, t.id LIMIT :limit FOR UPDATE OF t;

-- name: reseal_turn
WITH kept AS (
  UPDATE turns SET input = :input, output = :output, fields = :fields, cuts = :cuts, payloads = :payloads,
    labels = :labels, request = :request
  WHERE tree = :tree AND id = :id RETURNING id
), paid AS (
  INSERT INTO payloads (tree, hash, content)
  SELECT :tree, c.hash, c.content FROM kept, unnest(:hashes, :contents) AS c (hash, content)
  ORDER BY c.hash
  ON CONFLICT (tree, hash) DO UPDATE SET hash = excluded.hash
)
INSERT INTO payload_uses AS u (tree, turn, hash, in_items)
SELECT :tree, :id, c.hash, c.in_items FROM kept, unnest(:hashes, :in_items) AS c (hash, in_items)
ON CONFLICT (tree, turn, hash) DO UPDATE SET in_items = true WHERE excluded.in_items AND NOT u.in_items;

-- name: unsealed_payloads
SELECT tree, hash, content FROM payloads
WHERE (tree, hash) > (:tree, :hash) AND substr(content, 1, 12) <> :head ORDER BY tree, hash LIMIT :limit FOR UPDATE;

-- name: reseal_payload
UPDATE payloads SET content = :content WHERE tree = :tree AND hash = :hash;

-- name: unsealed_logs
SELECT tree, turn AS id, batch, chunks FROM logs WHERE substr(chunks, 1, 12) <> :head LIMIT :limit FOR UPDATE;

-- name: reseal_log
UPDATE logs SET chunks = :chunks WHERE tree = :tree AND turn = :id AND batch = :batch;

-- name: unsealed_conversations
SELECT tree, id, project, metadata FROM conversations
WHERE substr(metadata, 1, 12) <> :head LIMIT :limit FOR UPDATE;

-- name: reseal_conversation
UPDATE conversations SET metadata = :metadata, labels = :labels WHERE tree = :tree AND id = :id;

-- name: unsealed_endpoints
SELECT project, id, document FROM endpoints WHERE substr(document, 1, 12) <> :head LIMIT :limit FOR UPDATE;

-- name: reseal_endpoint
UPDATE endpoints SET document = :document WHERE project = :project AND id = :endpoint;

-- name: unsealed_keys
SELECT day, project, name, body FROM request_keys WHERE substr(body, 1, 12) <> :head LIMIT :limit FOR UPDATE;

-- name: reseal_key
UPDATE request_keys SET body = :body WHERE day = :time AND project = :project AND name = :name;

-- name: unsealed_files
SELECT project, id, filename, purpose, created_at, expires_at, size, digest, blob FROM files
WHERE substr(filename, 1, 12) <> :head LIMIT :limit FOR UPDATE;

-- name: reseal_file
UPDATE files SET filename = :filename, digest = :digest WHERE project = :project AND id = :id;

-- name: unsealed_pieces
SELECT blob, number, content FROM file_pieces
WHERE (blob, number) > (:blob, :piece) AND substr(content, 1, 12) <> :head ORDER BY blob, number LIMIT :limit FOR UPDATE;

-- name: reseal_piece
UPDATE file_pieces SET content = :content WHERE blob = :blob AND number = :piece;

-- name: is_partitioned
SELECT to_regclass('partitioning') IS NOT NULL AS known;

-- name: layout
SELECT days, shards FROM partitioning;

-- name: set_layout
INSERT INTO partitioning (days, shards) VALUES (:days, :shards);

-- name: partitions
SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass(:kind) ORDER BY 1;

-- name: columns_of
-- Those that are written.
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns FROM pg_attribute
WHERE attrelid = to_regclass(:kind) AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

-- name: hold_name
-- Until the transaction has ended, unless somebody else has it.
SELECT pg_try_advisory_xact_lock(hashtextextended('catena ' || current_schema() || ' ' || :kind, 0)) AS held;

-- name: await_name
-- The same, when nobody else has it any more.
SELECT pg_advisory_xact_lock(hashtextextended('catena ' || current_schema() || ' ' || :kind, 0));

-- name: estimate
-- About how many rows a table has, by what the database noted last; less than nothing if it has noted nothing yet.
SELECT coalesce(sum(CASE WHEN c.reltuples < 0 THEN -1e18 ELSE c.reltuples END), 0)::float8 AS rows
FROM pg_partition_tree(to_regclass(:kind)) p JOIN pg_class c ON c.oid = p.relid WHERE p.isleaf;

-- name: is_there
SELECT to_regclass(:kind) IS NOT NULL AS there;

-- name: watched
-- How many of these tables note which trees are written to.
SELECT count(*) FROM unnest(:tables) AS n (name) JOIN pg_trigger g ON g.tgrelid = to_regclass(n.name)
WHERE g.tgname = 'note_touched_tree';

-- name: survivors
-- The trees of a partition that are not over, found by what keeps them: turns that are young enough, along an index of
-- their times; what is of projects with longer terms; and conversations.
SELECT t.tree FROM {turns} t WHERE substr(t.id, 2, 4) >= decode(:before, 'hex')
  AND encode(substr(t.id, 2, 4), 'hex') COLLATE "C" >= {threshold}
UNION
SELECT t.tree FROM unnest(:projects, :befores) AS n (project, before) JOIN {turns} t
  ON (t.project = n.project OR t.project > n.project || '/' AND t.project < n.project || '0')
  AND t.door < 2 AND NOT t.deleted
WHERE n.before < :before AND encode(substr(t.id, 2, 4), 'hex') COLLATE "C" >= n.before
UNION
SELECT tree FROM {conversations};

-- name: count_survivors
SELECT count(*) FROM {turns} WHERE tree IN ({survivors});

-- name: move_from_rest
WITH moved AS (DELETE FROM {rest} WHERE {holds} RETURNING {written})
INSERT INTO {new} ({written}) SELECT {written} FROM moved;

-- name: copy_kept
INSERT INTO {new} ({written}) SELECT {written} FROM {old} WHERE tree IN (SELECT tree FROM kept_trees);

-- name: forget_copied
DELETE FROM {new} WHERE tree IN (SELECT tree FROM touched_trees WHERE period = :kind);

-- name: touched_among
t.tree IN (SELECT tree FROM touched_trees WHERE period = :kind);

-- name: keep_touched
INSERT INTO kept_trees (tree) SELECT tree FROM ({judged_trees}) touched WHERE NOT over;

-- name: copy_touched
INSERT INTO {new} ({written}) SELECT {written} FROM {old} WHERE tree IN (
  SELECT tree FROM touched_trees WHERE period = :kind INTERSECT SELECT tree FROM kept_trees
);

-- name: forget_kept
DELETE FROM kept_trees;

-- name: any_turn
SELECT 1 FROM {turns} LIMIT 1;

-- name: count_turns
SELECT count(*) FROM {turns};

-- name: keep_survivors
INSERT INTO kept_trees (tree) {survivors};

-- name: forget_touched
DELETE FROM touched_trees WHERE period = :kind;
