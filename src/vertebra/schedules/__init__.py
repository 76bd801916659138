"""Schedules: what is denoised when, and what is kept between evaluations."""
