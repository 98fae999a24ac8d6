"""TensorFlow, JAX and PyTorch: their arrays, devices and processes.

May import keras_seam and the root's words.
"""
