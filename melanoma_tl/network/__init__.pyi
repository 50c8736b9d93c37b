from .heads import PooledHead as PooledHead
from .pooling import pool as pool
