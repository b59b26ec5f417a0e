"""The ground floor: errors, files that appear whole, locks, logs, seeds, schemas, paths, digests.

This package has no code about MRI.
"""
