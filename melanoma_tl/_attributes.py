"""What users are told of an attribute that an object lacks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from melanoma_tl.errors import find_meant

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
}
"""What takes the place of the attributes of models of Keras and scikit-learn."""


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
            meant = find_meant(name, (one for one in dir(kind) if not one.startswith("_")))
            advice = f"; use {instead}" if instead else f". Did you mean {meant!r}?" if meant else ""
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}{advice}")
