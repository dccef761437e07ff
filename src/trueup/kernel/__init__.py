"""Values every room shares: errors, digests, times and periods, money, SQL expressions.

The kernel decides what a value *is* (when a period starts, what an expression means, how a digest is made). It touches
no disk, no network and no clock, and imports no other room.
"""
