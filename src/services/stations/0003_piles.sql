-- AP3000: what a restart must know beside.

ALTER TABLE piles ADD COLUMN is_cabinet INTEGER NOT NULL DEFAULT 0; -- it has said so, by its heartbeat
ALTER TABLE quarantine ADD COLUMN content INTEGER;                  -- of a settlement: ap3000_content_key of its frame
CREATE INDEX quarantine_content ON quarantine (charge_point_id, content) WHERE state = 'open' AND content IS NOT NULL;
ALTER TABLE orders ADD COLUMN is_held INTEGER NOT NULL DEFAULT 0;  -- failed, and may run all the same for two minutes from changed_at
