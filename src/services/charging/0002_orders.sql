-- What a settlement of a pile says beyond energy: the inputs of a price (payments.md 23.3).
ALTER TABLE charging_sessions ADD COLUMN tier_power_w INTEGER;
ALTER TABLE charging_sessions ADD COLUMN idle_s INTEGER;
ALTER TABLE charging_sessions ADD COLUMN stop_code TEXT NOT NULL DEFAULT '';
