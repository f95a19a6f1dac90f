"""``docs/errors.md``: every way a row can fail, checked against the code that says so."""

from __future__ import annotations

import re
from pathlib import Path

from clipmill.fetch.failures import ERROR_CLASSES

PACKAGE = Path(__file__).parent.parent / "src" / "clipmill"
_SAID = re.compile(
    r"""error_class\s*=\s*"(\w+)"(?:\ if\ \w+\ else\ "(\w+)")?"""
    r"""|"((?:decoder|step)_(?:crashed|hung)|step_not_tried)"|"(forbidden_\w+)"\)"""
)

FETCH = {
    "damaged_input": (
        "A part of the input table cannot be read; the row lay there.",
        "mend the table, then `--extend`",
    ),
    "invalid_url": ("The row has no URL, or a text that is none.", "mend the table"),
    "unsupported_scheme": ("Nothing fetches this kind of URL.", "install what reads it"),
    "local_path_refused": ("The row names a file of this machine.", "`--allow-local-paths`"),
    "forbidden_address": (
        "The URL leads to a loopback, private or link-local address.",
        "`--allow-private-addresses`",
    ),
    "dns": ("The host's name cannot be resolved.", "`clipmill retry`"),
    "connect": ("No connection, or it was cut off.", "`clipmill retry`"),
    "tls": ("The certificate is expired or wrong.", "`--ignore-tls-errors`, if you trust the host"),
    "timeout": ("Too slow to connect, to send, or in all.", "larger `--total-timeout-seconds`"),
    "http_status": (
        "The server said no. 408, 425, 429 and most of 5xx may pass.",
        "see the message; `--headers`, `--cookies-file`",
    ),
    "bad_response": ("The answer breaks the rules of HTTP.", ""),
    "redirect_loop": ("Redirects never end.", ""),
    "opt_out": ("The publisher marks it as not for machine learning.", "leave it out"),
    "too_large": ("Larger than `max_bytes`.", "another dataset with larger `--max-bytes`"),
    "truncated": ("Less came than was promised, or the file ends early.", "`clipmill retry`"),
    "empty_body": ("The server sent nothing.", ""),
    "not_media": ("It is a web page, a picture or text.", "mend the table"),
    "not_found": ("The file or archive member is not there.", "mend the table"),
    "access_denied": ("The storage refuses to show it.", "check the credentials"),
    "storage": ("The storage cannot be read just now.", "`clipmill retry`"),
    "library": ("A library stumbled over the URL or the answer.", "look at the URL"),
    "bad_archive": ("The zip or tar is broken or of a kind not read.", ""),
    "unavailable": ("The site says the video is gone.", ""),
    "private": ("The site says the video is private.", "`--cookies-file`"),
    "login_required": ("The site wants a login, age or membership.", "`--cookies-file`"),
    "geo_blocked": ("The site does not show it in this country.", "`--proxy`"),
    "drm": ("It is encrypted; clipmill does not get around that.", ""),
    "playlist": ("The URL is a list of videos, not one.", "put each video in the table"),
    "unsupported_url": ("No site that yt-dlp knows.", "give the URL of the file itself"),
    "live_stream": ("It is still going on, or has not begun.", "`clipmill retry` when it ended"),
    "bot_check": ("The site takes us for a robot.", "wait, or `--cookies-file`"),
    "rate_limited": ("The site wants fewer requests.", "wait; lower `--concurrency-per-host`"),
    "missing_extra": ("A library is not installed.", "the install line in the message, then retry"),
    "process_died": ("The process that ran yt-dlp died.", "`clipmill retry`"),
    "site": ("Another failure of a site.", "see the message; update yt-dlp"),
}
"""Error class of a fetch -> what happened, and what to try."""

PROCESS = {
    "unreadable": ("It is no video or audio that can be read.", ""),
    "truncated": ("The file ends early.", "`clipmill retry --class truncated`"),
    "no_streams": ("It holds neither video nor audio, or only pictures.", ""),
    "no_packets": ("It has a header and no content.", ""),
    "no_video_stream": ("Sound alone, but video is wanted.", "`--encode-formats audio=m4a`"),
    "no_audio_stream": ("No sound, but audio is wanted.", "`--encode-formats video=mp4`"),
    "unsupported_codec": ("Nothing here decodes or encodes this codec.", "`video=original`"),
    "container_mismatch": (
        "Its codecs do not fit into the container asked for.",
        "`--encode-formats video=mkv` or `video=original`",
    ),
    "forbidden_container": ("A playlist, picture or text that poses as media.", ""),
    "crop_outside": (
        "The part to cut out does not lie within the picture.",
        "give the crop in pixels of the picture as displayed",
    ),
    "empty_span": ("Nothing of the source begins within the clip's span.", ""),
    "cannot_copy": ("Its packets cannot be cut without coding them anew.", "precision `exact`"),
    "encoder_unavailable": ("The encoder asked for is not there or does not work.", "leave it out"),
    "encode_failed": ("The encoder or the container refused the clip.", "see the message"),
    "clip_check_failed": ("A clip was made, but reads back as something else.", "report it"),
    "member_missing": (
        "A step whose arrays are exported as files has none of this sample.",
        "annotate it, or select those that have one",
    ),
    "too_many_pixels": ("Larger frames than are decoded.", ""),
    "too_long": ("Longer than `max_duration_seconds`.", "another dataset with a larger one"),
    "too_large_for_format": ("Too large for one row of this format.", "`--format webdataset`"),
    "no_cuts_kept": ("No run has looked for its cuts yet.", "`clipmill split --keep-whole` first"),
    "source_changed": (
        "The file is another one than its clips were found in.",
        "split anew, or put the file back",
    ),
    "cuts_do_not_fit": (
        "Its kept cuts name frames that it does not have.",
        "find the cuts of this very file",
    ),
    "invalid_span": ("The clip column of this row holds no such span.", "mend the table"),
    "too_many_clips": ("One source gives more clips than are allowed.", "larger `--max-clips`"),
    "out_of_memory": ("Reading it took too much memory.", "larger `--media-memory-bytes`"),
    "decoder_hung": ("Reading it did not end.", "larger `--sample-timeout-seconds`"),
    "decoder_crashed": ("Reading it killed the media process, twice.", ""),
    "step_hung": ("A step did not end over it.", "larger `--sample-timeout-seconds`"),
    "step_crashed": ("A step ended its process over it, twice.", "mend the step; `--retry`"),
    "step_not_tried": (
        "A step was lost over three samples beside it, of its source or batch.",
        "`clipmill annotate ... --retry step_not_tried`",
    ),
}
"""Error class of a file that was fetched -> what happened, and what to try."""

HEADER = """\
# When rows fail, and exit codes

Made by `make docs` from the classes in the code; edit `tools/error_page.py`, not this page.

A row that fails costs nothing but itself. Its `status` is `failed_to_download` or
`failed_to_process`; its `error_class` is one of the words below, `error_message` says what
happened, and `retryable` whether trying again may help.

```console
$ clipmill download videos.csv raw --caption-col caption
$ clipmill status raw                                # how many of each
$ clipmill retry raw                                 # what is retryable
$ clipmill retry raw --all                           # every failed row
```

`clipmill retry raw --class forbidden_address --allow-private-addresses` tries one class again with
what it lacked. A retry can change how rows are fetched (permissions, cookies, headers, timeouts),
but not what (`max_bytes`, formats): that is another dataset.
"""
EXITS = {
    "0": ("all done", ""),
    "1": (
        "the run stopped (a full disk, say), shards could not be finished, or `verify` found "
        "problems",
        "give the same command again: it goes on; after `verify`, see what it proposes",
    ),
    "2": ("what was asked cannot be done; nothing was written", "what the message says"),
    "3": ("done, but a larger share of rows failed than `--failure-budget`", "`clipmill status`"),
    "130": ("interrupted", "give the same command again: it goes on"),
}
EXITS_END = """\
Python raises `UserError` for 2, `RunError` for 1 and `KeyboardInterrupt` for 130
([python.md](python.md)).
"""


def error_page() -> str:
    """The whole page.

    Raises:
        SystemExit: a class is not described, or described and never used.
    """
    _agree("fetch", set(ERROR_CLASSES), set(FETCH))
    _agree("media", _said_by_others(), set(PROCESS))
    fetch = [_row(name, *FETCH[name], ERROR_CLASSES[name]) for name in ERROR_CLASSES]
    process = [_row(name, *words, False) for name, words in PROCESS.items()]
    head = ["| class | what happened | what to try | retryable |", "|---|---|---|---|"]
    return "\n".join(
        [
            HEADER,
            "## failed_to_download\n",
            *head,
            *fetch,
            "\n## failed_to_process\n",
            *head,
            *process,
            "\n## Exit codes\n",
            "| code | meaning | what to do |\n|---|---|---|",
            *(f"| {code} | {meaning} | {to_do} |" for code, (meaning, to_do) in EXITS.items()),
            "",
            EXITS_END,
        ]
    )


def _row(name: str, happened: str, to_try: str, retryable: bool) -> str:
    return f"| `{name}` | {happened} | {to_try} | {'yes' if retryable else ''} |"


def _said_by_others() -> set[str]:
    """Classes that the code names outside ``fetch``."""
    said: set[str] = set()
    for room in ("core", "media", "formats", "run", "steps"):
        for path in (PACKAGE / room).rglob("*.py"):
            said |= {name for found in _SAID.findall(path.read_text()) for name in found if name}
    return said


def _agree(where: str, used: set[str], described: set[str]) -> None:
    if used != described:
        raise SystemExit(
            f"tools/error_page.py: classes of {where} to describe: {sorted(used - described)}; "
            f"to remove: {sorted(described - used)}"
        )
