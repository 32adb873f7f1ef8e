"""Several processes that share a training step, by accelerate."""

from typing import Any


class ProcessGroup:
    """The processes of `accelerate launch`; one alone when started without it, or where that is asked for."""

    def __init__(self, device: str, *, alone: bool = False) -> None:
        self._state: Any = None
        if not alone:
            from accelerate import PartialState

            self._state = PartialState(cpu=device == "cpu")
        self.count = 1 if alone else int(self._state.num_processes)
        self._alone = self.count == 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and reports."""
        return self._state is None or bool(self._state.is_main_process)

    @property
    def is_shared(self) -> bool:
        """Whether there are others."""
        return not self._alone

    def leave(self) -> None:
        """From here on the main process goes on by itself."""
        self._alone = True

    def device(self, name: str) -> str:
        """This process' own device, where `name` was asked for: of several CUDA devices each gets one."""
        return str(self._state.device) if self.is_shared and name == "cuda" else name

    def barrier(self) -> None:
        """Returns when all processes have come here."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def any_true(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all must ask together."""
        if not self.is_shared:
            return flag
        from accelerate.utils import gather_object

        return any(gather_object([flag]))
