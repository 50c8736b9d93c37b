"""Which versions produced a result."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("melanoma_tl", "keras", "tensorflow", "jax", "torch", "numpy", "scikit-learn", "pillow")


def library_versions() -> dict[str, str]:
    """List the versions of everything that has a say in a result.

    Returns
    -------
    dict of str to str
        Python and the installed ones among this library, Keras, its backends,
        NumPy, scikit-learn and Pillow. Nothing is imported for it.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
