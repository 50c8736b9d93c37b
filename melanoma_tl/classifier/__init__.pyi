from .cross_validation import cross_validate as cross_validate
from .ensemble import Ensemble as Ensemble
from .out_of_fold import OutOfFold as OutOfFold
from .transfer import TransferClassifier as TransferClassifier
