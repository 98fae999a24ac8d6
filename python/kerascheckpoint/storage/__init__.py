"""Where bytes go: published whole, listed, checksummed.

May import the root's words only: no Keras, no backend.
"""
