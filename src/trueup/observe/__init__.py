"""OBSERVE: what production did, from each turn's new facts and a small state.

The room decides what was realised (value and performance on final cases only, with label maturity beside), what drift
costs, whether a guard is broken, and which status follows: healthy, no_data, warning or error, worst wins. It refuses
to scan history (state is bounded, a turn costs what its own cases cost), to judge cases whose outcome is not final, and
to call a zero denominator 0. It says what is; what should change is decided elsewhere.
"""
