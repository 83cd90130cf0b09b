-- The total of transactions is kept by whoever writes them (stations/0004): a trigger made each new one write two rows, and SQLite lay by
-- the pages that it changed, in case the second write should fail.
DROP TRIGGER api_totals_transactions_more;
DROP TRIGGER api_totals_transactions_less;
DROP TABLE api_totals;
