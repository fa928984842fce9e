"""From a signal to an approved order: sizing, stops, limits."""
