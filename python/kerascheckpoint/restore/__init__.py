"""Restore a model from a checkpoint: compare, build, then load everything or nothing.

May import snapshot and everything below it.
"""
