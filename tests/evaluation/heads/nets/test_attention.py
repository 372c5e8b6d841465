from pathlib import Path

import torch
from safetensors.torch import load_file

from clearbench.evaluation.heads import AttentionMIL


def test_the_head_is_the_published_one(golden: Path) -> None:
    file = load_file(golden / "abmil_head.safetensors")
    weights = {k.removeprefix("weights."): v for k, v in file.items() if k.startswith("weights.")}
    head = AttentionMIL(32, 8)
    head.load_state_dict(weights, strict=True)
    with torch.inference_mode():
        output = head.eval()(file["bags"])
    assert (output.logits - file["logits"]).abs().max() <= 1e-5
    assert (output.attention - file["attention"]).abs().max() <= 1e-5
