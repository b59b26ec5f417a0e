"""Where the package and the folders beside it lie; no other module works this out."""

from pathlib import Path

#: The package itself.
PACKAGE = Path(__file__).parents[1]
#: Methods, datasets, rules, scripts, schemas, templates.
WORKFLOW = PACKAGE.parent
#: The checkout.
ROOT = WORKFLOW.parent
