"""The ground floor: errors, files that appear whole, locks, logs, seeds, schemas, paths, digests.

Knows nothing of MRI.
"""
