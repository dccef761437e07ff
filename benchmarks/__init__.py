"""What does Trueup cost, and what do its peers cost for the same work on the same machine?

`python -m benchmarks` measures every subject in a process of its own, prints a table and writes build/bench.json.
`python -m benchmarks.endurance` asks over many runs whether the statistics keep their promises.
"""
