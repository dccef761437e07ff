"""Pure mathematics on arrays: metrics, intervals, profiles, drift, score counts, delays, sequential tests.

The room decides what a number *is* (its formula, bins, base and what happens with ties and nothing at all), once, for
every stage. It refuses to know a charter, a file or a clock: arrays and small frozen records go in, numbers and records
come out, and where a number would need a denominator of zero it returns None, never 0.
"""
