"""Every kind of checkpoint that the audit was written for."""

from vertebra.audit.layout import Layout
from vertebra.audit.layouts_component import COMPONENTS
from vertebra.audit.layouts_other import OTHERS
from vertebra.audit.layouts_video import VIDEO_MODELS
from vertebra.audit.layouts_vla import VLA_POLICIES
from vertebra.audit.layouts_vlm import VLMS
from vertebra.audit.layouts_wam import WAM_POLICIES

KNOWN: tuple[Layout, ...] = (
    *(*VLA_POLICIES, *WAM_POLICIES, *OTHERS),
    *(*VLMS, *VIDEO_MODELS, *COMPONENTS),
)
"""Policies first: of two that fit the same tensors, the earlier speaks."""
