"""An account that trades on paper: orders filled on closed candles, money kept to the cent."""
