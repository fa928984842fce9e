"""Parameter search and walk-forward: a strategy's values, tried on history by many backtests."""
