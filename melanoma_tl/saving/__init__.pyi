from .export import ExportedModel as ExportedModel
from .exported import TOLERANCE as TOLERANCE
from .exported import ExportedClassifier as ExportedClassifier
