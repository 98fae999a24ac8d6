"""What the tests share: tiny models, small files, kinds of models, faults."""

import sys
from typing import Any

# Every process of the tests imports this. On a GPU, PyTorch's results then repeat bit for bit.
_torch: Any = sys.modules.get("torch")
if _torch is not None and _torch.cuda.is_available():
    _torch.use_deterministic_algorithms(True)
