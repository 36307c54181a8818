-- Deleted turns, to find those that hold no place any more without a look at all that were not.
CREATE INDEX turns_deleted ON turns (created_at) WHERE deleted;
