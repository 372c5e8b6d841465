"""Lesion tables and DeepLesion's slices with boxes, for pretraining."""
