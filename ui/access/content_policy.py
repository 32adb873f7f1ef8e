"""What a browser may do with an answer (https://www.w3.org/TR/CSP3/): the page's own scripts run, and no others."""

import base64
import hashlib
import re
import secrets

_SCRIPT = re.compile(rb"<script\b")
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_HUB = "https://huggingface.co"
_FRAMES_ON_SPACE = f"'self' {_HUB} https://*.huggingface.co https://*.hf.space"


def new_nonce() -> str:
    """A number used once, for the scripts that stand in one answer."""
    return secrets.token_urlsafe(16)


def hash_scripts(head: str) -> str:
    """The sources of the scripts in a piece of HTML, by SHA-256, as a policy lists them."""
    digests = [hashlib.sha256(script.encode()).digest() for script in _INLINE.findall(head)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def page_policy(nonce: str, scripts: str, *, space: bool) -> str:
    """The policy of the page itself; `scripts` are sources of scripts besides those that bear the nonce.

    Scripts come from this server, and inline ones only with the nonce or by their hash, so neither a <script> nor an
    `onerror` in somebody's name or file runs. 'unsafe-eval' cannot go: gradio makes functions of the text of an
    event's `js` and of the script of a `gr.HTML`, which come with the page. Styles are set inline all over gradio.
    """
    hub = f" {_HUB}" if space else ""  # gradio shows the Space's header, and asks the hub for it
    rules = {
        "default-src": "'self'",
        "script-src": f"'self' 'nonce-{nonce}' {scripts} 'unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": f"'self' data: blob:{hub}",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": f"'self' data: blob:{hub}",
        "worker-src": "'self' blob:",
        "frame-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": _frames(space=space),
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def file_policy(*, space: bool) -> str:
    """The policy of every other answer: where a browser shows it as a document, nothing in it is run or fetched."""
    rules = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return f"{rules}; frame-ancestors {_frames(space=space)}"


def mark_scripts(html: bytes, nonce: str) -> bytes:
    """The page with the nonce on each of its scripts.

    Safe as gradio writes its page: data stand in it as JSON without "<", so every "<script" is the template's own.
    """
    return _SCRIPT.sub(b'<script nonce="' + nonce.encode() + b'"', html)


def _frames(*, space: bool) -> str:
    return _FRAMES_ON_SPACE if space else "'self'"
