"""Standard Keras files, `.keras` and `.weights.h5`: written, read and verified without Keras.

May import storage and the record; no Keras, no backend.
"""
