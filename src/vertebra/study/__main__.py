"""``python -m vertebra.study FILE``: measure the rule and write the tables (`make study`)."""

import sys
from pathlib import Path

from vertebra.study.tables import page

if __name__ == "__main__":
    text = page(null_pilots=10_000, power_pilots=1000, looks_pilots=2000, bill_pilots=500)
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
