-- How many transactions there are: counted by the consumer, once a batch. A list's total without a filter is read, not counted.
INSERT INTO server_facts (name, value) SELECT 'transaction_count', COUNT(*) FROM transactions WHERE true
    ON CONFLICT (name) DO NOTHING;
