-- name: project_number
-- The number of a project that is known.
SELECT number FROM projects WHERE name = :name;

-- name: add_project
INSERT INTO projects (name, number) SELECT :name, count(*) + 1 FROM projects WHERE true ON CONFLICT DO NOTHING;

-- name: find
-- A turn's row number, for it to be a parent.
SELECT number FROM turns WHERE tree = :tree AND id = :id AND project = :project;

-- name: add
-- A turn whose run begins or waits for a worker, or one that is finished at once; nothing if its parent is not there.
INSERT INTO turns (tree, id, project, parent, door, status, model, created_at, listed, input, output, fields, cuts,
  payloads, owner, lease_until, request, fence)
SELECT :tree, :id, :project, p.number, :door, :status, :model, :created_at, :listed, :input, :output, :fields, :cuts,
  :payloads, :owner, :lease_until, :request, :fence
FROM (SELECT 1) LEFT JOIN turns p ON p.tree = :tree AND p.id = :parent AND p.project = :project
WHERE :parent IS NULL OR p.number IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: end
-- The final state of a turn that was begun.
UPDATE turns SET status = :status, input = :input, output = :output, fields = :fields, cuts = :cuts,
  payloads = :payloads, listed = :listed, owner = NULL, lease_until = NULL, request = NULL
WHERE number = :number;

-- name: state
SELECT number, status, deleted, fence, payloads FROM turns WHERE tree = :tree AND id = :id AND project = :project;

-- name: position
-- Where a turn stands in lists, also when it was deleted.
SELECT created_at, number FROM turns WHERE tree = :tree AND id = :id AND project = :project;

-- name: add_payload
INSERT INTO payloads (tree, hash, content) VALUES (:tree, :hash, :content) ON CONFLICT DO NOTHING;

-- name: use_payload
INSERT INTO payload_uses (tree, hash, turn) VALUES (:tree, :hash, :turn) ON CONFLICT DO NOTHING;

-- name: payload
SELECT content FROM payloads WHERE tree = :tree AND hash = :hash;

-- name: add_foreign_item
INSERT INTO foreign_items (project, id, turn) VALUES (:project, :id, :turn) ON CONFLICT DO NOTHING;

-- name: load
-- One turn, whole; with :most only if it has no large payloads and no more bytes than that.
SELECT t.tree, t.id, (SELECT p.id FROM turns p WHERE p.number = t.parent), t.door, t.status, t.model, t.created_at,
  t.listed, t.deleted, t.input, t.output, t.fields, t.cuts, t.payloads
FROM turns t
WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND NOT t.deleted AND (:most IS NULL OR
  t.payloads IS NULL AND length(t.input) + length(t.output) + length(t.fields) + coalesce(length(t.cuts), 0) <= :most);

-- name: load_chain
-- From the turn to its root along row numbers, or :most turns. To sort the rows here would copy them once more.
WITH RECURSIVE chain (number, parent) AS (
  SELECT number, parent FROM turns WHERE tree = :tree AND id = :id AND project = :project AND NOT deleted
  UNION ALL
  SELECT t.number, t.parent FROM chain JOIN turns t ON t.number = chain.parent
  LIMIT :most
)
SELECT t.tree, t.id, NULL, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, t.input, t.output,
  CASE t.door WHEN 2 THEN t.fields END, NULL, t.payloads
FROM chain CROSS JOIN turns t ON t.number = chain.number;

-- name: load_tree
-- All turns of a tree without their contents, parents first.
SELECT t.tree, t.id, (SELECT p.id FROM turns p WHERE p.number = t.parent), t.door, t.status, t.model, t.created_at,
  t.listed, t.deleted, NULL, NULL, t.fields, NULL, t.payloads
FROM turns t
WHERE t.tree = :tree AND t.project = :project
ORDER BY t.number;

-- name: home_of_foreign_item
-- The newest turn that holds an item under an id that was not minted for it.
SELECT t.tree, t.id, NULL, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, t.input, t.output, NULL, NULL,
  t.payloads
FROM foreign_items f JOIN turns t ON t.number = f.turn
WHERE f.project = :project AND f.id = :id AND NOT t.deleted
ORDER BY f.turn DESC LIMIT 1;

-- name: outline
-- A tree's turns and their parents, which come first.
SELECT number, parent, id, deleted FROM turns WHERE tree = :tree AND project = :project ORDER BY number;

-- name: erase
-- A tombstone: ids and place stay, contents go.
UPDATE turns SET deleted = 1, input = NULL, output = NULL, fields = NULL, cuts = NULL, payloads = NULL, request = NULL,
  owner = NULL, lease_until = NULL, listed = 0, status = CASE WHEN status < 2 THEN 5 ELSE status END
WHERE number = :number;

-- name: belongings
-- What a turn has outside its row, to be dropped with it.
SELECT tree, id, project, opened(input, tree, id), opened(output, tree, id), payloads FROM turns
WHERE number = :number;

-- name: unuse_payload
DELETE FROM payload_uses WHERE tree = :tree AND hash = :hash AND turn = :number;

-- name: drop_unused_payload
DELETE FROM payloads WHERE tree = :tree AND hash = :hash
  AND NOT EXISTS (SELECT 1 FROM payload_uses WHERE tree = :tree AND hash = :hash);

-- name: drop_foreign_item
DELETE FROM foreign_items WHERE project = :project AND id = :id AND turn = :number;

-- name: set_fields
UPDATE turns SET fields = :fields, payloads = :payloads WHERE number = :number;

-- name: expired_trees
-- Trees whose newest turn is older: the time stands in every id. Those of conversations stay.
SELECT tree, project FROM turns t
WHERE NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tree = t.tree AND c.project = t.project)
  AND (:only IS NULL OR t.project IN (SELECT value FROM json_each(:only)))
  AND t.project NOT IN (SELECT value FROM json_each(:but))
GROUP BY tree, project HAVING max(substr(id, 2, 4)) < :before LIMIT :limit;

-- name: turns_of_tree
-- Their row numbers, and when they were made, as it stands in their ids; of one project, as another can have a tree of
-- the same key by chance.
SELECT number, substr(id, 2, 4) FROM turns WHERE tree = :tree AND project = :project;

-- name: drop_turn
DELETE FROM turns WHERE number = :number;

-- name: count
SELECT count(*), count(DISTINCT tree) FROM turns;

-- name: waiting
-- The first condition is that of the index.
SELECT count(*) FROM turns WHERE status < 2 AND status = 0;

-- name: claimable
-- Runs that wait, and runs whose lease is over, the oldest first.
SELECT number FROM turns WHERE status < 2 AND coalesce(lease_until, 0) < :now ORDER BY number LIMIT :limit;

-- name: claim
UPDATE turns SET status = 1, owner = :owner, lease_until = :until, fence = fence + 1, tries = tries + 1
WHERE number = :number
RETURNING tree, id, (SELECT p.id FROM turns p WHERE p.number = turns.parent), door, status, model, created_at, listed,
  deleted, input, output, fields, cuts, payloads, project, request, fence, tries;

-- name: renew
UPDATE turns SET lease_until = :until WHERE tree = :tree AND id = :id AND status < 2 AND owner = :owner
RETURNING tree, id;

-- name: release
UPDATE turns SET status = 0, owner = NULL, lease_until = NULL, tries = tries - 1
WHERE tree = :tree AND id = :id AND project = :project AND status = 1 AND fence = :fence;

-- name: end_all_leases
UPDATE turns SET lease_until = 0 WHERE status < 2;

-- name: under_way
SELECT t.tree, t.id, p.name, t.fence FROM turns t JOIN projects p ON p.number = t.project WHERE t.status < 2;

-- name: project_name
SELECT name FROM projects WHERE number = :number;

-- name: keep_key
-- The key tells the turn that it began last: one that was freed by a failure is used again.
INSERT INTO request_keys (day, project, name, body, turn, created_at)
VALUES (:created_at / 86400, :project, :name, catena_seal(:body, 'body', :name), :turn, :created_at)
ON CONFLICT (day, project, name) DO UPDATE
SET body = excluded.body, turn = excluded.turn, created_at = excluded.created_at;

-- name: drop_old_keys
-- Two that are over for each new one, so that their number falls without ever being much to do.
DELETE FROM request_keys WHERE (day, project, name) IN (
  SELECT day, project, name FROM request_keys WHERE day < :created_at / 86400 - 1 LIMIT 2
);

-- name: find_key
SELECT turn, opened(body, name) FROM request_keys
WHERE day IN (:since / 86400, :since / 86400 + 1) AND project = :project AND name = :name AND created_at > :since
ORDER BY day DESC LIMIT 1;

-- name: notify
INSERT INTO deliveries (due, project, endpoint, subject, event_type, created_at)
SELECT :due, p.number, e.value ->> 'id', :id, :event_type, :created_at
FROM projects p, json_each(CAST(opened(p.webhooks, p.name) AS TEXT)) e
WHERE p.number = :project AND EXISTS (SELECT 1 FROM json_each(e.value, '$.event_types') WHERE value = :event_type)
ON CONFLICT DO NOTHING;

-- name: is_any_due
SELECT EXISTS (SELECT 1 FROM deliveries WHERE due <= :now);

-- name: due_deliveries
SELECT d.due, d.endpoint, d.subject, d.event_type, d.created_at, d.tries, opened(p.webhooks, p.name)
FROM deliveries d JOIN projects p ON p.number = d.project
WHERE d.due <= :now ORDER BY d.due LIMIT :limit;

-- name: lease_delivery
UPDATE deliveries SET due = :until, tries = tries + 1
WHERE due = :due AND endpoint = :endpoint AND subject = :subject;

-- name: postpone
UPDATE deliveries SET due = :next WHERE due = :due AND endpoint = :endpoint AND subject = :subject;

-- name: drop_delivery
DELETE FROM deliveries WHERE due = :due AND endpoint = :endpoint AND subject = :subject;

-- name: drop_deliveries_to
DELETE FROM deliveries WHERE endpoint = :endpoint AND project = :project;

-- name: endpoints
SELECT opened(webhooks, name) FROM projects WHERE number = :project;

-- name: set_endpoints
UPDATE projects SET webhooks = catena_seal(:webhooks, 'webhooks', name) WHERE number = :project;

-- name: conversation
SELECT c.number, c.created_at, opened(c.metadata, c.tree, c.id), t.id,
  EXISTS (SELECT 1 FROM turns r WHERE r.conversation = c.number AND r.status < 2)
FROM conversations c JOIN turns t ON t.number = c.tip
WHERE c.tree = :tree AND c.id = :id AND c.project = :project;

-- name: add_conversation
INSERT INTO conversations (tree, id, project, created_at, metadata, tip)
VALUES (:tree, :id, :project, :created_at, catena_seal(:metadata, 'metadata', :tree, :id), :tip);

-- name: hold_conversation
UPDATE turns SET conversation = :conversation WHERE number = :number;

-- name: advance_conversation
-- To a turn that ended with an answer, if it held one.
UPDATE conversations SET tip = :number
WHERE number = (SELECT conversation FROM turns WHERE number = :number AND status IN (2, 3));

-- name: move_conversation
UPDATE conversations SET tip = :tip WHERE number = :number;

-- name: conversation_chain
-- From the tip of a conversation to its root along row numbers, or :most turns.
WITH RECURSIVE chain (number, parent) AS (
  SELECT t.number, t.parent FROM conversations c JOIN turns t ON t.number = c.tip
  WHERE c.tree = :tree AND c.id = :id AND c.project = :project
  UNION ALL
  SELECT t.number, t.parent FROM chain JOIN turns t ON t.number = chain.parent
  LIMIT :most
)
SELECT t.tree, t.id, NULL, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, t.input, t.output,
  CASE t.door WHEN 2 THEN t.fields END, NULL, t.payloads
FROM chain CROSS JOIN turns t ON t.number = chain.number;

-- name: set_conversation_metadata
UPDATE conversations SET metadata = catena_seal(:metadata, 'metadata', tree, id)
WHERE tree = :tree AND id = :id AND project = :project
RETURNING number;

-- name: outside_all_contexts
-- The turns of a tree that no response has above it: items that were put into a conversation after the last one. Should
-- another conversation have the same key for its tree, they are not of that.
WITH RECURSIVE needed (number, parent) AS (
  SELECT number, parent FROM turns WHERE tree = :tree AND project = :project AND door < 2 AND NOT deleted
  UNION
  SELECT t.number, t.parent FROM conversations c JOIN turns t ON t.number = c.tip
  WHERE c.tree = :tree AND c.project = :project
  UNION
  SELECT t.number, t.parent FROM needed JOIN turns t ON t.number = needed.parent
)
SELECT number FROM turns
WHERE tree = :tree AND project = :project AND NOT deleted AND number NOT IN (SELECT number FROM needed);

-- name: list_conversations
-- Those beyond a place, in one direction or the other; each pair of :metadata must match.
SELECT c.tree, c.id, c.created_at, opened(c.metadata, c.tree, c.id), t.id,
  EXISTS (SELECT 1 FROM turns r WHERE r.conversation = c.number AND r.status < 2)
FROM conversations c JOIN turns t ON t.number = c.tip
WHERE c.project = :project AND c.number {beyond} :after AND NOT EXISTS (
  SELECT 1 FROM json_each(:metadata) wanted
  WHERE (
    SELECT m.value FROM json_each(CAST(opened(c.metadata, c.tree, c.id) AS TEXT)) m WHERE m.key = wanted.key
  ) IS NOT wanted.value)
ORDER BY c.number {direction} LIMIT :limit;

-- name: drop_conversation
DELETE FROM conversations WHERE tree = :tree AND id = :id AND project = :project RETURNING number;

-- name: projects
SELECT name, number FROM projects;

-- name: project_names
SELECT name FROM projects UNION SELECT project FROM files ORDER BY 1;

-- name: trees
-- Row by row along the index of ids, which begins with the tree.
SELECT t.tree, p.name FROM turns t JOIN projects p ON p.number = t.project
WHERE t.tree >= :tree AND (t.tree, p.name) > (:tree, :name) AND (:project IS NULL OR p.name = :project)
GROUP BY t.tree, p.name HAVING sum(t.created_at >= :since AND t.created_at < :until)
ORDER BY t.tree, p.name LIMIT :limit;

-- name: copy_turns
-- The turns of a tree that have ended, whole, parents first.
SELECT t.tree, t.id, (SELECT p.id FROM turns p WHERE p.number = t.parent), t.door, t.status, t.model, t.created_at,
  t.listed, t.deleted, t.input, t.output, t.fields, t.cuts, t.payloads
FROM turns t
WHERE t.tree = :tree AND t.project = :project AND t.status >= 2
ORDER BY t.number;

-- name: conversations_of_tree
SELECT c.id, c.created_at, opened(c.metadata, c.tree, c.id), t.id, 0
FROM conversations c JOIN turns t ON t.number = c.tip
WHERE c.tree = :tree AND c.project = :project
ORDER BY c.number;

-- name: add_document
INSERT INTO documents (kind, project, id, created_at, body) VALUES (:kind, :project, :id, :created_at, :body)
ON CONFLICT DO NOTHING RETURNING id;

-- name: put_document
INSERT OR REPLACE INTO documents (kind, project, id, created_at, body)
VALUES (:kind, :project, :id, :created_at, :body);

-- name: document
SELECT created_at, body FROM documents WHERE kind = :kind AND project = :project AND id = :id;

-- name: list_documents
-- Those beyond a place, in one direction or the other.
SELECT id, created_at, body FROM documents
WHERE kind = :kind AND project = :project AND (created_at, id) {beyond} (:created_at, :id)
ORDER BY created_at {direction}, id {direction} LIMIT :limit;

-- name: set_document
UPDATE documents SET body = :body WHERE kind = :kind AND project = :project AND id = :id;

-- name: drop_document
DELETE FROM documents WHERE kind = :kind AND project = :project AND id = :id RETURNING id;

-- name: add_file_piece
INSERT OR REPLACE INTO file_pieces (blob, number, content) VALUES (:blob, :number, :content);

-- name: add_file
INSERT INTO files (project, id, filename, purpose, created_at, expires_at, size, digest, blob)
VALUES (:project, :id, :filename, :purpose, :created_at, :expires_at, :size, :digest, :blob);

-- name: blob_of
-- What a project has of these contents already.
SELECT blob FROM files
WHERE project = :project AND substr(digest, 1, length(:digest)) = :digest AND size = :size LIMIT 1;

-- name: file
SELECT project, id, filename, purpose, created_at, expires_at, size, digest, blob FROM files
WHERE project = :project AND id = :id AND coalesce(expires_at > :now, true);

-- name: file_piece
SELECT content FROM file_pieces WHERE blob = :blob AND number = :number;

-- name: list_files
-- Those beyond an id, in one direction or the other: ids sort by time.
SELECT project, id, filename, purpose, created_at, expires_at, size, digest, blob FROM files
WHERE project = :project AND id {beyond} :after AND coalesce(purpose = :purpose, true)
  AND coalesce(expires_at > :now, true)
ORDER BY id {direction} LIMIT :limit;

-- name: expired_files
SELECT project, id FROM files WHERE expires_at <= :now LIMIT :limit;

-- name: drop_file
DELETE FROM files WHERE project = :project AND id = :id RETURNING blob;

-- name: drop_unused_pieces
DELETE FROM file_pieces WHERE blob = :blob
  AND NOT EXISTS (SELECT 1 FROM files WHERE project = :project AND blob = :blob);

-- name: abandoned_blobs
SELECT blob FROM file_pieces WHERE number = 0 AND blob < :before AND blob NOT IN (SELECT blob FROM files);

-- name: drop_pieces
DELETE FROM file_pieces WHERE blob = :blob;

-- name: walk
-- The requests that are wanted, from behind a row on; with :inside their fields, to be looked into.
SELECT t.number, t.tree, CASE WHEN :inside THEN opened(t.fields, t.tree, t.id) END
FROM turns t
WHERE t.project = :project AND t.number {beyond} :after AND t.door < 2 AND NOT t.deleted
  AND (:model IS NULL OR t.model = :model) AND (:status IS NULL OR t.status = :status)
  AND (:created_after IS NULL OR t.created_at > :created_after)
  AND (:created_before IS NULL OR t.created_at < :created_before)
  AND (:pair IS NULL OR instr(opened(t.fields, t.tree, t.id), :pair))
  {within}
ORDER BY t.number {direction};

-- name: sketch
-- Turns with the ends of their contents.
SELECT t.number, t.tree, t.id, t.door, t.status, t.model, t.created_at, t.deleted,
  opened(t.fields, t.tree, t.id),
  substr(t.given, 1, :edge), CASE WHEN length(t.given) > :edge THEN substr(t.given, -:edge) END,
  substr(t.said, 1, :edge), CASE WHEN length(t.said) > :edge THEN substr(t.said, -:edge) END
FROM (
  SELECT *, opened(input, tree, id) AS given, opened(output, tree, id) AS said FROM turns
  WHERE number IN (SELECT value FROM json_each(:numbers))
) t;

-- name: due_trees
-- As expired_trees, in numbers.
SELECT count(*), coalesce(sum(turns), 0) FROM (
  SELECT count(*) AS turns FROM turns t
  WHERE NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tree = t.tree AND c.project = t.project)
    AND (:only IS NULL OR t.project IN (SELECT value FROM json_each(:only)))
    AND t.project NOT IN (SELECT value FROM json_each(:but))
  GROUP BY tree, project HAVING max(substr(id, 2, 4)) < :before
);

-- name: idle_tombstones
-- Deleted turns that nothing is below, neither a turn nor the name of a conversation.
SELECT t.number FROM turns t
WHERE t.deleted AND t.created_at < :before
  AND NOT EXISTS (SELECT 1 FROM turns b WHERE b.tree = t.tree AND b.parent = t.number)
  AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tree = t.tree AND c.tip = t.number)
LIMIT :limit;

-- name: fields_of_project
-- Turns with what they tell of themselves, from behind a row on.
SELECT number, tree, id, status, opened(fields, tree, id) FROM turns
WHERE number > :after AND project = :project AND door < 2 AND NOT deleted ORDER BY number LIMIT :limit;

-- name: contents
-- Without large payloads.
SELECT input, output FROM turns WHERE number = :number;

-- name: stored_bytes
-- Of a project and its end users, whose names begin with that and a slash; the character after the slash is 0.
WITH owners (number) AS (
  SELECT number FROM projects WHERE name = :project OR (name >= :first AND name < :beyond)
), trees (tree) AS (
  SELECT DISTINCT tree FROM turns WHERE project IN (SELECT number FROM owners)
)
SELECT
  (SELECT coalesce(sum(coalesce(length(input), 0) + coalesce(length(output), 0) + coalesce(length(fields), 0)
     + coalesce(length(cuts), 0) + coalesce(length(request), 0)), 0)
   FROM turns WHERE project IN (SELECT number FROM owners))
  + (SELECT coalesce(sum(length(content)), 0) FROM payloads WHERE tree IN (SELECT tree FROM trees))
  + (SELECT coalesce(sum(size), 0) FROM files
     WHERE project = :project OR (project >= :first AND project < :beyond))
  + (SELECT coalesce(sum(length(body)), 0) FROM documents
     WHERE project = :project OR (project >= :first AND project < :beyond));

-- name: count_unsealed
-- Rows with anything that is not sealed with the newest key.
SELECT (
  SELECT count(*) FROM turns WHERE {unsealed_turn}
) + (
  SELECT count(*) FROM payloads WHERE substr(content, 1, 12) <> :head
) + (
  SELECT count(*) FROM conversations WHERE substr(metadata, 1, 12) <> :head
) + (
  SELECT count(*) FROM projects WHERE substr(webhooks, 1, 12) <> :head
) + (
  SELECT count(*) FROM request_keys WHERE substr(body, 1, 12) <> :head
) + (
  SELECT count(*) FROM files WHERE substr(filename, 1, 12) <> :head
) + (
  SELECT count(*) FROM file_pieces WHERE substr(content, 1, 12) <> :head
);

-- name: unsealed_turn
-- A part of statements.
substr(input, 1, 12) <> :head OR substr(output, 1, 12) <> :head OR substr(fields, 1, 12) <> :head
  OR substr(cuts, 1, 12) <> :head OR substr(request, 1, 12) <> :head;

-- name: unsealed_turns
SELECT number, tree, id, NULL, door, status, model, created_at, listed, deleted, input, output, fields, cuts, payloads,
  request
FROM turns WHERE number > :after AND ({unsealed_turn}) ORDER BY number LIMIT :limit;

-- name: reseal_turn
UPDATE turns SET input = :input, output = :output, fields = :fields, cuts = :cuts, payloads = :payloads,
  request = :request
WHERE number = :number;

-- name: unsealed_payloads
SELECT tree, hash, content FROM payloads
WHERE (tree, hash) > (:tree, :hash) AND substr(content, 1, 12) <> :head ORDER BY tree, hash LIMIT :limit;

-- name: reseal_payload
UPDATE payloads SET content = :content WHERE tree = :tree AND hash = :hash;

-- name: reseal_conversations
UPDATE conversations SET metadata = catena_seal(opened(metadata, tree, id), 'metadata', tree, id)
WHERE number IN (SELECT number FROM conversations WHERE substr(metadata, 1, 12) <> :head LIMIT 1000) RETURNING number;

-- name: reseal_webhooks
UPDATE projects SET webhooks = catena_seal(opened(webhooks, name), 'webhooks', name)
WHERE substr(webhooks, 1, 12) <> :head RETURNING number;

-- name: reseal_keys
UPDATE request_keys SET body = catena_seal(opened(body, name), 'body', name)
WHERE (day, project, name) IN (
  SELECT day, project, name FROM request_keys WHERE substr(body, 1, 12) <> :head LIMIT 1000
) RETURNING day;

-- name: unsealed_files
SELECT project, id, filename, purpose, created_at, expires_at, size, digest, blob FROM files
WHERE substr(filename, 1, 12) <> :head LIMIT :limit;

-- name: reseal_file
UPDATE files SET filename = :filename, digest = :digest WHERE project = :project AND id = :id;

-- name: unsealed_pieces
SELECT blob, number, content FROM file_pieces
WHERE (blob, number) > (:blob, :number) AND substr(content, 1, 12) <> :head ORDER BY blob, number LIMIT :limit;

-- name: reseal_piece
UPDATE file_pieces SET content = :content WHERE blob = :blob AND number = :number;
