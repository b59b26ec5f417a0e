"""Batches, the engine, the engine for one subject, checkpoints, denoised targets."""
