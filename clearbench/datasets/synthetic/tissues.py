"""The tissues of the body, and the HU of each one."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Tissue(IntEnum):
    """The numbers of a tissue map."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    LUNG = 4
    AIRWAY = 5
    BLOOD = 6
    SOFT = 7
    LIVER = 8
    SPLEEN = 9
    KIDNEY = 10
    FLUID = 11
    GAS = 12
    CORTEX = 13
    MARROW = 14
    DISC = 15
    CORD = 16
    TABLE = 17


# tissue: HU without contrast, increase with contrast, spread of the coarse texture
_BRIGHTNESS: dict[Tissue, tuple[float, float, float]] = {
    Tissue.AIR: (-1000, 0, 0),
    Tissue.SKIN: (10, 0, 10),
    Tissue.FAT: (-102, 0, 9),
    Tissue.MUSCLE: (52, 8, 10),
    Tissue.LUNG: (-845, 0, 22),
    Tissue.AIRWAY: (-985, 0, 3),
    Tissue.BLOOD: (42, 125, 5),
    Tissue.SOFT: (36, 22, 10),
    Tissue.LIVER: (57, 48, 6),
    Tissue.SPLEEN: (48, 66, 6),
    Tissue.KIDNEY: (33, 135, 9),
    Tissue.FLUID: (14, 0, 9),
    Tissue.GAS: (-930, 0, 10),
    Tissue.CORTEX: (620, 0, 60),
    Tissue.MARROW: (185, 0, 28),
    Tissue.DISC: (82, 0, 8),
    Tissue.CORD: (32, 0, 4),
    Tissue.TABLE: (-260, 0, 20),
}


def brightness(enhancement: float) -> NDArray[np.float32]:
    """Return HU by tissue number; ``enhancement`` 0 is no contrast, 1 a strong one. [tissues]."""
    return np.array(
        [_BRIGHTNESS[t][0] + enhancement * _BRIGHTNESS[t][1] for t in Tissue], dtype=np.float32
    )


def coarseness() -> NDArray[np.float32]:
    """Return the spread of the coarse texture in HU, by tissue number. [tissues]."""
    return np.array([_BRIGHTNESS[t][2] for t in Tissue], dtype=np.float32)
