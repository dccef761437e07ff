"""What `trueup bundle` does: one file for each action, chosen by `cli.bundle_command`.

Every action finds its bundle by the start of a digest, a folder or an archive, and verifies it against the project's
trusted keys before it believes a word of it. Only `run`, and `verify --replay`, let a model answer.
"""
