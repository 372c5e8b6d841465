"""Is attention right: does it fall on marked slices, and does the score follow it?"""
