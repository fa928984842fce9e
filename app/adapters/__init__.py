"""The edge: what touches files, clocks, markets and brokers."""
