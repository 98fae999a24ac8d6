"""Put a checkpoint into a model: compare, build, then load all of it or nothing.

May import snapshot and everything below it.
"""
