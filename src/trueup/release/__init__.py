"""RELEASE: is it safe and worth it to let a model decide, and how does it come to decide everything?

This room decides the way of a release: its exposure steps and bake periods, and what going back means. It refuses to
skip a step. It moves nothing itself; it says which model decides which share of cases.
"""
