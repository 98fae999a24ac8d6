"""One training run: its progress, each save from decision to durable file, and resuming.

May import everything but `callback.py`.
"""
