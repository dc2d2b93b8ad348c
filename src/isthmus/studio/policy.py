"""What a page of the studio may load and do: content security policies, for each kind of page."""

Policy = dict[str, str]

FOLDER: Policy = {  # in the page itself, where `frame-ancestors` means nothing
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
LIVE: Policy = {**FOLDER, "frame-ancestors": "'none'"}


def single_file(script_hash: str, style_hash: str) -> Policy:
    """Return the policy of a page in one file, which runs its own script and loads nothing.

    Parameters
    ----------
    script_hash, style_hash : str
        Of the one script and the one style that it has, as 'sha256-…'.
    """
    return {
        **FOLDER,
        "script-src": f"{script_hash} 'wasm-unsafe-eval'",
        "worker-src": "blob:",
        "style-src": style_hash,
        "img-src": "blob: data:",
        "connect-src": "'none'",
    }


def write(policy: Policy) -> str:
    """Return a policy as the value of a header."""
    return "; ".join(f"{name} {value}" for name, value in policy.items())
