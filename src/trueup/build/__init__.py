"""BUILD: which model earns most under the charter, on data we trust?

This room decides how rows are split in time, which recipe is fitted on them, and which one is chosen, by value on later
data. It suspects columns that give the outcome away. It refuses a label that never varies, a column that is not there,
and user code that raises; it never opens a pickle in the caller's process, and never trains on an outcome that was not
final (the caller passes final rows, `split` cuts them).
"""
