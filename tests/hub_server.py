"""A Hugging Face Hub on this machine, as far as `huggingface_hub` asks for it, whose faults can be chosen."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_aTokenThatMayWrite"


class Hub:
    """Repositories, and what has been asked.

    Attributes
    ----------
    commits : dict
        For each repository, its commits, newest last: their hash and the files.
    public : set of str
        Repositories that are read without a token.
    faults : dict
        "status", "code" and "message" of the answer to every request for a file; "tamper", a function that changes its
        bytes; "cut", after how many bytes the connection is closed, and "cuts", how often; "push", the status of the
        answer to whoever writes, and "license", what is said against the licence in a card.
    asked : list of tuple
        Method, path and token of each request.
    """

    def __init__(self) -> None:
        self.commits: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.public: set[str] = set()
        self.stored: dict[str, bytes] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.faults: dict = {}
        self.asked: list[tuple[str, str, str]] = []
        self.address = ""

    def add(self, repository: str, branch: str = "main", **files: bytes) -> str:
        """Commit files, whose names have an underscore in place of the dot."""
        return self.commit(repository, branch, {name.replace("_", "."): content for name, content in files.items()})

    def commit(self, repository: str, branch: str, files: dict[str, bytes]) -> str:
        commits = self.commits.setdefault(repository, [])
        oid = hashlib.sha1(f"{repository} {len(commits)}".encode()).hexdigest()
        commits.append((oid, {**(commits[-1][1] if commits else {}), **files}))
        self.branches.setdefault(repository, {})[branch] = oid
        return oid

    def find(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        oid = self.branches.get(repository, {}).get(revision, revision)
        return next((commit for commit in self.commits[repository] if commit[0] == oid), None)


@contextmanager
def serving() -> Iterator[Hub]:
    """Run a hub until the end of the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        """Say nothing."""

    def answer(self, status: int, content=None, **headers) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def may(self, repository: str | None = None) -> bool:
        """Whether the token is right, or none is needed; otherwise it is said as the Hub does."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.asked.append((self.command, self.path, given))
        if given != TOKEN and repository not in self.hub.public:
            self.answer(
                401, {"error": "Invalid username or password."}, X_Error_Message="Invalid username or password."
            )
            return False
        if repository is not None and repository not in self.hub.commits:
            self.answer(404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return False
        return True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            if self.may(found[1]):
                self.answer(200, {"id": found[1], "private": found[1] not in self.hub.public, "sha": ""})
        elif (found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/(.+)/([^/]+)", path)) and self.may(found[1]):
            self.give_file(*found.groups())

    def give_file(self, repository: str, revision: str, name: str) -> None:
        faults = self.hub.faults
        if "status" in faults:
            headers = {"X_Error_Message": faults.get("message", "")} | (
                {"X_Error_Code": faults["code"]} if "code" in faults else {}
            )
            return self.answer(faults["status"], **headers)
        commit = self.hub.find(repository, revision)
        if commit is None:
            return self.answer(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        if name not in commit[1]:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
        content = commit[1][name]
        start = int((re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range", "")) or [0, 0])[1])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit[0])
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        if "tamper" in faults:
            content = faults["tamper"](content)
        if faults.get("cuts", 0):
            faults["cuts"] -= 1
            self.wfile.write(content[start : start + faults["cut"]])
            self.close_connection = True
            return None
        self.wfile.write(content[start:])
        return None

    def do_PUT(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.asked.append(("PUT", self.path, self.headers.get("Authorization", "")))
        self.hub.stored[self.path.rpartition("/")[2]] = self.body
        self.answer(200)

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        found = re.match(r"/(?:api/models/)?([^/]+/[^/]+?)(?:\.git)?/(preupload|commit|branch|info)/(.*)", path)
        if not self.may(found[1] if found else None):
            return None
        if found and found[2] == "commit":
            return self.take_commit(found[1], found[3])
        asked = json.loads(self.body or b"{}")
        if "push" in self.hub.faults:
            return self.answer(self.hub.faults["push"])
        if path == "/api/validate-yaml" and "license" in self.hub.faults:
            return self.answer(400, {"errors": [{"message": self.hub.faults["license"]}], "warnings": []})
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            name = f"{asked['organization']}/{asked['name']}"
            if not (asked.get("private") or asked.get("visibility") == "private"):
                self.hub.public.add(name)
            self.hub.commit(name, "main", {})
            return self.answer(200, {"url": f"{self.hub.address}/{name}"})
        if found[2] == "branch":
            self.hub.branches[found[1]][found[3]] = self.hub.branches[found[1]]["main"]
            return self.answer(200, {})
        if found[2] == "preupload":
            modes = {True: "regular", False: "lfs"}
            files = [
                {"path": file["path"], "uploadMode": modes[file["path"].endswith(".md")], "shouldIgnore": False}
                for file in asked["files"]
            ]
            return self.answer(200, {"files": files})
        objects = [
            {**file, "actions": {"upload": {"href": f"{self.hub.address}/stored/{file['oid']}"}}}
            for file in asked["objects"]
        ]
        return self.answer(200, {"transfer": "basic", "objects": objects})

    def take_commit(self, repository: str, branch: str) -> None:
        files = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "lfsFile":
                files[entry["value"]["path"]] = self.hub.stored[entry["value"]["oid"]]
        oid = self.hub.commit(repository, branch, files)
        self.answer(200, {"commitUrl": f"{self.hub.address}/{repository}/commit/{oid}", "commitOid": oid})
