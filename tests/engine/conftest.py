"""Put the directory above on the path, for the reference interpreter that lives there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
