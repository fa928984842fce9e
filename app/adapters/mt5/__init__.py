"""MetaTrader 5 through the HTTP bridge beside its terminal."""
