"""The journal: in memory for tests and backtests, in SQL for what must outlive the process."""
