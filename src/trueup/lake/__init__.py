"""Where records live: bytes by key, versioned tables, and the frozen records that rooms exchange.

The lake decides what it means that something *is there*: an object or a table version appears whole or not at all,
whatever happens to its writer, in a local folder as in an object store, and a version once published never changes. It
refuses keys that leave the store, rows whose columns differ from the table they are appended to, and types that other
tools could not read. It knows nothing of cases, models or charters beyond their records.
"""
