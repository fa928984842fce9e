"""A MetaTrader 5 bridge of our own: ``python -m app.bridge``.

It speaks the dialect of the users' bridges over HTTP, as a process of its own, before a simulated
terminal: what demonstrations, tests and parallel runs trade against. Its ledger is the referee of
"nothing doubled, nothing lost", so it shares no code with the adapter that talks to it.
"""
