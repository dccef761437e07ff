"""SERVE: what do we decide for this case, now? The prediction server.

This room turns the bytes of a request into a decision that is in the log before it is told, under the charter's policy
and capacity, and goes on doing so when everything around it is down. It refuses what it cannot log, more than it can
answer in time, callers without a token, and bundles that do not answer as they did in development. It imports no data
frame library: it starts in well under a second and stays small.
"""
