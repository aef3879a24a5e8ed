"""The intake, killed between write and commit: `faust -A tests.killed worker`.

It dies by SIGKILL when a block with a sample of the service `die` is in the journal and not yet done.
"""

import os
import signal

from app import intake


class Killed(intake.Intake):
    """Dies once what it was told to die of is written."""

    async def _block(self, kind, block):
        await super()._block(kind, block)
        if any(b'"die"' in (record.value or b"") for record in block.records):
            os.kill(os.getpid(), signal.SIGKILL)


def __getattr__(name):
    if name == "app":
        intake.Intake = Killed
        return intake.faust_app()
    raise AttributeError(name)
