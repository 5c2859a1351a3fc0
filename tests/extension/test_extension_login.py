"""A browser that logs in with a password: what its cookie may do, and what it may not do without the XSRF token."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlencode

import pytest
from jupyter_server.auth.security import passwd
from processes import run_jupyter

PASSWORD = "correct horse"
READ = "/flyte-jupyter/api/v1/projects"
WRITE = "/flyte-jupyter/api/v1/tasks"
DECK = "/flyte-jupyter/x/v1/decks/p/d/x/n0"


class Browser:
    """Keeps cookies, as a browser does."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def ask(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> int:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            line.request(method, path, body=body, headers={"Cookie": kept, **(headers or {})})
            answer = line.getresponse()
            answer.read()
            for text in answer.headers.get_all("Set-Cookie") or []:
                found = re.match(r"([^=]+)=([^;]*)", text)
                assert found
                self.cookies[found[1]] = found[2].strip('"')
            return answer.status
        finally:
            line.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("login")
    hashed = passwd(PASSWORD, algorithm="sha1")
    options = (f"--PasswordIdentityProvider.hashed_password={hashed}",)
    environ = {"FLYTE_JUPYTER_DATA_DIR": str(home / "data")}
    with run_jupyter(home, options=options, environ=environ) as running:
        yield running


@pytest.fixture
def browser(server):
    visitor = Browser(server.port)
    assert visitor.ask("GET", "/login") == 200
    form = urlencode({"password": PASSWORD, "_xsrf": visitor.cookies["_xsrf"]})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert visitor.ask("POST", "/login", form, kind) == 302
    assert visitor.ask("GET", "/login") in (200, 302)  # the XSRF cookie of who is logged in now
    return visitor


def test_who_did_not_log_in_gets_nothing(server):
    stranger = Browser(server.port)
    stranger.ask("GET", "/login")
    for path in (READ, DECK):
        assert stranger.ask("GET", path) == 403
    token = {"X-XSRFToken": stranger.cookies["_xsrf"]}
    assert stranger.ask("POST", WRITE, "{}", token) == 403


def test_who_logged_in_may_read(browser):
    assert browser.ask("GET", READ) == 200
    assert browser.ask("GET", DECK) == 404


def test_a_change_needs_the_xsrf_token(browser):
    kind = {"Content-Type": "application/json"}
    assert browser.ask("POST", WRITE, "{}", kind) == 403
    assert browser.ask("POST", WRITE, "{}", {**kind, "X-XSRFToken": "guess"}) == 403
    token = {**kind, "X-XSRFToken": browser.cookies["_xsrf"]}
    assert (
        browser.ask("POST", WRITE, "{}", token) == 400
    )  # heard, and found wanting by the platform


def test_a_page_of_another_site_may_not_even_read(browser):
    assert browser.ask("GET", READ, headers={"Origin": "http://evil.example"}) == 404
    token = {"X-XSRFToken": browser.cookies["_xsrf"], "Origin": "http://evil.example"}
    assert browser.ask("POST", WRITE, "{}", token) in (403, 404)
