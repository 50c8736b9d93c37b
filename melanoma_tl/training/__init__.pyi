from .learning_rate_finder import LearningRateDisplay as LearningRateDisplay
from .stages import Probe as Probe
from .stages import Stage as Stage
