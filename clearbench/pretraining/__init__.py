"""LeCL."""
