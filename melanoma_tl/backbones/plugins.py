"""Backbones of other packages, found by their entry points."""

import warnings
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from melanoma_tl.errors import DuplicateNameError, PluginWarning, in_one_line

GROUP = "melanoma_tl.backbones"
"""The entry-point group: each entry names a module that calls ``register_backbone`` when it is imported."""


def load_plugins(table: dict[str, Any]) -> None:
    """Import the modules that the entry points name.

    A plugin that raises, or replaces what was there before, is left out as a whole,
    and a `PluginWarning` says so: one broken package must not take the library down,
    nor change what a name means.

    Parameters
    ----------
    table : dict of str to BackboneSpec
        The backbones; changed in place by what the modules register.
    """
    for plugin in entry_points(group=GROUP):
        before = dict(table)
        try:
            plugin.load()
            _check_nothing_is_replaced(before, table)
        except Exception as error:
            table.clear()
            table.update(before)
            warnings.warn(
                f"the backbones of {_describe(plugin)} are left out: {in_one_line(error)}",
                PluginWarning,
                stacklevel=5,
            )


def _check_nothing_is_replaced(before: dict[str, Any], after: dict[str, Any]) -> None:
    replaced = [name for name, spec in before.items() if after.get(name) is not spec]
    if replaced:
        raise DuplicateNameError(f"it replaces {', '.join(map(repr, replaced))}; a plugin must choose names of its own")


def _describe(plugin: EntryPoint) -> str:
    package = "an unknown package" if plugin.dist is None else f"the package {plugin.dist.name!r}"
    return f"the plugin {plugin.name!r} ({plugin.value}) of {package}"
