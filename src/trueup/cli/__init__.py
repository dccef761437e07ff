"""The `trueup` command: the thin shell around the library.

It decides how people and programs talk to Trueup on a command line: arguments, messages, progress, exit codes, and
where a project's working files live (`<project>/.trueup/`). It refuses to decide anything about cases, models or money;
every command reads a project, calls one function of the floors below and shows what came back. Slow libraries are
imported inside the commands that need them, so that ``trueup --help`` answers at once.
"""
