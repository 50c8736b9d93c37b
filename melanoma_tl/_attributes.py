"""What users are told of an attribute that an object or a package lacks."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import lazy_loader

_OF_PANDAS = (
    "head",
    "tail",
    "columns",
    "dtypes",
    "iloc",
    "loc",
    "describe",
    "info",
    "groupby",
    "value_counts",
    "query",
)
IN_DATASETS = dict.fromkeys(_OF_PANDAS, "to_frame(), a DataFrame of pandas") | {
    "shape": "len(dataset)",
    "targets": "labels",
    "classes": "class_names",
    "patients": "metadata['patient_id']",
    "train_test_split": "split()",
    "shuffle": "sample()",
    "plot": "Augmenter().preview(dataset), which draws some of the images",
    "show": "Augmenter().preview(dataset), which draws some of the images",
    "to_csv": "to_frame().to_csv(path, index=False)",
}
"""What takes the place of the attributes of tables of other libraries."""

IN_CLASSIFIERS = {
    "evaluate": "MetricsReport.from_estimator(classifier, test)",
    "cross_validate": "melanoma_tl.cross_validate(classifier, train)",
    "summary": "model_.summary()",
    "model": "model_",
    "history": "history_",
    "classes": "classes_",
    "compile": "optimizer=, loss= and metrics= of the classifier",
    "callbacks": "fit(callbacks=...)",
    "train": "fit()",
    "decision_function": "predict_proba()",
    "plot": "melanoma_tl.plots.HistoryDisplay(classifier.history_).plot(), plot_roc() and the others of a "
    "MetricsReport, or melanoma_tl.explain.explain(classifier, images).plot()",
}
"""What takes the place of the attributes of models of Keras and scikit-learn."""


IN_REPORTS = {
    "summary": "print(report)",
    "show": "save('report.html'), or the report as the last line of a notebook's cell",
    "plot": "plot_roc() and the others, or save_figures(folder)",
    "to_html": "save('report.html')",
    "to_csv": "to_frame().to_csv(path)",
}
"""What takes the place of the attributes that one looks for in a report on any number of classes."""

IN_PACKAGE = {
    "read_csv": "ISBIDataset.from_csv",
    "read_excel": "ISBIDataset.from_frame(pandas.read_excel(path))",
    "load_model": "TransferClassifier.load",
    "load": "TransferClassifier.load",
    "train_test_split": "ISBIDataset.split",
    "classification_report": "MetricsReport.from_scores",
}
"""What takes the place of the functions of other libraries."""


def attach(
    package: str, file: str, elsewhere: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Import the names of a package when they are first used, and say what a name that it lacks may have meant.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    file : str
        Its ``__file__``; the names are those that the stub beside it imports.
    elsewhere : mapping of str to str, optional
        What to use instead, by the name in other libraries.

    Returns
    -------
    tuple
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.
    """
    load, list_names, names = lazy_loader.attach_stub(package, file)

    def load_or_explain(name: str) -> Any:
        if name.startswith("_") or name in names:
            return load(name)
        advice = _advise(name, (elsewhere or {}).get(name), names)
        raise AttributeError(f"module {package!r} has no attribute {name!r}{advice}")

    return load_or_explain, list_names, names


def _advise(name: str, instead: str | None, names: Iterable[str]) -> str:
    from melanoma_tl.errors import find_meant  # only here, so that the package is imported in little time

    if instead:
        return f"; use {instead}"
    meant = find_meant(name, names)
    return f". Did you mean {meant!r}?" if meant else ""


class ExplainsAttributes:
    """Base of objects that say where something is that another library has as an attribute."""

    _elsewhere: ClassVar[Mapping[str, str]] = {}  # what to use instead, by the name in other libraries

    if not TYPE_CHECKING:  # else type checkers would accept every attribute

        def __getattr__(self, name: str) -> Any:
            """Raise the error of an attribute that does not exist, with what may have been meant."""
            kind = type(self)
            if name.startswith("_") or hasattr(kind, name):  # Python asks for the first; of the second, the own error
                return object.__getattribute__(self, name)
            is_fitted = name.endswith("_") and hasattr(kind, "fit")
            instead = kind._elsewhere.get(name, "fit() first" if is_fitted else None)
            advice = _advise(name, instead, (one for one in dir(kind) if not one.startswith("_")))
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}{advice}")
