"""One training run: its progress, one save from decision to durable file, where it resumes.

May import everything below the callback.
"""
