"""Pure decisions: when to save, which model is best, under what name, what to keep.

May import the root's words only: neither Keras nor a backend, and no disk.
"""
