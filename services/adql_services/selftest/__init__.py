"""Tries services that run."""
