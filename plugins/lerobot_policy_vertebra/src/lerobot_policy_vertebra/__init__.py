"""Policies of vertebra in LeRobot; importing this registers them."""

from lerobot_policy_vertebra.configuration_vertebra import VertebraConfig

__all__ = ["VertebraConfig"]
