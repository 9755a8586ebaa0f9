"""Hyper-representation."""
