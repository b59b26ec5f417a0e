"""Where the package lies, and what lies beside it: the only place that asks."""

from pathlib import Path

#: The package itself.
PACKAGE = Path(__file__).parents[1]
#: Methods, datasets, rules, scripts, schemas, templates.
WORKFLOW = PACKAGE.parent
#: The checkout.
ROOT = WORKFLOW.parent
