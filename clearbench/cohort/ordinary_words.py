"""Words that findings, places in the body, machines and files are called by, but no person."""

import re

# How names of diseases, tissues and states end; no usual ending of a name of a person.
ENDING = re.compile(
    r".*(oma|omata|itis|osis|oses|aemia|emia|pathy|plasia|trophy|ectas[ei]s|o?edema|thorax|[^aeiou]ular"
    r"|geal|neal|eous|[^aeiou]ous|tion|sion|[^aeiou]ity|gram|scopy|graphy|algia|penia|rrhage|rrhagic"
    r"|static|matic|logic(al)?|inal|oral|oid|lytic|plastic|stenosis|otic|ected|ated|ized|ised|ness"
    r"|itive|ative|tive|able|ible|less|like|genic|genous|phil|cyte|blast|cele|lith|plegia|uria|pnea"
    r"|pnoe|ase|mab|nib|statin|cillin|platin|taxel)"
)
TEXT = """
    left right upper lower middle bilateral unilateral anterior posterior superior inferior medial
    lateral central apical basal lobe lobes lung lungs lingula hilum hilar pleura pleural liver
    kidney spleen brain head neck chest thorax abdomen pelvis bone spine cord breast colon rectum
    stomach pancreas heart aorta artery vein node nodes skin muscle frontal temporal parietal
    occipital cerebellum insula thalamus pons medulla ventricle falx axial coronal sagittal oblique
    links rechts oben unten mitte beidseits lappen lunge leber niere
    cell cells small large giant squamous clear non not and with without other mixed typical
    atypical early late acute chronic old new mild moderate severe high low grade stage type class
    group level score risk type normal abnormal none unknown absent present positive negative
    benign malignant tumor tumour cancer mass cyst cysts lesion nodule polyp abscess bleed stroke
    infarct fracture embolism clot trauma injury ulcer hernia stone stones calculus scar air fluid
    fat gas blood pus water soft tissue solid part ground glass subsolid cystic sharp smooth round
    oval irregular lobulated spiculated dense sparse diffuse focal nodular patchy crazy paving
    usual disease syndrome pattern sign failure arrest shock sepsis asthma copd gout lupus
    smoker never former current male female white black asian hispanic red green blue yellow
    monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag
    freitag samstag sonntag january february march april may june july august september october
    november december spring summer autumn winter morning evening night
    siemens philips toshiba canon hitachi shimadzu neusoft healthcare medical systems vendor
    somatom definition force sensation emotion perspective edge drive flash naeotom alpha aquilion
    prime lightning brilliance ingenuity iqon spectral incisive lightspeed discovery revolution
    optima brightspeed vct evo apex ultra pro plus one genesis vision standard lung detail
    hospital clinic centre center university site study trial arm cohort network institute
    image images scan scans slice slices series mask masks seg segmentation label labels file
    files volume phase contrast venous arterial portal delayed native plain pre post dicom nifti
    png ser img dcm anon patient case subject visit baseline follow followup crop cropped resampled
    spleen dose kernel recon thin thick window view frontal lateral rotated flipped
    lepidic acinar papillary micropapillary mucinous invasive minimally situ ductal luminal basal
    epidural subdural subarachnoid intraventricular intraparenchymal contusion edema mesial
    surgery radiation chemotherapy immunotherapy placebo control treatment drug aspirin
    recovered died alive dead discharged transferred home ward emergency
    mesothelioma lymph metastasis metastases primary secondary recurrent residual complete partial
    response progressive stable disease
    """
WORDS = frozenset(TEXT.split())


def is_ordinary(cell: str) -> bool:
    """Tell whether a cell has a word that findings, machines or files are called by."""
    words = re.findall(r"[^\W\d_]+", cell.lower())
    return any(word in WORDS or (len(word) > 4 and ENDING.fullmatch(word)) for word in words)
