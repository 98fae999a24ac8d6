"""Standard Keras files, `.keras` and `.weights.h5`: written, read and verified without Keras.

May import the record, storage and the root's words; neither Keras nor a backend.
"""
