"""Make torchvision importable with a CPU build of torch.

A torchvision wheel from PyPI is compiled against the CUDA build of torch. With the CPU build its
compiled operators don't load, and `import torchvision` (in timm and open_clip) fails with
"operator torchvision::nms does not exist". clearbench doesn't use those operators, so this module
only declares their names. If torchvision imports without an error, nothing changes.
"""

import importlib
import sys

import torch

MISSING_OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_declared: list[torch.library.Library] = []


def _import_or_declare() -> None:
    """Import torchvision; if its operators are missing, declare them and import it again."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        # a failed import leaves modules behind, and the second import would use them
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in MISSING_OPERATORS:
            library.define(operator + SIGNATURE)  # type: ignore[no-untyped-call]
        # torch takes the operators back when this object is collected
        _declared.append(library)
        importlib.import_module("torchvision")


_import_or_declare()
