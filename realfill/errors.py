"""Every error a person can meet, as one tree. Each carries one sentence that names the thing and the cure.

`SceneError("{name} is empty; …", name=path.name)`: key and places stay apart, so that a page can tell the sentence in
another language.

RealFillError                 anything we refuse or cannot do; `str(error)` is the sentence
├── InputError                the input or the options are wrong: exit code 2, nothing was started
│   ├── SceneError            a photo, mask or scene folder
│   ├── OptionError           a name or a value that does not exist or does not fit
│   └── WeightsError          pretrained weights that are missing, damaged or of another kind
├── RunError                  a run folder that cannot be used as asked
│   └── RunBusy               another process is working on it
├── Interrupted               stopped on purpose or from outside: exit code 3, run again to go on
│   └── TurnOver              its share of a device's time is used up; it waits for the next one
└── StageError                a stage could not go on; what was written before stays good
    ├── Diverged              the loss became infinite or not a number
    ├── OutOfMemory           the device has too little memory, even at the smallest batch
    └── DiskFull              no space is left for the run folder
"""

from .sentences import Sentence


class RealFillError(Exception):
    """Base of all errors that are meant for a person; `sentence` is what it says."""

    def __init__(self, sentence: str = "", /, **places: object) -> None:
        self.sentence = sentence if isinstance(sentence, Sentence) and not places else Sentence(sentence, **places)
        super().__init__(self.sentence)


class InputError(RealFillError):
    """The input or the options are wrong."""


class SceneError(InputError):
    """A photo, a mask or a scene folder cannot be used."""


class OptionError(InputError):
    """An option's name or value is wrong."""


class WeightsError(InputError):
    """Pretrained weights are missing, damaged or of another kind."""


class RunError(RealFillError):
    """A run folder cannot be used as asked."""


class RunBusy(RunError):
    """Another process is working on the run."""


class Interrupted(RealFillError):
    """Work was stopped on purpose; running the same command again goes on."""


class TurnOver(Interrupted):
    """A share of a device's time is used up; what is done is saved and goes on with the next share."""


class StageError(RealFillError):
    """A stage could not go on; what was written before it stays good."""


class Diverged(StageError):
    """The loss became infinite or not a number."""


class OutOfMemory(StageError):
    """The device has too little memory."""


class DiskFull(StageError):
    """No space is left on the disk of the run folder."""


INTERRUPTED = "Interrupted; the same command goes on from here."
EXIT_DONE, EXIT_DEFECT, EXIT_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 3


def exit_code(error: BaseException) -> int:
    """The command line's exit code for an error: 2 input, 3 interrupted or resumable, 1 a defect."""
    if isinstance(error, (InputError, RunError)):
        return EXIT_INPUT
    if isinstance(error, (Interrupted, StageError, KeyboardInterrupt)):
        return EXIT_INTERRUPTED
    return EXIT_DEFECT
