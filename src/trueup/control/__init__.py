"""Where people agree: who may do what, what they signed, which release decides, and what happened.

A Django project on PostgreSQL. It decides nothing about models or money itself: it keeps states of the agreements that
`align`, `release` and `loop` compute, changes each in one transaction with its audit row, and shows them on pages. A
prediction server never needs it. Nothing outside this room imports Django.
"""
