"""Do the rows keep the project's quality rules? Evaluate, look into one's own SQL safely, suggest rules.

This room decides what a rule means on a table: which rows it checks, which of them fail, and what is said about them,
without ever repeating a value. It refuses to guess: a rule that cannot be evaluated (a column gone, another type) has
failed. Whether rows are then published is decided by whoever asked (`data/ingest.py`).
"""
