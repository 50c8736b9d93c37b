"""Serve a saved model: the bytes of an image in, its probability of melanoma out.

    python examples/serve.py out/melanoma.onnx
    curl --data-binary @lesion.jpg http://127.0.0.1:8000/score

Serves a .keras file that TransferClassifier.save wrote, or an .onnx or .tflite file that export wrote: these two
start without TensorFlow. Needs ``pip install '.[serve,export]'``. Research use only; not a medical
device.
"""

import argparse
import asyncio
import hashlib
import io
import math
import socket
import sys
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from melanoma_tl.errors import ImageError, MelanomaTLError, NotFittedError
from melanoma_tl.images import ImageFile
from melanoma_tl.saving import ExportedClassifier

NOTICE = "For research. Not a medical device: do not diagnose with it."

SUFFIXES = (".keras", ".onnx", ".tflite")
BODY = "send the file's bytes as the body: curl --data-binary @a.jpg"
UNREADABLE = ("damaged or truncated", "not an image in a format")

LIMITS = (("port", 0, 65535), ("max_bytes", 1, math.inf), ("max_pixels", 1, math.inf), ("max_images", 1, math.inf))
"""What the options may be, from and to."""

AT_ONCE = 64
"""Most requests for scores that are answered or read at once; whether the service is ready is always answered."""

_DRAINED = 4
"""How many times the limit of bytes are read and thrown away, so that the client reads why it is refused."""


class TooLargeError(Exception):
    """A request has more bytes than it may."""


class Service:
    """One model, loaded once; it has scored an image before anybody is answered.

    Parameters
    ----------
    path : Path
        The model.
    """

    def __init__(self, path: Path) -> None:
        self._classifier = open_model(path)
        if len(self._classifier.classes_) != 2:
            raise MelanomaTLError(f"{path.name}: expected two classes, got {len(self._classifier.classes_)}")
        (self._column,) = np.flatnonzero(self._classifier.classes_ == self._classifier.pos_label_)
        self.threshold = float(self._classifier.threshold_)
        self.identity = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        # One image at a time: the runtimes use every core for it, and no network is shared by threads.
        self._worker = ThreadPoolExecutor(1)
        self._score(_grey_image(), "first image")
        self.ready = True

    def __str__(self) -> str:
        file, digest = self.identity["file"], self.identity["sha256"]
        names = ", ".join(self._classifier.class_names_)
        return f"{file} (SHA-256 {digest[:12]}…): {names}; threshold {self.threshold:g}"

    def describe(self) -> dict[str, Any]:
        """Tell what is served."""
        return {
            "model": self.identity,
            "classes": self._classifier.class_names_,
            "melanoma": self._classifier.class_names_[self._column],
            "threshold": self.threshold,
            "melanoma_tl": version("melanoma_tl"),
            **facts(self._classifier),
            "notice": NOTICE,
        }

    async def answer(self, content: bytes, name: str) -> dict[str, Any]:
        """Score one image.

        Parameters
        ----------
        content : bytes
            The image file.
        name : str
            What errors call it.

        Returns
        -------
        dict
            Score, class and what they come from.

        Raises
        ------
        ImageError
            If it cannot be scored.
        """
        score = await asyncio.get_running_loop().run_in_executor(self._worker, self._score, content, name)
        column = self._column if score > self.threshold else 1 - self._column
        return {
            "score": score,
            "threshold": self.threshold,
            "class": self._classifier.class_names_[column],
            "model": self.identity,
            "notice": NOTICE,
        }

    def _score(self, content: bytes, name: str) -> float:
        return float(self._classifier.predict_proba([ImageFile(name, lambda: content)])[0, self._column])


def open_model(path: Path) -> Any:
    """Open a model of any of the formats, by its suffix."""
    if path.suffix not in SUFFIXES:
        raise MelanomaTLError(f"{path}: expected a model that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if path.suffix != ".keras":
        return ExportedClassifier(path)
    from melanoma_tl import TransferClassifier  # loads TensorFlow, which the others do without

    return TransferClassifier.load(path).set_params(on_error="raise", verbose=0)


def facts(classifier: Any) -> dict[str, Any]:
    """Choose from a model's provenance what may be shown to everybody: no names of files, no folders."""
    exported = getattr(classifier, "description_", None)
    provenance = exported["provenance"] if exported else classifier.provenance_
    return {
        "backbone": provenance.get("parameters", {}).get("backbone"),
        "recipe": provenance.get("recipe"),
        "trained": provenance.get("trained"),
        "trained_with": provenance.get("versions"),
        "calibrated": bool(exported.get("calibration")) if exported else is_calibrated(classifier),
    }


def is_calibrated(classifier: Any) -> bool:
    """Tell whether `calibrate` was called before the model was saved."""
    try:
        return classifier.calibration_ is not None
    except NotFittedError:
        return False


def _grey_image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(file, "PNG")
    return file.getvalue()


async def limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Pass a request's body on, up to a limit of bytes.

    Raises
    ------
    TooLargeError
        If there is more; a part of it has then been read, and nothing of it kept.
    """
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > _DRAINED * limit:
            break
        if seen <= limit:
            yield chunk
    if seen > limit:
        raise TooLargeError(too_many_bytes(limit))


def too_many_bytes(limit: int) -> str:
    """Say that something is too large."""
    return f"more than the {limit:,} bytes that are taken"


def told(error: ImageError) -> str:
    """Say why an image is not scored: without the name that the server gave it, and without advice to the server."""
    if "MAX_IMAGE_PIXELS" in error.reason:
        return f"more than the {Image.MAX_IMAGE_PIXELS:,} pixels that are taken: send it smaller"
    return error.reason


def media_type(request: Any) -> str:
    """Return what a request says that its body is, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def body_of(kind: str) -> dict[str, Any]:
    """Return what OpenAPI says of the body of a request."""
    return {"requestBody": {"content": {kind: {}}}}


def make_app(service: Service, *, max_bytes: int, max_images: int) -> Any:
    """Return the web application.

    Parameters
    ----------
    service : Service
        What answers.
    max_bytes : int
        Most bytes of an image; a batch may have eight times as many.
    max_images : int
        Most images of a batch.
    """
    from fastapi import Depends, FastAPI, HTTPException, Request
    from fastapi.responses import JSONResponse, Response
    from starlette.formparsers import MultiPartException, MultiPartParser
    from starlette.requests import ClientDisconnect

    # FastAPI's own pages load scripts from another server.
    app = FastAPI(
        title="melanoma_tl", description=NOTICE, version=version("melanoma_tl"), docs_url=None, redoc_url=None
    )

    places = asyncio.Semaphore(AT_ONCE)

    async def place() -> AsyncIterator[None]:
        if places.locked():
            raise HTTPException(503, "too many requests at once: try again later")
        async with places:
            yield

    @app.exception_handler(ClientDisconnect)
    async def hung_up(request: Request, error: Exception) -> Response:  # noqa: ARG001 -- as FastAPI calls it
        return Response()  # which nobody reads

    @app.get("/health")
    @app.head("/health", include_in_schema=False)
    async def health() -> JSONResponse:
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/")
    @app.get("/model")
    async def model() -> dict[str, Any]:
        return service.describe()

    @app.post("/score", dependencies=[Depends(place)], openapi_extra=body_of("image/*"))
    async def score(request: Request) -> dict[str, Any]:
        kind = media_type(request)
        if kind == "application/json" or kind.startswith("multipart/"):
            raise HTTPException(415, f"got {kind}, expected an image: {BODY}")
        try:
            content = b"".join([chunk async for chunk in limited(request.stream(), max_bytes)])
            return await service.answer(content, "image")
        except ImageError as error:
            # The kind is what curl says of every body. With -d it takes line ends out of it, and spoils the image.
            spoilt = kind == "application/x-www-form-urlencoded" and error.reason.startswith(UNREADABLE)
            advice = "; if you sent it with curl -d, use --data-binary" if spoilt else ""
            raise HTTPException(422, told(error) + advice) from None
        except TooLargeError as error:
            raise HTTPException(422, str(error)) from None

    @app.post("/batch", dependencies=[Depends(place)], openapi_extra=body_of("multipart/form-data"))
    async def batch(request: Request) -> dict[str, Any]:
        if media_type(request) != "multipart/form-data":
            raise HTTPException(415, "expected multipart/form-data, one part named 'images' for each image")
        parser = MultiPartParser(
            request.headers, limited(request.stream(), 8 * max_bytes), max_files=max_images, max_fields=0
        )
        try:
            form = await parser.parse()
        except TooLargeError as error:
            raise HTTPException(413, str(error)) from None
        except MultiPartException as error:
            if error.message.startswith("Too many files"):
                raise HTTPException(413, f"more than the {max_images} images that are taken") from None
            if error.message.startswith("Too many fields"):
                raise HTTPException(400, "a part is no file: send each image as one, curl -F images=@a.jpg") from None
            raise HTTPException(400, error.message) from None
        try:
            uploads = form.getlist("images")
            others = [name for name in form if name != "images"]
            if others or not uploads:
                named = ", ".join(f"{name!r:.40}" for name in others[:3])
                raise HTTPException(400, f"expected parts named 'images' only, got {named or 'no part'}")
            return {"results": [await answer_one(upload) for upload in uploads], "notice": NOTICE}
        finally:
            await form.close()

    async def answer_one(upload: Any) -> dict[str, Any]:
        content = await upload.read(max_bytes + 1)
        if len(content) > max_bytes:
            return {"name": upload.filename, "error": too_many_bytes(max_bytes)}
        try:
            return {"name": upload.filename, **await service.answer(content, "image")}
        except ImageError as error:
            return {"name": upload.filename, "error": told(error)}

    return app


def main(arguments: list[str] | None = None) -> int:
    """Run the example.

    Returns
    -------
    int
        0 after a shutdown that was asked for, 1 if the model cannot be served.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a .keras, .onnx or .tflite file")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="(default: %(default)s)")
    parser.add_argument("--max-bytes", type=int, default=20_000_000, help="of an image (default: %(default)s)")
    parser.add_argument(
        "--max-pixels", type=int, default=Image.MAX_IMAGE_PIXELS, help="of an image (default: %(default)s)"
    )
    parser.add_argument("--max-images", type=int, default=64, help="of a batch (default: %(default)s)")
    options = parser.parse_args(arguments)
    for name, least, most in LIMITS:
        if not least <= (given := getattr(options, name)) <= most:
            upto = "be at least 1" if most == math.inf else f"lie between {least} and {most}"
            parser.error(f"--{name.replace('_', '-')} must {upto}, got {given}")
    Image.MAX_IMAGE_PIXELS = options.max_pixels
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the client is told
    try:
        import uvicorn

        service = Service(options.model)
        app = make_app(service, max_bytes=options.max_bytes, max_images=options.max_images)
    except MelanomaTLError as error:
        print(error, file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"{error}: pip install '.[serve,export]' in the folder of the repository", file=sys.stderr)
        return 1
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        print(f"cannot listen on {options.host}, port {options.port}: {error}", file=sys.stderr)
        return 1
    print(f"{address(listening)} serves {service}", flush=True)
    # SIGTERM and Ctrl-C: no new connection is taken, and what has begun is answered.
    config = uvicorn.Config(app, timeout_graceful_shutdown=30, log_level="warning")
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def address(listening: socket.socket) -> str:
    """Return where to ask."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
