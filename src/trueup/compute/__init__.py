"""COMPUTE: where does a function run: here, or in a pool of processes?

This room decides only where work runs. Results come back in the order of the items, whatever finished first, so that
the number of workers never changes a result. It knows nothing of models or charters, and refuses functions that cannot
be sent to another process.
"""
