"""What a pickle would build, found without building it.

The instructions of a pickle are read one by one and followed with plain notes instead of objects:
nothing is imported, nothing is called. A pickle that would run a program when loaded is only
written down here.

Source: the instruction set as documented by ``pickletools`` of the standard library.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MOST_STEPS = 5_000_000
"""Instructions followed in one pickle; state dictionaries of the largest models need far fewer."""


@dataclass(eq=False)
class Name:
    """Something that would be imported.

    Attributes:
        text: Module and attribute, joined by a dot.
    """

    text: str


@dataclass(eq=False)
class Made:
    """Something that would be made by a call, or stored outside the pickle.

    Attributes:
        by: What would be called; "storage" for what is stored outside.
        args: With which arguments.
        items: Pairs that would be put into it afterwards.
        state: What it would be told to restore.
    """

    by: str
    args: tuple[Any, ...] = ()
    items: list[tuple[Any, Any]] = field(default_factory=list)
    state: Any = None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One pickle, followed to its end.

    Attributes:
        value: What it would yield.
        names: Everything it would import, in order, without repetition.
    """

    value: Any
    names: tuple[str, ...]


class _Mark:
    """Where the arguments of a later instruction begin."""


_MARK = _Mark()


def follow_pickle(stream: io.BytesIO) -> Trace:
    """Follow the next pickle of a stream and leave the stream behind it.

    Raises:
        ValueError: When it is not a pickle, is cut off, or is longer than a description of weights
            can be.
    """
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if step >= MOST_STEPS:
                raise ValueError(f"the pickle has more than {MOST_STEPS} instructions")
            machine.do(opcode.name, argument)
        return machine.trace()
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the pickle contradicts itself ({error!r})") from error


class _Machine:
    """The stack that an unpickler would have, holding notes."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names: dict[str, None] = {}

    def do(self, name: str, argument: Any) -> None:
        action = _ACTIONS.get(name)
        if action is not None:
            action(self, argument)
        elif name in _VALUES:
            self.stack.append(_VALUES[name])
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name not in _NOTHING:
            raise ValueError(f"the pickle holds the instruction {name}, which is not read here")

    def trace(self) -> Trace:
        return Trace(value=self.stack[-1], names=tuple(self.names))

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError("no mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError("stack is too short")
        found = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return found

    def import_name(self, module: str, attribute: str) -> None:
        text = f"{module}.{attribute}"
        self.names[text] = None
        self.stack.append(Name(text))

    def call(self, function: Any, arguments: Any) -> None:
        by = function.text if isinstance(function, Name) else repr(type(function).__name__)
        args = tuple(arguments) if isinstance(arguments, (tuple, list)) else (arguments,)
        self.stack.append(Made(by, args))

    def put_items(self, target: Any, flat: list[Any]) -> None:
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        if isinstance(target, Made):
            target.items.extend(pairs)

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])


def _global(machine: _Machine, argument: str) -> None:
    module, _, attribute = argument.partition(" ")
    machine.import_name(module, attribute)


def _stack_global(machine: _Machine, _: Any) -> None:
    module, attribute = machine.pop(2)
    machine.import_name(str(module), str(attribute))


def _reduce(machine: _Machine, _: Any) -> None:
    function, arguments = machine.pop(2)
    machine.call(function, arguments)


def _new_with_keywords(machine: _Machine, _: Any) -> None:
    function, arguments, _keywords = machine.pop(3)
    machine.call(function, arguments)


def _instance(machine: _Machine, argument: str) -> None:
    arguments = machine.since_mark()
    _global(machine, argument)
    machine.call(machine.stack.pop(), tuple(arguments))


def _object(machine: _Machine, _: Any) -> None:
    function, *arguments = machine.since_mark()
    machine.call(function, tuple(arguments))


def _build(machine: _Machine, _: Any) -> None:
    (state,) = machine.pop(1)
    if isinstance(machine.stack[-1], Made):
        machine.stack[-1].state = state


def _stored(machine: _Machine, _: Any) -> None:
    (place,) = machine.pop(1)
    machine.stack.append(Made("storage", place if isinstance(place, tuple) else (place,)))


def _append(machine: _Machine, values: list[Any]) -> None:
    if isinstance(machine.stack[-1], list):
        machine.stack[-1].extend(values)


def _dictionary(machine: _Machine, flat: list[Any]) -> None:
    made = Made("dict")
    machine.put_items(made, flat)
    machine.stack.append(made)


def _set_items(machine: _Machine, flat: list[Any]) -> None:
    machine.put_items(machine.stack[-1], flat)


_ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": lambda m, _: m.stack.append(_MARK),
    "POP": lambda m, _: m.pop(1),
    "POP_MARK": lambda m, _: m.since_mark(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append(Made("dict")),
    "EMPTY_SET": lambda m, _: m.stack.append([]),
    "LIST": lambda m, _: m.stack.append(m.since_mark()),
    "FROZENSET": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.pop(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.pop(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.pop(3))),
    "DICT": lambda m, _: _dictionary(m, m.since_mark()),
    "APPEND": lambda m, _: _append(m, m.pop(1)),
    "APPENDS": lambda m, _: _append(m, m.since_mark()),
    "ADDITEMS": lambda m, _: _append(m, m.since_mark()),
    "SETITEM": lambda m, _: _set_items(m, m.pop(2)),
    "SETITEMS": lambda m, _: _set_items(m, m.since_mark()),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda m, index: m.put(int(index))),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, index: m.get(int(index))),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "INST": _instance,
    "OBJ": _object,
    "BUILD": _build,
    "BINPERSID": _stored,
    "PERSID": lambda m, place: m.stack.append(Made("storage", (place,))),
}
_VALUES: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = frozenset(
    f"{prefix}{name}"
    for prefix, names in {
        "": ("INT", "LONG", "FLOAT", "STRING", "UNICODE", "BYTEARRAY8", "LONG1", "LONG4"),
        "BIN": ("INT", "INT1", "INT2", "FLOAT", "STRING", "UNICODE", "UNICODE8", "BYTES"),
        "SHORT_BIN": ("STRING", "UNICODE", "BYTES"),
    }.items()
    for name in names
) | {"BINBYTES8"}
_NOTHING = frozenset({"PROTO", "FRAME", "STOP"})
