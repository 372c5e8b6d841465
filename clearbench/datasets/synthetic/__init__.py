"""A synthetic cohort of drawn CT scans in HU, fixed by a seed: no real patient, known findings.

findings.py chooses each patient's findings, technique.py each scan's technique. anatomy.py and
tissues.py draw the body, lesions.py and lungs.py the findings in it. scan.py makes one scan,
cohort.py the files.
"""

from clearbench.datasets.synthetic.cohort import write_cohort

__all__ = ["write_cohort"]
