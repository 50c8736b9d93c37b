from .learning_rate_finder import LearningRateDisplay as LearningRateDisplay
from .penalty_path import PenaltyPath as PenaltyPath
from .settings import Loss as Loss
from .settings import Optimizer as Optimizer
from .settings import Resources as Resources
from .stages import Probe as Probe
from .stages import Stage as Stage
