from .cross_validation import cross_validate as cross_validate
from .ensemble import CrossValidation as CrossValidation
from .ensemble import Ensemble as Ensemble
from .transfer import TransferClassifier as TransferClassifier
