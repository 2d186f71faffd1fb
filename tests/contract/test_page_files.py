"""The page's files: which are served, to whom, with which policy, and that what is vendored is what was published."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import httpx2
import pytest

from router.page.files import PATHS
from tests.routers import TOKEN
from tests.site import Site, tried

ROOT = Path(str(files("router.page")))
UPLOT = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
SHOWN = {".html", ".css", ".js", ".svg"}


def test_the_chart_library_is_as_published() -> None:
    vendored = ROOT / "vendor" / "uplot"
    assert {name: hashlib.sha256((vendored / name).read_bytes()).hexdigest() for name in UPLOT} == UPLOT
    assert "uplot@1.6.32" in (vendored / "README.md").read_text()


def test_every_file_of_the_page_is_served_and_nothing_else() -> None:
    there = {f"/{path.relative_to(ROOT)}" for path in ROOT.rglob("*") if path.suffix in SHOWN}
    assert {path for path in PATHS if path != "/"} == there - {"/index.html"}


def test_what_a_file_names_is_served() -> None:
    named = set(re.findall(r'(?:href|src)="(/[^"#]+)"', (ROOT / "index.html").read_text()))
    for script in ROOT.glob("*.js"):
        named |= {f"/{name}" for name in re.findall(r'from "\./([^"]+)"', script.read_text())}
    assert named <= PATHS
    assert len(named) > 10


@pytest.mark.parametrize("suffix", [".html", ".js", ".css"])
def test_no_file_of_ours_makes_markup_of_text_or_names_another_place(suffix: str) -> None:
    for path in ROOT.glob(f"*{suffix}"):
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )
        assert not re.search(r"https?://", text), path
        assert suffix != ".html" or not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\son\w+=", text), path


def test_files_need_no_token_and_data_does(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for path in PATHS:
            assert (await site.raw("GET", path, authorization=""))[0] == 200, path
            assert (await site.raw("GET", path, authorization="", host="evil.example"))[0] == 403, path
            assert (await site.raw("GET", path, authorization="", origin="http://evil.example"))[0] == 403, path
            assert (await site.raw("POST", path))[0] == 405, path
        for method, path in (
            ("GET", "/page/overview"), ("GET", "/page/records"), ("GET", "/page/records/x"), ("POST", "/page/ask"),
            ("POST", "/page/records/x/grade"), ("GET", "/page/"), ("GET", "/index.html"), ("GET", "//"),
        ):  # fmt: skip
            for token in ("", "Bearer wrong", TOKEN):
                assert (await site.raw(method, path, authorization=token))[0] == 401, path
        for path in (
            "/api.py",
            "/__init__.py",
            "/vendor/uplot/README.md",
            "/../http.py",
            "/page.css/..",
            "/index.html",
        ):
            assert (await site.raw("GET", path))[0] == 404, path
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


def test_files_have_a_strict_policy_and_a_tag(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{site.port}") as client:
            for path in PATHS:
                found = await client.get(path)
                policy = dict(rule.split(" ", 1) for rule in found.headers["content-security-policy"].split("; "))
                assert policy["default-src"] == policy["font-src"] == policy["frame-ancestors"] == "'none'"
                assert policy["base-uri"] == policy["form-action"] == "'none'"
                assert (
                    policy["script-src"]
                    == policy["style-src"]
                    == policy["connect-src"]
                    == policy["img-src"]
                    == "'self'"
                )
                assert found.headers["x-content-type-options"] == "nosniff"
                assert found.headers["referrer-policy"] == "no-referrer"
                assert found.headers["cross-origin-opener-policy"] == "same-origin"
                again = await client.get(path, headers={"if-none-match": found.headers["etag"]})
                assert (again.status_code, again.content) == (304, b"")
                assert (await client.get(path, headers={"if-none-match": '"other"'})).content == found.content
            assert (await client.get("/")).headers["content-type"] == "text/html; charset=utf-8"
            assert (await client.get("/main.js")).headers["content-type"].startswith("text/javascript")

    tried(tmp_path, work)
