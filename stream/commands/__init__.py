"""The commands of `stream`, one module each, and what they share. Each builds concrete parts, runs them and prints.

Nothing here computes what a user of the library would miss. A command's module imports little more than click, and the
rest when it is called, so that its `--help` is instant.
"""
