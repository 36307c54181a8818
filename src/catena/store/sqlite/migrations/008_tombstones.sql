-- Deleted turns, to find those that hold no place any more. Usually there are few.
CREATE INDEX turns_deleted ON turns (number) WHERE deleted;
