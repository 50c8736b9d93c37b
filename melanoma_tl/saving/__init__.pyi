from .export import TOLERANCE as TOLERANCE
from .export import ExportedModel as ExportedModel
