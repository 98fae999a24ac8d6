"""Pure decisions: when to save, which model is best, under what name, what to keep.

May import the root's words only: no disk, no Keras.
"""
