"""A session's inputs as a file, and the services run again on them."""
