import sys
from pathlib import Path

from recipes.bbj.write import write

write(Path(sys.argv[1]))
