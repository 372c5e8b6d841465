"""A seeded cohort of drawn CT scans in HU: no patient behind it, findings known by construction.

findings.py says who has what, technique.py how each scan was taken, anatomy.py and tissues.py
draw the body, lesions.py and lungs.py the findings in it, scan.py one scan, cohort.py the files.
"""

from clearbench.datasets.synthetic.cohort import write_cohort

__all__ = ["write_cohort"]
