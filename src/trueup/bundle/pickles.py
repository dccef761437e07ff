"""What would opening this pickle run? Its globals are read without executing it, then it is opened with those only.

A pickle is a program: it names globals and calls them. Two layers: `scan_pickle` reads the opcodes and refuses by name,
before anything runs; `load_pickle` then resolves each name and refuses what is not a class, or is not defined where the
name says (a library that imports ``os`` offers ``os.system`` under its own name). `pickle_names` holds the list.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import pickletools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trueup.bundle.environment import imported_modules
from trueup.bundle.errors import ModelFailed, PickleRefused
from trueup.bundle.pickle_names import NEVER_TRUSTED, is_harmless, is_listed, is_ours, is_standard

_STRINGS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_STORES = ("PUT", "BINPUT", "LONG_BINPUT")
_FETCHES = ("GET", "BINGET", "LONG_BINGET")
_OUTSIDE = ("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID")
_BY_VALUE = ("cloudpickle", "dill", "_dill")
_PROBLEMS = (ValueError, IndexError, KeyError, OverflowError, EOFError, pickle.UnpicklingError)
_LAST_PROTOCOL = 5


@dataclass(frozen=True)
class OwnCode:
    """The project's own code, which runs anyway when it is imported, and so may lend its names to the pickle."""

    modules: frozenset[str] = frozenset()
    """Its top-level modules."""
    libraries: frozenset[str] = frozenset()
    """Top-level modules that it imports: classes defined there are allowed, functions are not."""
    folder: Path | None = None
    """Where its modules come from; None: a module of that name from anywhere."""

    @classmethod
    def of(cls, code: Mapping[str, bytes], *, folder: Path | None = None) -> Self:
        """Return what a bundle's code lends, from its files by their path in ``code/``."""
        modules = frozenset(path.partition("/")[0].removesuffix(".py") for path in code)
        return cls(modules, frozenset(imported_modules(code)), folder)

    def has(self, module: str) -> bool:
        """Return whether a module is the project's own; one named like a module of Python or of a library is not."""
        root = module.partition(".")[0]
        return root in self.modules and root not in sys.stdlib_module_names and not _is_known(root)

    def imports(self, module: str) -> bool:
        """Return whether a module belongs to another library that the code imports."""
        root = module.partition(".")[0]
        taken = root in sys.stdlib_module_names or root in NEVER_TRUSTED or _is_known(root)
        return root in self.libraries and not taken


def scan_pickle(content: bytes, *, own: OwnCode = OwnCode()) -> tuple[tuple[str, str], ...]:
    """Return module and name of every global that a pickle refers to; nothing of it is executed.

    Raises
    ------
    PickleRefused
        A global is not on the allow-list (the message names it), or the bytes are no pickle that can be read.
    ModelFailed
        A module is neither in the code nor installed.
    """
    found = tuple(sorted(set(_globals_of(content))))
    for module, name in found:
        _refuse_unlisted(module, name, own)
    return found


def load_pickle(content: bytes, *, own: OwnCode = OwnCode()) -> Any:
    """Return the object in a pickle, after `scan_pickle`.

    Call it in a process that confined itself (`sandbox`): the list keeps a pickle from naming what it should not, not a
    hostile array from crashing the library that opens it.

    Raises
    ------
    PickleRefused
        A global is refused by its name, or by what it turns out to be.
    """
    scan_pickle(content, own=own)
    try:
        return _Restricted(content, own).load()
    except (IndexError, EOFError, pickle.UnpicklingError) as error:
        raise _no_pickle(error) from error


class _Restricted(pickle.Unpickler):
    def __init__(self, content: bytes, own: OwnCode) -> None:
        super().__init__(io.BytesIO(content))
        self._own = own

    def find_class(self, module: str, name: str) -> Any:
        """Return the global when it is on the list and is what its name says."""
        _refuse_unlisted(module, name, self._own)
        try:
            value = super().find_class(module, name)
        except (AttributeError, ImportError) as error:
            raise ModelFailed(
                f"the model needs {module}.{name}, which is not here; the library has another version than where the "
                "model was made",
                module=module,
                name=name,
            ) from error
        if is_standard(module, name) or self._is_allowed(module, name, value):
            return value
        raise _refused(module, name, _what_it_is(value))

    def _is_allowed(self, module: str, name: str, value: Any) -> bool:
        if self._own.has(module):
            return self._is_own(module, value)
        defined = str(getattr(value, "__module__", ""))
        if is_ours(module):
            return defined == module and callable(value)
        if self._own.imports(module):
            return isinstance(value, type) and self._own.imports(defined)
        return is_harmless(name, value)

    def _is_own(self, module: str, value: Any) -> bool:
        """Return whether a value comes from the bundle's code, not from what that code imports."""
        source = getattr(sys.modules[module], "__file__", None)
        folder = self._own.folder
        if folder is not None and (source is None or not Path(source).is_relative_to(folder)):
            return False
        defined = str(getattr(value, "__module__", ""))
        return self._own.has(defined) or (isinstance(value, type) and is_harmless(value.__name__, value))


def _globals_of(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield what GLOBAL, INST and STACK_GLOBAL refer to; the two strings of the last must be plainly there."""
    memo: dict[int, str | None] = {}
    recent: list[str | None] = []
    try:
        for opcode, argument, _ in pickletools.genops(content):
            name = opcode.name
            if name == "PROTO" and int(argument or 0) > _LAST_PROTOCOL:
                raise ValueError(argument)
            if name in _OUTSIDE:
                raise PickleRefused(f"the model is refused: its pickle refers to values outside itself ({name})")
            if name in ("GLOBAL", "INST"):
                module, _, attribute = str(argument).partition(" ")
                yield module, attribute
            elif name == "STACK_GLOBAL":
                yield _named_by(recent)
            if name == "MEMOIZE" or name in _STORES:
                memo[len(memo) if argument is None else int(argument)] = recent[-1] if recent else None
            elif name in _STRINGS:
                recent = [*recent[-1:], str(argument)]
            elif name in _FETCHES:
                recent = [*recent[-1:], memo.get(-1 if argument is None else int(argument))]
            elif name not in ("FRAME", "PROTO"):
                recent = []
    except _PROBLEMS as error:
        raise _no_pickle(error) from error


def _named_by(recent: list[str | None]) -> tuple[str, str]:
    if len(recent) == 2 and recent[0] is not None and recent[1] is not None:
        return recent[0], recent[1]
    raise PickleRefused("the model is refused: its pickle computes the name of a global instead of stating it")


def _refuse_unlisted(module: str, name: str, own: OwnCode) -> None:
    if is_standard(module, name) or own.has(module):
        return
    if "." in name:
        raise _refused(module, name, "it reaches through another object")
    if is_ours(module) or own.imports(module) or is_listed(module, name):
        return
    root = module.partition(".")[0]
    if root in _BY_VALUE or (module, name) == ("types", "CodeType"):
        raise _refused(
            module,
            name,
            "it carries a function by value, such as a lambda or one of a notebook; define the function in pipeline.py",
        )
    if root == "__main__":
        raise _refused(module, name, "it was defined in a script or notebook; define it in pipeline.py")
    if not _exists(root):
        raise ModelFailed(
            f'the model needs the module "{root}", which is neither in the bundle\'s code nor installed here; put it '
            "beside pipeline.py, or install it",
            module=root,
        )
    if _is_known(root) or root in sys.stdlib_module_names or root in NEVER_TRUSTED:
        raise _refused(module, name, "no model needs it, and it could read, write or run something")
    raise _refused(module, name, f'the project\'s code does not import "{root}"; import it in pipeline.py')


def _is_known(root: str) -> bool:
    return root in ("numpy", "pandas", "scipy", "sklearn", "lightgbm", "xgboost", "pyarrow", "trueup")


def _exists(root: str) -> bool:
    """Return whether a top-level module can be found; nothing of it is run."""
    if root in sys.modules:
        return True
    try:
        return importlib.util.find_spec(root) is not None
    except (ImportError, ValueError):
        return False


def _what_it_is(value: Any) -> str:
    defined = getattr(value, "__module__", None)
    if isinstance(value, type) or not callable(value):
        return f"it is not defined there{f', but in {defined}' if isinstance(defined, str) else ''}"
    return "it is a function, which could do anything; call it in a function of pipeline.py"


def _no_pickle(error: Exception) -> PickleRefused:
    return PickleRefused(f"the model is refused: its file is no whole pickle ({type(error).__name__})")


def _refused(module: str, name: str, why: str) -> PickleRefused:
    return PickleRefused(
        f"the model is refused: its pickle refers to {module}.{name}: {why}; nothing of it was run",
        module=module,
        name=name,
    )
