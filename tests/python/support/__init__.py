"""What the tests share: tiny models, small files, kinds of models, faults."""
