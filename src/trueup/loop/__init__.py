"""The table of contents: the journeys across the stages, one file each.

`turn` is one step of the loop; `rehearse` plays it over the past for several strategies, `train` makes a signed bundle,
`retrain` learns again in production. This room decides the order of things and carries out what a turn asks for; what
is right or allowed is decided on the floors below.
"""
