"""Values and units of trading: no I/O, no clock, no randomness."""
