"""The error tree: what each error means for the exit code, and that the drawing is the code."""

import inspect

import pytest

from realfill import errors


def _tree() -> list[type[BaseException]]:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    return [kind for kind in kinds if issubclass(kind, errors.RealFillError)]


def test_the_drawing_names_every_error_once() -> None:
    drawn = [word for line in (errors.__doc__ or "").splitlines()[2:] for word in line.split() if word[0].isupper()]
    for kind in _tree():
        assert drawn.count(kind.__name__) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SceneError("x"), 2),
        (errors.OptionError("x"), 2),
        (errors.WeightsError("x"), 2),
        (errors.RunBusy("x"), 2),
        (errors.Interrupted("x"), 3),
        (errors.Diverged("x"), 3),
        (errors.OutOfMemory("x"), 3),
        (errors.DiskFull("x"), 3),
        (KeyboardInterrupt(), 3),
        (ZeroDivisionError(), 1),
        (errors.RealFillError("x"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert errors.exit_code(error) == code


def test_the_sentence_is_what_the_error_prints() -> None:
    for kind in _tree():
        assert str(kind("The mask is empty.")) == "The mask is empty."
