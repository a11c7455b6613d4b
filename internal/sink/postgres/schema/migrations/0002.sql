ALTER TABLE {s}.settled ADD COLUMN filled int8multirange NOT NULL DEFAULT '{}';
COMMENT ON COLUMN {s}.settled.filled IS 'Sequence numbers that a gateway refused or was told to be lost. Where one stands in numbers too, another gateway had accepted it.';
