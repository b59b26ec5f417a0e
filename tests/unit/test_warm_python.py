"""A program in a fork runs as one that Python starts anew."""

import json
import os
import sys

from tiny_study import WARM

PROGRAM = """
import atexit, json, os, sys, threading
atexit.register(print, "at exit")
def late():
    threading.main_thread().join()
    print("thread", flush=True)
threading.Thread(target=late).start()
print(json.dumps([os.getcwd(), os.environ["MARK"], sys.argv, __name__, "torch" in sys.modules]))
import beside
print(beside.__file__, "mrisr" in sys.modules)
exec(sys.argv[1])
"""


def run(folder, then):
    program = folder / "program.py"
    program.write_text(PROGRAM)
    (folder / "libraries").mkdir(exist_ok=True)
    (folder / "libraries/beside.py").touch()
    paths = {"PYTHONPATH": str(folder / "libraries"), "MARK": "here"}
    return WARM.run([str(program), then], {**os.environ, **paths}, folder)


def test_it_has_its_own_folder_environment_arguments_and_modules(tmp_path):
    code, said = run(tmp_path, "sys.exit()")
    lines = said.splitlines()
    told = [line for line in lines if line.startswith("[")]
    argv = [str(tmp_path / "program.py"), "sys.exit()"]
    assert json.loads(told[0]) == [str(tmp_path), "here", argv, "__main__", True]
    assert f"{tmp_path}/libraries/beside.py False" in lines
    assert "thread" in lines and lines[-1] == "at exit"
    assert code == 0


def test_its_end_is_told(tmp_path):
    assert run(tmp_path, "sys.exit(3)")[0] == 3
    code, said = run(tmp_path, "sys.exit('why')")
    assert code == 1 and "why" in said.splitlines()
    code, said = run(tmp_path, "1 / 0")
    assert code == 1 and "ZeroDivisionError: division by zero" in said
    assert run(tmp_path, "os.kill(os.getpid(), 9)")[0] == 128 + 9


def test_a_module_is_found_in_the_folder(tmp_path):
    (tmp_path / "tool.py").write_text("import sys; print(sys.argv[1:], sys.executable)")
    code, said = WARM.run(["-m", "tool", "a b"], dict(os.environ), tmp_path)
    assert (code, said) == (0, f"['a b'] {sys.executable}\n")
