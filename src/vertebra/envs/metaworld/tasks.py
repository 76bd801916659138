"""Sentences for Meta-World's tasks, which have none of their own."""

from collections.abc import Mapping

FIVE: Mapping[str, tuple[str, str]] = {
    "button-press-topdown-v3": ("press the button from above", "push the button down"),
    "door-open-v3": ("open the door", "pull the door open"),
    "drawer-close-v3": ("close the drawer", "push the drawer shut"),
    "drawer-open-v3": ("open the drawer", "pull the drawer out"),
    "window-open-v3": ("open the window", "slide the window open"),
}
"""Task to what is said, and to a held-out wording."""
TEN: Mapping[str, tuple[str, str]] = {
    **FIVE,
    "peg-insert-side-v3": ("insert the peg sideways", "put the peg into the hole in the side"),
    "pick-place-v3": ("pick up the puck and hold it at the goal", "lift the puck to the goal"),
    "push-v3": ("push the puck to the goal", "slide the puck onto the goal"),
    "reach-v3": ("reach the goal", "move the hand to the goal"),
    "window-close-v3": ("close the window", "slide the window shut"),
}
WORLDS: Mapping[str, Mapping[str, tuple[str, str]]] = {"five": FIVE, "ten": TEN}
"""Sets of tasks that a pilot can ask for; ``ten`` are those of MT10."""
