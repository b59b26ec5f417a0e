"""Run the notebook docs/first_steps.ipynb and store what it prints and draws; without Jupyter.

Run it after a change of a cell: `python docs/run_notebook.py`. A test runs it too and compares.
"""

import base64
import contextlib
import io
import json
import tempfile
from pathlib import Path

import matplotlib

NOTEBOOK = Path(__file__).with_name("first_steps.ipynb")


def run(notebook: dict) -> dict:
    """Return the notebook with the outputs that its code cells have now.

    Args:
        notebook: Content of an `.ipynb` file, version 4.
    """
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scope: dict = {"__name__": "__main__"}
    cells = []
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            cells.append(cell)
            continue
        count += 1
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("".join(cell["source"]), f"cell {count}", "exec"), scope)
        outputs: list[dict] = []
        if said.getvalue():
            text = said.getvalue().splitlines(keepends=True)
            outputs.append({"name": "stdout", "output_type": "stream", "text": text})
        for number in plt.get_fignums():
            picture = io.BytesIO()
            plt.figure(number).savefig(picture, format="png", dpi=80, metadata={"Software": None})
            image = base64.b64encode(picture.getvalue()).decode()
            data = {"image/png": image}
            outputs.append({"data": data, "metadata": {}, "output_type": "display_data"})
        plt.close("all")
        cells.append({**cell, "execution_count": count, "outputs": outputs})
    return {**notebook, "cells": cells}


if __name__ == "__main__":
    notebook = NOTEBOOK.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes files
        done = run(json.loads(notebook.read_text(encoding="utf-8")))
    notebook.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
