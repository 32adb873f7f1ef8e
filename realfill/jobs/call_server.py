"""The child's side of `call_pool`: a process with bounded memory that answers calls, each in bounded processor time.

Calls come in as JSON, one a line, and so do answers go out; nothing else is read from or written to a pipe.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from realfill.errors import RealFillError

Operation = Callable[..., Any]  # takes and returns what JSON can hold
_LONGEST_TRACE = 4000  # characters of a defect that the log gets


def serve(operations: Mapping[str, Operation], memory: int) -> None:
    """Answers calls of `operations` from stdin until that ends; `memory` is what they may take in bytes.

    The first line that goes out says whether this process itself keeps to that, so that nobody has to watch it.
    After a call that took more it ends.
    """
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        _write(answers, {"limited": limit_memory(memory)})
        for line in sys.stdin.buffer:
            call = json.loads(line)
            limit_time(call["seconds"])
            answer = answer_call(operations, call["name"], call["arguments"])
            _write(answers, answer)
            if "memory" in answer:
                break


def answer_call(operations: Mapping[str, Operation], name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """{"value"} as the operation returned it, else {"error", "sentence", "number"}, {"memory"} or {"defect"}.

    `number` is that of the system's refusal behind an error, None where there is none.
    """
    try:
        return {"value": operations[name](**arguments)}
    except MemoryError:
        return {"memory": True}
    except (RealFillError, OSError) as error:
        if isinstance(error.__cause__, MemoryError):
            return {"memory": True}
        kind = type(error).__name__ if isinstance(error, RealFillError) else "OSError"
        refusal = error if isinstance(error, OSError) else error.__cause__
        return {"error": kind, "sentence": str(error), "number": getattr(refusal, "errno", None)}
    except Exception:  # the parent's log has it
        return {"defect": traceback.format_exc()[-_LONGEST_TRACE:]}


def limit_memory(size: int) -> bool:
    """Bounds this process to `size` bytes more than it has; whether the system keeps to it (Linux alone does)."""
    if sys.platform != "linux":
        return False
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + size
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold somebody's photos
    return True


def limit_time(seconds: float) -> None:
    """Has the system end this process after so many more seconds of processor time, where it can."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _write(answers: Any, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
