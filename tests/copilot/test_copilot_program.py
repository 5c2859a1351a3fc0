"""The program beside a raw container, as processes: inputs before it, outputs or the reason for none after it."""

import base64
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from processes import eventually

from flyte_jupyter.idl import core, literals
from flyte_jupyter.kernel.runtime.copilot import program, transfer

KINDS = {"n": core.SimpleType.INTEGER, "s": core.SimpleType.STRING}
OUTPUTS = core.VariableMap(
    variables={k: core.Variable(type=core.LiteralType(simple=v)) for k, v in KINDS.items()}
    | {"f": core.Variable(type=core.LiteralType(blob=core.BlobType()))}
)
INTERFACE = core.TypedInterface(outputs=OUTPUTS)
WORD = base64.b64encode(INTERFACE.SerializeToString()).decode()


def started(*words):
    command = [sys.executable, "-m", "flyte_jupyter.kernel.runtime.copilot", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def ended(process):
    _out, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.fixture
def places(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "signs").mkdir()
    return tmp_path


def uploader(places, interface=WORD):
    return started(
        "upload", "--folder", places / "out", "--interface", interface, "--output-prefix", f"file://{places}/meta",
        "--raw-output-prefix", f"file://{places}/raw", "--ready", places / "signs/ready",
    )  # fmt: skip


def downloader(places, *more):
    return started(
        "download", "--inputs", f"file://{places}/inputs.pb", "--folder", places / "in", *more
    )


def outputs_in(places):
    return core.LiteralMap.FromString((places / "meta/outputs.pb").read_bytes()).literals


def error_in(places):
    return core.ErrorDocument.FromString((places / "meta/error.pb").read_bytes()).error


def put_inputs(places, **named):
    (places / "inputs.pb").write_bytes(core.LiteralMap(literals=named).SerializeToString())


def test_inputs_before_and_outputs_after_a_container(places):
    """As in a pod: the uploader listens, the downloader brings inputs and waits for that, a program runs, SIGTERM follows."""
    put_inputs(places, n=literals.literal(20))
    bring = downloader(places, "--format", "JSON", "--after", places / "signs/ready")
    eventually((places / "in/inputs.json").exists, what="inputs")
    carry = uploader(places)
    assert ended(bring) == (0, "")
    number = int((places / "in/n").read_text())
    (places / "out/n").write_text(f"{number + 1}\n")
    (places / "out/s").write_text("done")
    (places / "out/f").write_text("a file")
    assert carry.poll() is None
    carry.send_signal(signal.SIGTERM)
    assert ended(carry) == (0, "")
    found = outputs_in(places)
    assert found["n"] == literals.literal(21)
    assert found["s"] == literals.literal("done")
    assert found["f"].scalar.blob.uri == f"file://{places}/raw/f"
    assert (places / "raw/f").read_text() == "a file"
    assert not (places / "meta/error.pb").exists()


def test_the_downloader_waits_until_the_uploader_listens(places):
    put_inputs(places)
    bring = downloader(places, "--after", places / "signs/ready")
    eventually((places / "in/inputs.json").exists, what="inputs")
    # Another that need not wait is through in the meantime.
    assert ended(downloader(places))[0] == 0
    assert bring.poll() is None
    (places / "signs/ready").touch()
    assert ended(bring)[0] == 0


def left(places, **files):
    """What the uploader makes of these files."""
    for name, content in files.items():
        (places / "out" / name).write_text(content)
    carry = uploader(places)
    eventually((places / "signs/ready").exists, what="the uploader listens")
    carry.send_signal(signal.SIGTERM)
    return ended(carry)


def test_bad_content_becomes_an_error_that_names_the_output(places):
    status, said = left(places, n="many", s="s", f="f")
    error = error_in(places)
    assert status == 0
    assert (error.code, error.kind, error.origin) == (
        "OutputsInvalid",
        error.NON_RECOVERABLE,
        core.ExecutionError.USER,
    )
    assert "output 'n'" in error.message
    assert error.message in said
    assert not (places / "meta/outputs.pb").exists()


def test_a_missing_output_becomes_an_error_that_names_it(places):
    left(places, n="1", f="f")
    assert "output 's': there is no" in error_in(places).message


def test_a_containers_own_error_is_the_attempts(places):
    left(places, _ERROR="the table is empty")
    error = error_in(places)
    assert (error.code, error.message, error.kind) == (
        "UserError",
        "the table is empty",
        error.NON_RECOVERABLE,
    )


def test_storage_that_fails_is_the_systems_fault_and_may_be_tried_again(places):
    (places / "raw").write_text("a file where a folder should be")
    status, _said = left(places, n="1", s="s", f="f")
    error = error_in(places)
    assert status == 0
    assert (error.code, error.kind, error.origin) == (
        "OutputsNotWritten",
        error.RECOVERABLE,
        core.ExecutionError.SYSTEM,
    )


def test_when_nothing_can_be_stored_the_status_says_so(places):
    (places / "meta").write_text("a file where a folder should be")
    status, said = left(places, n="1", s="s", f="f")
    assert status == 1
    assert "could not be written" in said


def test_a_task_without_outputs_leaves_empty_ones(places):
    carry = uploader(places, interface="")
    eventually((places / "signs/ready").exists, what="the uploader listens")
    carry.send_signal(signal.SIGTERM)
    assert ended(carry)[0] == 0
    assert not outputs_in(places)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "could not be brought"), (b"\xff\xff", "damaged")],
    ids=["missing", "damaged"],
)
def test_inputs_that_cannot_be_brought(content, words, places):
    if content is not None:
        (places / "inputs.pb").write_bytes(content)
    status, said = ended(downloader(places))
    assert status == 1
    assert words in said


def test_a_file_that_cannot_be_fetched_is_named(places):
    literal = core.Literal(scalar=core.Scalar(blob=core.Blob(uri=f"file://{places}/nowhere")))
    put_inputs(places, x=literal)
    status, said = ended(downloader(places))
    assert status == 1
    assert "nowhere" in said


def test_a_literal_that_was_too_large_for_its_place_is_fetched(places):
    (places / "large.pb").write_bytes(literals.literal("large").SerializeToString())
    metadata = core.LiteralOffloadedMetadata(uri=f"file://{places}/large.pb")
    put_inputs(places, x=core.Literal(offloaded_metadata=metadata))
    assert ended(downloader(places))[0] == 0
    assert (places / "in/x").read_text() == "large"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "unknown command ''"),
        (["fly"], "unknown command 'fly'"),
        (["download", "--inputs"], "--inputs needs a value"),
        (["download", "--inputs", "x"], "missing --folder"),
        (["download", "--inputs", "x", "--folder", "y", "--format", "XML"], "unknown format 'XML'"),
        (["upload", "--colour", "red"], "unknown option '--colour'"),
    ],
)
def test_a_wrong_command_line_is_explained(words, said, capsys):
    assert program.main(words) == 2
    assert said in capsys.readouterr().err


def test_an_interface_that_is_none_is_explained():
    for word in ("%%%", base64.b64encode(b"\xff\xff").decode()):
        with pytest.raises(program.UsageError):
            program.interface_of(word)


def test_folders_reach_an_object_store_whole(tmp_path):
    """Whatever their files are called."""
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/one").write_text("1")
    (tmp_path / "d/e/two").write_text("2")
    odd = ["a::b", "a::c", "a?b#c", "%41", "*"]
    for name in odd:
        (tmp_path / "d" / name).write_text(name)
    assert transfer.store(tmp_path / "d", "memory://copilot/d") == "memory://copilot/d"
    store = fsspec.filesystem("memory")
    assert store.cat("/copilot/d/one") == b"1"
    assert store.cat("/copilot/d/e/two") == b"2"
    transfer.fetch("memory://copilot/d", tmp_path / "back")
    assert (tmp_path / "back/e/two").read_text() == "2"
    assert [(tmp_path / "back" / name).read_text() for name in odd] == odd


def test_a_page_of_the_web_is_a_file_and_is_asked_for_once(tmp_path):
    page, asked = b"<html><a href='/other'>other</a></html>", []

    class Site(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        transfer.fetch(f"http://127.0.0.1:{site.server_port}/page.html", tmp_path / "page")
        site.shutdown()
    assert (tmp_path / "page").read_bytes() == page
    assert asked == ["/page.html"]
