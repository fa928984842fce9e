"""Event-driven trading on MetaTrader 5 accounts: live, on paper and on history."""

from app import interruption

interruption.end_commands()
