"""The command line: it parses, calls `attnscope.api`, prints and exits. Nothing here imports torch
before a command runs, so `--help` answers at once.
"""
