#!/usr/bin/env bash
# The tables of a new database, with all that belongs to trees in 8 partitions by a hash of the tree:
#   deploy/shards.sh | psql -1 -v ON_ERROR_STOP=1 "$CATENA_DATABASE"
# The `python` that is found has to be the one that Catena is installed for.
set -euo pipefail

parts=8
tables=(turns payloads payload_uses foreign_items logs conversations signals removals words unworded)

here=$(python -c 'from importlib.resources import files; print(files("catena.store.postgres"))')
migrations=("$here"/migrations/*.sql)
names=$(IFS='|' && echo "${tables[*]}")

sed -E "/^CREATE TABLE ($names) \(/,/^\);/ s/^\);/) PARTITION BY HASH (tree);/" "$here/schema.sql"
for table in "${tables[@]}"; do
  for ((part = 0; part < parts; part++)); do
    echo "CREATE TABLE ${table}_$part PARTITION OF $table FOR VALUES WITH (MODULUS $parts, REMAINDER $part);"
  done
done
echo "CREATE TABLE schema_version (version integer NOT NULL);"
echo "INSERT INTO schema_version VALUES (${#migrations[@]});"
