"""Write ``v1.json`` anew: ``python -m tests.vectors``."""

from tests.vectors.samples import PATH, document

PATH.write_text(document(), encoding="utf-8")
print(PATH.name)
