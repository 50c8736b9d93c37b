from .jobs import JobResult as JobResult
from .jobs import extract as extract
from .jobs import score as score
from .jobs import store_features as store_features
