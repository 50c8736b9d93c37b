"""Show types and defaults in the API reference as docstrings and signatures have them.

Griffe reads the type ``{"pooled", "published"}, PooledHead`` as an expression of
Python, shows ``(pooled, published)``, and takes the first choice for the default; ``str, int or None`` is a
tuple to it.
"""

import re

import griffe

_ENDING = re.compile(r",\s+(?:default\s?[ :=]\s?.+|optional)$")


class WrittenTypes(griffe.Extension):
    """Take types that are not Python from the words of the docstring, and defaults from the signature."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Correct one object, once its docstring can be parsed."""
        if isinstance(obj, griffe.Class) and "__new__" in obj.members:
            obj.members.setdefault("__init__", obj.members["__new__"])  # where griffe looks for the parameters
        if obj.docstring is None or obj.docstring.parser is None:
            return
        signature = obj.parameters if isinstance(obj, griffe.Class | griffe.Function) else ()
        for section in obj.docstring.parsed:
            if section.kind in (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes):
                for entry in section.value:
                    written = re.search(rf"^{re.escape(entry.name)} : (.+)$", obj.docstring.value, flags=re.M)
                    if written and ('"' in written[1] or str(entry.annotation).startswith("(")):
                        entry.annotation = _ENDING.sub("", written[1])
                    if section.kind is griffe.DocstringSectionKind.parameters and entry.name in signature:
                        entry.value = signature[entry.name].default
