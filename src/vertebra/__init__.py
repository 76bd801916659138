"""vertebra: which backbone should a robot policy stand on, a VLM, a video model, or both?"""

__version__ = "0.1.0"
