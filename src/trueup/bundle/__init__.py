"""What is shipped: one immutable, signed folder that holds a model and everything needed to trust it.

This room decides what a bundle contains, what its name is (the SHA-256 of its manifest), how it is signed and how it is
opened again. It refuses, before anything is executed, a bundle with a changed, missing or extra file, a link, a path
that leaves the folder, or no signature of a trusted key; and after that, one whose golden rows do not reproduce.
Models run in a process of their own, never in the caller's.
"""
