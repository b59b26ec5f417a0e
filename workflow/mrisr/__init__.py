"""mrisr: a reproducible benchmark of MRI super-resolution, from scan to table.

The package says how each stage is done; it never imports Snakemake. Rules in `workflow/rules`
say what is made and when, scripts in `workflow/scripts` connect the two.
"""

__version__ = "0.2.0.dev0"
