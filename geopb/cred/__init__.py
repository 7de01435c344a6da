"""Who is calling: credentials, what checks them, and whom they open a door to.

Owns logins on both sides, but for the messages that carry them. Never opens a
connection and never sends: the lobby (server) and the client do.
"""
