"""The public data sets that have a builder, one row each: add a data set here.

A row names its module, so that listing them imports none.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class PublicDataSet:
    """One public data set.

    module           has `build(root) -> DataSetFolder`
    has_split_files  the community has split files for it; its `build` also takes `splits` and
                     `repair_split`
    hides_uids       its headers have UIDs of a hospital; its `build` also takes `names` and
                     `keep_ids`
    """

    module: str
    has_split_files: bool = False
    hides_uids: bool = False


PUBLIC_DATA_SETS: MappingProxyType[str, PublicDataSet] = MappingProxyType(
    {
        "covid-ct-md": PublicDataSet("clearbench.datasets.public.covid_ct_md", hides_uids=True),
        "ct-ich": PublicDataSet("clearbench.datasets.public.ct_ich"),
        "ct-rate": PublicDataSet("clearbench.datasets.public.ct_rate"),
        "deeplesion": PublicDataSet(
            "clearbench.datasets.public.deeplesion_cohort", has_split_files=True
        ),
        "luna16": PublicDataSet("clearbench.datasets.public.luna16", has_split_files=True),
        "nlst": PublicDataSet("clearbench.datasets.public.nlst"),
        "nsclc-radiomics": PublicDataSet("clearbench.datasets.public.nsclc_radiomics"),
        "rad-chestct": PublicDataSet("clearbench.datasets.public.rad_chestct"),
    }
)


def with_split_files() -> tuple[str, ...]:
    """Return the names of the data sets that have split files."""
    return tuple(name for name, entry in PUBLIC_DATA_SETS.items() if entry.has_split_files)
