"""Denoisers that are trained here, and samplers for any denoiser."""
