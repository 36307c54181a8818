-- name: project_number
-- The number of a project that is known.
SELECT number FROM projects WHERE name = :name;

-- name: add_project
INSERT INTO projects (name, number) SELECT :name, count(*) + 1 FROM projects WHERE true ON CONFLICT DO NOTHING;

-- name: find
-- A turn's row number, for it to be a parent.
SELECT number FROM turns WHERE tree = :tree AND id = :id AND project = :project;

-- name: begin
-- A turn whose run begins, or waits for a worker.
INSERT INTO turns (tree, id, project, parent, door, status, model, created_at, listed, input, output, fields, cuts,
  payloads, owner, lease_until, request)
VALUES (:tree, :id, :project, :parent, :door, :status, :model, :created_at, :listed, :input, :output, :fields, :cuts,
  :payloads, :owner, :lease_until, :request);

-- name: finish
-- A turn in its final state, whether or not it was begun. What has ended, or belongs to another, stays as it is.
INSERT INTO turns (tree, id, project, parent, door, status, model, created_at, listed, input, output, fields, cuts,
  payloads, fence)
VALUES (:tree, :id, :project, :parent, :door, :status, :model, :created_at, :listed, :input, :output, :fields, :cuts,
  :payloads, :fence)
ON CONFLICT (tree, id) DO UPDATE
SET status = excluded.status, output = excluded.output, fields = excluded.fields, cuts = excluded.cuts,
  payloads = excluded.payloads, listed = excluded.listed, owner = NULL, lease_until = NULL, request = NULL
WHERE turns.project = excluded.project AND turns.status < 2 AND NOT turns.deleted AND turns.fence = excluded.fence
RETURNING number;

-- name: state
SELECT number, status, deleted, fence FROM turns WHERE tree = :tree AND id = :id AND project = :project;

-- name: forget_log
DELETE FROM logs WHERE turn = :number;

-- name: add_payload
INSERT INTO payloads (tree, hash, content) VALUES (:tree, :hash, :content) ON CONFLICT DO NOTHING;

-- name: use_payload
INSERT INTO payload_uses (tree, hash, turn) VALUES (:tree, :hash, :turn) ON CONFLICT DO NOTHING;

-- name: payload
SELECT content FROM payloads WHERE tree = :tree AND hash = :hash;

-- name: add_foreign_item
INSERT INTO foreign_items (project, id, turn) VALUES (:project, :id, :turn) ON CONFLICT DO NOTHING;

-- name: load
-- One turn, whole.
SELECT t.id, t.tree, p.id, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, t.input, t.output, t.fields,
  t.cuts, t.payloads
FROM turns t LEFT JOIN turns p ON p.number = t.parent
WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND NOT t.deleted;

-- name: load_chain
-- From the turn to its root along row numbers, told from the root on.
WITH RECURSIVE chain (number, parent, above) AS (
  SELECT number, parent, 0 FROM turns WHERE tree = :tree AND id = :id AND project = :project AND NOT deleted
  UNION ALL
  SELECT t.number, t.parent, above + 1 FROM chain JOIN turns t ON t.number = chain.parent
)
SELECT t.id, t.tree, NULL, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, t.input, t.output, NULL, NULL,
  t.payloads
FROM chain JOIN turns t ON t.number = chain.number
ORDER BY above DESC;

-- name: load_tree
-- All turns of a tree without their contents, parents first.
SELECT t.id, t.tree, p.id, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, NULL, NULL, t.fields, NULL, NULL
FROM turns t LEFT JOIN turns p ON p.number = t.parent
WHERE t.tree = :tree AND t.project = :project
ORDER BY t.number;

-- name: home_of_foreign_item
-- The newest turn that holds an item under an id that was not minted for it.
SELECT t.id, t.tree, NULL, t.door, t.status, t.model, t.created_at, t.listed, t.deleted, t.input, t.output, NULL, NULL,
  t.payloads
FROM foreign_items f JOIN turns t ON t.number = f.turn
WHERE f.project = :project AND f.id = :id AND NOT t.deleted
ORDER BY f.turn DESC LIMIT 1;

-- name: subtree
-- A turn and all its descendants that still have contents.
WITH RECURSIVE below (number) AS (
  SELECT number FROM turns WHERE tree = :tree AND id = :id AND project = :project
  UNION ALL
  SELECT t.number FROM below JOIN turns t ON t.parent = below.number AND t.tree = :tree
)
SELECT t.number, t.id FROM below JOIN turns t ON t.number = below.number WHERE NOT t.deleted ORDER BY t.number;

-- name: erase
-- A tombstone: ids and place stay, contents go.
UPDATE turns SET deleted = 1, input = NULL, output = NULL, fields = NULL, cuts = NULL, payloads = NULL, request = NULL,
  owner = NULL, lease_until = NULL, listed = 0, status = max(status, 3)
WHERE number = :number;

-- name: belongings
-- What a turn has outside its row, to be dropped with it.
SELECT tree, id, project, input, payloads FROM turns WHERE number = :number;

-- name: unuse_payload
DELETE FROM payload_uses WHERE tree = :tree AND hash = :hash AND turn = :number;

-- name: drop_unused_payload
DELETE FROM payloads WHERE tree = :tree AND hash = :hash
  AND NOT EXISTS (SELECT 1 FROM payload_uses WHERE tree = :tree AND hash = :hash);

-- name: drop_foreign_item
DELETE FROM foreign_items WHERE project = :project AND id = :id AND turn = :number;

-- name: set_fields
UPDATE turns SET fields = :fields WHERE tree = :tree AND id = :id AND project = :project AND NOT deleted
RETURNING number;

-- name: expired_trees
-- Trees whose newest turn is older: the time stands in every id.
SELECT tree FROM turns GROUP BY tree HAVING max(substr(id, -32, 8)) < :before LIMIT :limit;

-- name: turns_of_tree
SELECT number FROM turns WHERE tree = :tree;

-- name: drop_turn
DELETE FROM turns WHERE number = :number;

-- name: count
SELECT count(*), count(DISTINCT tree) FROM turns;

-- name: waiting
SELECT count(*) FROM turns WHERE status = 0;

-- name: claimable
-- Runs that wait, and runs whose lease is over, the oldest first.
SELECT number FROM turns WHERE status < 2 AND coalesce(lease_until, 0) < :now ORDER BY number LIMIT :limit;

-- name: claim
UPDATE turns SET status = 1, owner = :owner, lease_until = :until, fence = fence + 1, tries = tries + 1
WHERE number = :number
RETURNING id, tree, (SELECT p.id FROM turns p WHERE p.number = turns.parent), door, status, model, created_at, listed,
  deleted, input, output, fields, cuts, payloads, project, request, fence, tries;

-- name: renew
UPDATE turns SET lease_until = :until WHERE status < 2 AND owner = :owner RETURNING id;

-- name: release
UPDATE turns SET status = 0, owner = NULL, lease_until = NULL, tries = tries - 1
WHERE tree = :tree AND id = :id AND project = :project AND status = 1 AND fence = :fence;

-- name: end_all_leases
UPDATE turns SET lease_until = 0 WHERE status < 2;

-- name: append_log
INSERT INTO logs (turn, batch, chunks)
SELECT number, :batch, :chunks FROM turns
WHERE tree = :tree AND id = :id AND project = :project AND status < 2 AND fence = :fence
RETURNING turn;

-- name: load_log
SELECT l.chunks FROM logs l JOIN turns t ON t.number = l.turn
WHERE t.tree = :tree AND t.id = :id AND t.project = :project AND NOT t.deleted
ORDER BY l.batch;

-- name: project_name
SELECT name FROM projects WHERE number = :number;
