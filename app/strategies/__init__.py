"""Strategies from YAML: checked, compiled, evaluated."""
