from . import backbones as backbones
from . import datasets as datasets
from . import errors as errors
from .augmentation import Augmenter as Augmenter
from .backbones import is_backbone as is_backbone
from .backbones import list_backbones as list_backbones
from .backbones import register_backbone as register_backbone
from .balancing import Balancer as Balancer
from .classifier import TransferClassifier as TransferClassifier
from .cross_validation import cross_validate as cross_validate
from .datasets.isbi import ISBIDataset as ISBIDataset
from .ensemble import Ensemble as Ensemble
from .recipes import list_recipes as list_recipes
from .report import MetricsReport as MetricsReport
from .report import MulticlassReport as MulticlassReport
from .stages import Probe as Probe
from .stages import Stage as Stage

__version__: str
