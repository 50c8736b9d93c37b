from .backbone_comparison import BackboneComparison as BackboneComparison
from .backbone_comparison import BackboneResult as BackboneResult
from .backbone_comparison import compare_backbones as compare_backbones
from .cross_validation import cross_validate as cross_validate
from .ensemble import Ensemble as Ensemble
from .out_of_fold import OutOfFold as OutOfFold
from .transfer import TransferClassifier as TransferClassifier
