from .array_store import StoredArrays as StoredArrays
from .decoding import MIN_SIDE as MIN_SIDE
from .decoding import REDUCING_GAP as REDUCING_GAP
from .decoding import ImageFile as ImageFile
from .decoding import SkippedRow as SkippedRow
from .decoding import decode as decode
from .decoding import load_image as load_image
from .fingerprints import Fingerprints as Fingerprints
