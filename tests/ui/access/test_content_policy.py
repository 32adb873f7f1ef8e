from ui.access.content_policy import file_policy, hash_scripts, mark_scripts, page_policy


def test_the_page_may_run_what_bears_the_nonce_and_no_other_inline_script() -> None:
    rules = dict(rule.split(" ", 1) for rule in page_policy("abc", "'sha256-x'", space=False).split("; "))
    assert rules["script-src"] == "'self' 'nonce-abc' 'sha256-x' 'unsafe-eval'"
    assert (rules["object-src"], rules["base-uri"], rules["frame-ancestors"]) == ("'none'", "'self'", "'self'")
    assert "http" not in page_policy("abc", "", space=False)
    assert "frame-ancestors 'self' https://huggingface.co" in page_policy("abc", "", space=True)


def test_of_other_answers_nothing_runs() -> None:
    assert file_policy(space=False).startswith("default-src 'none'")
    assert "script" not in file_policy(space=False)


def test_scripts_are_marked_and_hashed() -> None:
    assert mark_scripts(b'<script>a</script><script type="module" src="b">', "n") == (
        b'<script nonce="n">a</script><script nonce="n" type="module" src="b">'
    )
    # as in https://www.w3.org/TR/CSP3/#csp-header, computed by openssl dgst -sha256 -binary | base64
    assert hash_scripts("<script>alert(1)</script>") == "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
