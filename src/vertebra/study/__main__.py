"""``python -m vertebra.study FILE``: measure the rule and write the tables (`make study`)."""

import sys
from pathlib import Path

from vertebra.study.tables import page

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(null_pilots=2000, power_pilots=500), encoding="utf-8")
