"""A strategy on years of bars: the services that trade live, and what came of it."""
