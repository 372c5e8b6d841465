"""Trained heads on disk, and their use on new scans."""
