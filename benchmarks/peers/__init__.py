"""Other tools doing our work, each in an environment of its own: they cannot be installed beside our libraries.

A module here runs as ``python -m benchmarks.peers.NAME`` in the environment that NAME.txt pins. Of ours it imports only
`benchmarks.measuring`, which needs nothing but the standard library.

The pins are those of ``uv pip compile --python-version 3.11 --no-header --no-annotate --no-emit-index-url`` for
evidently, nannyml and whylogs[viz]; with ``pandas<3`` for all, and ``numpy<2.3`` and statsmodels for the first two,
which import with nothing newer. Servers: granian with uvloop; fastapi with uvicorn[standard] (fastapi_pandas);
mlserver==1.7.1 with its runtimes mlserver-sklearn and mlserver-lightgbm; bentoml; the last three with scikit-learn and
pandas, in the versions of our own environment, because they open a pickle made there.
"""
