-- name: project_number
-- The number of a project that is known.
SELECT number FROM projects WHERE name = :name;

-- name: add_project
INSERT INTO projects (name, number) SELECT :name, count(*) + 1 FROM projects WHERE true ON CONFLICT DO NOTHING;

-- name: find
-- A turn's row number, for it to be a parent.
SELECT number FROM turns WHERE tree = :tree AND id = :id AND project = :project;

-- name: add
-- A turn whose run begins or waits for a worker, or one that is finished at once.
INSERT INTO turns (tree, id, project, parent, door, status, model, created_at, listed, input, output, fields, cuts,
  payloads, owner, lease_until, request, fence)
VALUES (:tree, :id, :project, :parent, :door, :status, :model, :created_at, :listed, :input, :output, :fields, :cuts,
  :payloads, :owner, :lease_until, :request, :fence)
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
-- From the turn to its root along row numbers. To sort the rows here would copy them once more.
WITH RECURSIVE chain (number, parent) AS (
  SELECT number, parent FROM turns WHERE tree = :tree AND id = :id AND project = :project AND NOT deleted
  UNION ALL
  SELECT t.number, t.parent FROM chain JOIN turns t ON t.number = chain.parent
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
SELECT tree, id, project, input, output, payloads FROM turns WHERE number = :number;

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
SELECT tree FROM turns t WHERE NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tree = t.tree)
GROUP BY tree HAVING max(substr(id, 2, 4)) < :before LIMIT :limit;

-- name: turns_of_tree
-- Their row numbers, and when they were made, as it stands in their ids.
SELECT number, substr(id, 2, 4) FROM turns WHERE tree = :tree;

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
UPDATE turns SET lease_until = :until WHERE status < 2 AND owner = :owner RETURNING tree, id;

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
VALUES (:created_at / 86400, :project, :name, :body, :turn, :created_at)
ON CONFLICT (day, project, name) DO UPDATE
SET body = excluded.body, turn = excluded.turn, created_at = excluded.created_at;

-- name: drop_old_keys
-- Two that are over for each new one, so that their number falls without ever being much to do.
DELETE FROM request_keys WHERE (day, project, name) IN (
  SELECT day, project, name FROM request_keys WHERE day < :created_at / 86400 - 1 LIMIT 2
);

-- name: find_key
SELECT turn, body FROM request_keys
WHERE day IN (:since / 86400, :since / 86400 + 1) AND project = :project AND name = :name AND created_at > :since
ORDER BY day DESC LIMIT 1;

-- name: notify
INSERT INTO deliveries (due, project, endpoint, subject, event_type, created_at)
SELECT :due, p.number, e.value ->> 'id', :id, :event_type, :created_at FROM projects p, json_each(p.webhooks) e
WHERE p.number = :project AND EXISTS (SELECT 1 FROM json_each(e.value, '$.event_types') WHERE value = :event_type)
ON CONFLICT DO NOTHING;

-- name: is_any_due
SELECT EXISTS (SELECT 1 FROM deliveries WHERE due <= :now);

-- name: due_deliveries
SELECT d.due, d.endpoint, d.subject, d.event_type, d.created_at, d.tries, p.webhooks
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
SELECT webhooks FROM projects WHERE number = :project;

-- name: set_endpoints
UPDATE projects SET webhooks = :webhooks WHERE number = :project;

-- name: conversation
SELECT c.number, c.created_at, c.metadata, t.id,
  EXISTS (SELECT 1 FROM turns r WHERE r.conversation = c.number AND r.status < 2)
FROM conversations c JOIN turns t ON t.number = c.tip
WHERE c.tree = :tree AND c.id = :id AND c.project = :project;

-- name: add_conversation
INSERT INTO conversations (tree, id, project, created_at, metadata, tip)
VALUES (:tree, :id, :project, :created_at, :metadata, :tip);

-- name: hold_conversation
UPDATE turns SET conversation = :conversation WHERE number = :number;

-- name: advance_conversation
-- To a turn that ended with an answer, if it held one.
UPDATE conversations SET tip = :number
WHERE number = (SELECT conversation FROM turns WHERE number = :number AND status IN (2, 3));

-- name: move_conversation
UPDATE conversations SET tip = :tip WHERE number = :number;

-- name: conversation_chain
-- From the tip of a conversation to its root along row numbers.
WITH RECURSIVE chain (number, parent) AS (
  SELECT t.number, t.parent FROM conversations c JOIN turns t ON t.number = c.tip
  WHERE c.tree = :tree AND c.id = :id AND c.project = :project
  UNION ALL
  SELECT t.number, t.parent FROM chain JOIN turns t ON t.number = chain.parent
)
SELECT t.tree, t.id, NULL, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, t.input, t.output,
  CASE t.door WHEN 2 THEN t.fields END, NULL, t.payloads
FROM chain CROSS JOIN turns t ON t.number = chain.number;

-- name: set_conversation_metadata
UPDATE conversations SET metadata = :metadata WHERE tree = :tree AND id = :id AND project = :project
RETURNING number;

-- name: outside_all_contexts
-- The turns of a tree that no response has above it: items that were put into a conversation after the last one.
WITH RECURSIVE needed (number, parent) AS (
  SELECT number, parent FROM turns WHERE tree = :tree AND project = :project AND door < 2 AND NOT deleted
  UNION
  SELECT t.number, t.parent FROM needed JOIN turns t ON t.number = needed.parent
)
SELECT number FROM turns
WHERE tree = :tree AND project = :project AND NOT deleted AND number NOT IN (SELECT number FROM needed);

-- name: list_conversations
-- Those beyond a place, in one direction or the other; each pair of :metadata must match.
SELECT c.tree, c.id, c.created_at, c.metadata, t.id,
  EXISTS (SELECT 1 FROM turns r WHERE r.conversation = c.number AND r.status < 2)
FROM conversations c JOIN turns t ON t.number = c.tip
WHERE c.project = :project AND c.number {beyond} :after AND NOT EXISTS (
  SELECT 1 FROM json_each(:metadata) wanted
  WHERE (SELECT m.value FROM json_each(CAST(c.metadata AS TEXT)) m WHERE m.key = wanted.key) IS NOT wanted.value)
ORDER BY c.number {direction} LIMIT :limit;

-- name: drop_conversation
DELETE FROM conversations WHERE tree = :tree AND id = :id AND project = :project RETURNING number;
