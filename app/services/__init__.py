"""The four services of the pipeline, chained by events."""
