"""Quality of attention: is it on marked slices, and does the score depend on it?"""
