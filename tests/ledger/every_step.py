"""Breaks a night at every single step that touches the disk: `python every_step.py FOLDER kill|full STRIDE`.

Python announces each such step to audit hooks before it is done. The n-th one kills the process, or fails as on a full
disk; n grows until a night passes undisturbed. After each, what is there must be whole, and the next run must give the
same bytes as a night without trouble. Prints how many steps were broken; with a stride of 9 it is every ninth.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import night

from smearscan.errors import OutputError

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}
UNDISTURBED, STOPPED, WENT_ON = 0, 4, 5  # exit codes of a night


class BrokenStep:
    """Arms the hook in this process."""

    def __init__(self, number: int, how: str, out: Path) -> None:
        self.number, self.how, self.out = number, how, out
        self.seen = 0
        sys.addaudithook(self.hook)

    @property
    def happened(self) -> bool:
        return self.seen >= self.number

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        opens = event == "open" and str(arguments[0]).startswith(str(self.out))
        if opens or event in CHANGES:
            self.seen += 1
            if self.seen == self.number:
                if self.how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))


def forked(work: Callable[[], bool]) -> int:
    """Do `work`, which says whether a step was broken, in a process of its own; return its exit code, negative for a signal."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            code = WENT_ON if work() else UNDISTURBED
        except OutputError as error:
            code = STOPPED if "disk is full" in str(error) else 1
            if code == 1:
                traceback.print_exc()
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(folder: Path, how: str, stride: int) -> None:
    before, undisturbed = folder / "before", folder / "undisturbed"
    night.scan(before, "old")
    night.scan(undisturbed, "new")
    expected = night.tree(undisturbed)
    for start in ("nothing", "an earlier report"):
        broken, step, code = 0, 1, WENT_ON
        while code != UNDISTURBED:
            out = folder / f"{start}, step {step}"
            if start != "nothing":
                shutil.copytree(before, out)

            def work(out: Path = out, step: int = step) -> bool:
                hook = BrokenStep(step, how, out)
                night.scan(out, "new")
                return hook.happened

            def again(out: Path = out) -> bool:
                night.scan(out, "new")
                return False

            code = forked(work)
            assert code in {UNDISTURBED, -signal.SIGKILL, STOPPED, WENT_ON}, f"{out.name}: ended with {code}"
            night.assert_whole(out)
            assert forked(again) == UNDISTURBED, f"{out.name}: the next run failed"
            assert night.tree(out) == expected, f"{out.name}: other bytes than an undisturbed run"
            left = {path.name for path in (out / ".smearscan").rglob("*")}
            assert left == {"lock", "format.json", "staging"}, f"{out.name}: {left} was left"
            shutil.rmtree(out)
            broken += code != UNDISTURBED
            step += stride
        print(f"{start}: {broken}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
