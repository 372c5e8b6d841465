"""A DeepLesion-shaped folder of small slices with structure, and settings for a short training."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearbench.pretraining.settings import PretrainSettings

SIDE = 48
PATIENTS, SLICES = 6, 5
CARDS = Path(__file__).resolve().parents[1] / "cards"
SHORT = PretrainSettings(
    epochs=3,
    batch_size=8,
    lr=0.1,
    warmup_epochs=1,
    temperature=0.2,
    hidden=32,
    projection=16,
    augment="ct",
)


@pytest.fixture
def short() -> PretrainSettings:
    """Three epochs of three steps."""
    return replace(SHORT)


@pytest.fixture(scope="session")
def small_deeplesion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five training patients and a test patient, five slices each, the second with a lesion."""
    root = tmp_path_factory.mktemp("deeplesion")
    rng = np.random.default_rng(0)
    rows = []
    for patient in range(1, PATIENTS + 1):
        series = f"{patient:06d}_01_01"
        (root / "Images_png" / series).mkdir(parents=True)
        for number in range(1, SLICES + 1):
            coarse = rng.integers(-900, 300, (6, 6))
            hu = np.kron(coarse, np.ones((8, 8))) + rng.normal(0, 20, (SIDE, SIDE))
            image = Image.fromarray((hu + 32768).astype(np.uint16))
            image.save(root / "Images_png" / series / f"{number:03d}.png")
        rows.append(
            {
                "File_name": f"{series}_002.png",
                "Patient_index": patient,
                "Bounding_boxes": "10, 12, 22, 26",
                "Coarse_lesion_type": 1 + patient % 2,
                "Image_size": f"{SIDE}, {SIDE}",
                "Train_Val_Test": 3 if patient == PATIENTS else 1,
            }
        )
    with (root / "DL_info.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root
