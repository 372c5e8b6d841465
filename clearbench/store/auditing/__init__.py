"""Are identifiers of patients in some files? What is looked for, and where it is found."""
