"""Names of files and folders that say nothing of a person: IM0001, series_2, export, brain."""

import re

LONGEST_NUMBER = 5  # digits; a longer one may be an id or a date
MOST_DIGITS = 8
TEXT = """
    a abdomen acquisition anon anonymised anonymized anonymous archive axial b baseline batch
    body bone brain case cases chest clean cohort cohorts coronal crop cropped ct cts data
    dataset datasets dcm deident deidentified demo dicom dicomdir dicoms dir disc disk exam
    example examples exams export exported exports file files fold folder folders gz head
    healthy hu im ima image images imagesct imagestr img imgs in input jpeg jpg labels left
    lesions liver lung lungs mediastinum mha mhd mine my neck negative new nifti niftis nii no
    normal number one out output pa part parts pat patient patients pelvis png pngs positive
    private pt public random raw real rec recon resampled right run sagittal sample samples
    scan scanner scans se sequence ser serie series ses session set site slice slices small
    soft source st stack store stroke studies study sub subject subjects test tests thick thin
    thorax tmp toy train training two val validation view visit vol volume volumes x y z
    """
WORDS = frozenset(TEXT.split())


def is_generic(name: str) -> bool:
    """Tell whether a name has only words that folders and files are called by, and short numbers.

    Its suffix counts as a word. A date, an id of six digits, or any other word isn't generic.
    """
    plain = name.lower()
    numbers = re.findall(r"\d+", plain)
    too_long = any(len(number) > LONGEST_NUMBER for number in numbers)
    if too_long or sum(map(len, numbers)) > MOST_DIGITS:
        return False
    return all(word in WORDS or (len(word) == 1 and word.isascii()) for word in _words(plain))


def _words(name: str) -> list[str]:
    """Return the runs of letters in a name."""
    return re.findall(r"[^\W\d_]+", name)
