from .pooling import pool as pool
