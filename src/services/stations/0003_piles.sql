-- AP3000: what a restart must know beside.

ALTER TABLE orders ADD COLUMN is_held INTEGER NOT NULL DEFAULT 0;  -- failed, and may run all the same for two minutes from changed_at
