"""Timings of tinygrad_dnn against NumPy, PyTorch and JAX; nothing here is imported by the package or its tests."""
