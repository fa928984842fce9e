"""Columns from candles: indicators and the market regime."""
