"""Data sets: faults of network and disk against a local server, and the real files."""

import bz2
import gc
import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import joblib
import numpy as np
import pytest
from command_line import HANGING
from conftest import ROOT, load_plugin
from scipy import sparse
from sklearn.datasets import _covtype, _twenty_newsgroups
from sklearn.datasets._base import RemoteFileMetadata
from sklearn.utils import Bunch
from test_gate import assert_passes_as_it_is

from benchmark_bilevel import data
from benchmark_bilevel.data import cache, pickles, sources

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

FETCHED = ("ijcnn1", "covtype", "20newsgroups", "mnist", "fashion_mnist")


class Handler(BaseHTTPRequestHandler):
    """Serve ``server.files``, misbehaving as ``server.fault`` says."""

    def do_GET(self):
        server, fault = self.server, self.server.fault
        server.requests.append(self.path)
        mirror, name = self.path.strip("/").split("/")
        content = server.files.get(name)
        if content is None or fault == "absent" or mirror == server.dead_mirror:
            return self.send_error(404)
        if fault == "silent":
            return server.keep_waiting()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        if fault == "wrong":
            content = content[:half] + bytes(b ^ 0x55 for b in content[half:])
        try:
            self.wfile.write(content[:half])
            if fault == "hanging":
                server.keep_waiting()
            if fault == "slow":
                time.sleep(0.3)  # the fault itself: the client has to wait for the rest
            if fault not in ("cut", "hanging"):
                self.wfile.write(content[half:])
        except ConnectionError:
            pass  # the client has what it wants: libsvmdata looks at headers twice
        return None

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """Local web server; ``fault`` is what is wrong with it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.files, server.requests = {}, []
    server.fault = server.dead_mirror = None
    released, server.gave_up = threading.Event(), False

    def keep_waiting():
        # Only a client without a limit of its own waits that long.
        server.gave_up |= not released.wait(HANGING)

    server.keep_waiting = keep_waiting
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def old_objects():
    """What was there before these tests, where nothing is to be collected after each."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def home(tmp_path, monkeypatch, old_objects):
    """An empty data home, and nothing remembered from other tests."""
    monkeypatch.setenv("BENCHOPT_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(cache, "TIMEOUT", float(HANGING))
    monkeypatch.setattr(cache, "RETRY_DELAY", 0.1)
    forget()
    yield tmp_path / "home"
    forget()
    # Libraries leave the sockets of failed requests to the garbage collector: let it
    # come here, not in another test that takes warnings for errors.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def forget():
    data._load.cache_clear()
    cache.forget_failures()


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes())


def fake_images(server, monkeypatch, rng, prefix):
    sizes = {"train": 12, "t10k": 5}
    files = getattr(sources, f"{prefix}_SHA256")
    for name in files:
        n = sizes[name.split("-")[0]]
        shape = (n, 28, 28) if "images" in name else (n,)
        server.files[name] = idx(rng.integers(0, 10, shape).astype(np.uint8))
    sha256 = {name: hashlib.sha256(server.files[name]).hexdigest() for name in files}
    monkeypatch.setattr(sources, f"{prefix}_SHA256", sha256)
    mirrors = (f"{server.url}/first/", f"{server.url}/second/")
    monkeypatch.setattr(sources, f"{prefix}_MIRRORS", mirrors)


fake_mnist = partial(fake_images, prefix="MNIST")
fake_fashion_mnist = partial(fake_images, prefix="FASHION_MNIST")


def fake_ijcnn1(server, monkeypatch, rng):
    from libsvmdata import ALL_DATASETS

    for name, n in zip(sources.IJCNN1, (20, 8), strict=True):
        rows = [
            f"{label} " + " ".join(f"{j + 1}:{value:.6f}" for j, value in enumerate(x))
            for x, label in zip(rng.normal(size=(n, 22)), [-1, 1] * n, strict=False)
        ]
        server.files[f"{name}.bz2"] = bz2.compress("\n".join(rows).encode())
        dataset = ALL_DATASETS[name]
        monkeypatch.setattr(dataset, "dataset_url", f"{server.url}/libsvm/{name}.bz2")


def fake_covtype(server, monkeypatch, rng):
    table = np.c_[rng.integers(0, 99, (30, 54)), rng.integers(1, 8, 30)]
    text = "\n".join(",".join(map(str, row)) for row in table)
    remote(server, monkeypatch, _covtype, "covtype.gz", gzip.compress(text.encode()))


def fake_newsgroups(server, monkeypatch, rng):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for subset, n in (("train", 6), ("test", 4)):
            for i in range(n):
                text = " ".join(rng.choice(["alpha", "beta", "gamma"], 9)).encode()
                file = tarfile.TarInfo(f"20news-bydate-{subset}/group{i % 2}/{i}")
                file.size = len(text)
                tar.addfile(file, io.BytesIO(text))
    monkeypatch.setattr(sources, "NEWSGROUPS_TRAIN", 6)
    content = archive.getvalue()
    remote(server, monkeypatch, _twenty_newsgroups, "20news.tar.gz", content)


def remote(server, monkeypatch, module, name, content):
    """Make a fetcher of scikit-learn ask the local server."""
    server.files[name] = content
    archive = RemoteFileMetadata(
        filename=name,
        url=f"{server.url}/figshare/{name}",
        checksum=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setattr(module, "ARCHIVE", archive)


FAKES = {
    "ijcnn1": fake_ijcnn1,
    "covtype": fake_covtype,
    "20newsgroups": fake_newsgroups,
    "mnist": fake_mnist,
    "fashion_mnist": fake_fashion_mnist,
}


@pytest.fixture(params=FETCHED)
def source(request, server, home, tmp_path, monkeypatch):
    """A small stand-in for each data set that is fetched, from the local server."""
    return fake(request.param, server, tmp_path, monkeypatch)


@pytest.fixture
def mnist(server, home, tmp_path, monkeypatch):
    return fake("mnist", server, tmp_path, monkeypatch)


def fake(name, server, tmp_path, monkeypatch):
    FAKES[name](server, monkeypatch, np.random.default_rng(0))
    reference = tmp_path / "reference"
    reference.mkdir()
    source = sources.SOURCES[name]
    source.download(reference)
    source = replace(source, digest=cache.digest(source.read(reference)))
    monkeypatch.setitem(sources.SOURCES, name, source)
    server.requests.clear()
    return source


def failure(name, action=data.load):
    """The line that a user reads."""
    with pytest.raises(data.MissingData) as error:
        action(name)
    line = str(error.value)
    print(line)
    assert "\n" not in line and "Traceback" not in line, line
    return line


def files_of(home):
    """All files of a data home but the locks, which stay."""
    paths = (path for path in home.rglob("*") if path.is_file())
    return sorted(str(p.relative_to(home)) for p in paths if p.suffix != ".lock")


def finals(source):
    return sorted(f"{source.folder}/{file}" for file in source.files)


def truncate(path):
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@contextmanager
def impatience(monkeypatch, fault):
    """A short limit where the server says nothing; a busy machine could exceed it."""
    with monkeypatch.context() as patch:
        if fault in ("hanging", "silent"):
            patch.setattr(cache, "TIMEOUT", 0.4)
        yield


@pytest.mark.parametrize("fault", ["absent", "cut", "wrong", "hanging"])
def test_fault_then_good(source, server, home, monkeypatch, fault):
    server.fault = fault
    with impatience(monkeypatch, fault):
        line = failure(source.name)
    assert not server.gave_up, "the client has to be the first"
    assert line.startswith(f"{source.name}: no {source.files[0]}"), line
    assert str(home / source.folder) in line, line
    assert f"benchopt prepare . -d {source.name}" in line, line
    assert files_of(home) == [], "nothing may be left under any name"

    server.fault = None
    data.fetch(source.name)
    assert files_of(home) == finals(source)
    assert cache.digest(data.load(source.name)) == source.digest


def test_refused(source, server, home, capfd):
    server.shutdown()
    server.server_close()
    line = failure(source.name)
    assert "Connection refused" in line and str(home / source.folder) in line, line
    assert "Traceback" not in "".join(capfd.readouterr())
    assert files_of(home) == []


def test_second_time_is_free(source, server, home):
    first = data.load(source.name)
    n_requests = len(server.requests)
    assert n_requests > 0
    assert data.load(source.name)["X_train"] is first["X_train"]
    data.fetch(source.name)
    forget()
    second = data.load(source.name)
    assert len(server.requests) == n_requests
    assert cache.digest(second) == cache.digest(first) == source.digest


def test_truncated_file_is_fetched_again(source, server, home, capfd):
    data.fetch(source.name)
    for file in source.files:
        truncate(home / source.folder / file)
        forget()
        capfd.readouterr()
        assert cache.digest(data.load(source.name)) == source.digest
        said = capfd.readouterr().err.splitlines()
        noticed = [line for line in said if "unusable" in line]
        assert len(noticed) == 1 and file in noticed[0], said
        assert str(home / source.folder) in noticed[0], said
        assert "variable" not in noticed[0], "that is an error inside scikit-learn"
        assert files_of(home) == finals(source)


def test_truncated_file_without_network(source, server, home):
    data.fetch(source.name)
    truncate(home / source.folder / source.files[0])
    server.fault = "absent"
    forget()
    line = failure(source.name)
    assert "unusable" in line and str(home / source.folder) in line, line


def test_altered_file_is_fetched_again(mnist, server, home):
    """A sound file of the right form with other content."""
    data.fetch("mnist")
    path = home / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels = data.load("mnist")["y_test"]
    path.write_bytes(idx((labels.astype(np.uint8) + 1) % 10))
    server.requests.clear()
    forget()
    assert np.array_equal(data.load("mnist")["y_test"], labels)
    assert server.requests == [f"/first/{path.name}"], "the other files were good"


def test_altered_texts_are_fetched_again(server, home, tmp_path, monkeypatch):
    """scikit-learn would take any texts that it can read."""
    source = fake("20newsgroups", server, tmp_path, monkeypatch)
    good = dict(server.files)
    fake_newsgroups(server, monkeypatch, np.random.default_rng(1))
    folder = home / source.folder
    folder.mkdir(parents=True)
    source.download(folder)
    assert cache.digest(source.read(folder)) != source.digest

    remote(server, monkeypatch, _twenty_newsgroups, *next(iter(good.items())))
    assert cache.digest(data.load("20newsgroups")) == source.digest
    assert files_of(home) == finals(source)


def test_counts_are_made_from_texts_without_network(
    server, home, tmp_path, monkeypatch
):
    source = fake("20newsgroups", server, tmp_path, monkeypatch)
    data.fetch("20newsgroups")
    (home / source.folder / source.files[1]).unlink()
    server.fault = "absent"
    forget()
    assert cache.digest(data.load("20newsgroups")) == source.digest


class Payload:
    """Makes the folder `path` when it is unpickled by a machine that calls functions."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def as_pickle(payload):
    return zlib.compress(pickle.dumps({"train": payload, "test": payload}))


def as_joblib(content):
    file = io.BytesIO()
    joblib.dump(content, file, compress=9)
    return file.getvalue()


def as_joblib_inside_an_array(payload):
    return as_joblib((np.array([payload], object), np.zeros(3)))


@pytest.mark.parametrize("write", [as_pickle, as_joblib, as_joblib_inside_an_array])
@pytest.mark.parametrize("name", ["covtype", "20newsgroups"])
def test_nothing_in_a_pickle_is_executed(
    name, write, server, home, tmp_path, monkeypatch, capfd
):
    source = fake(name, server, tmp_path, monkeypatch)
    data.fetch(name)
    executed = tmp_path / "executed"
    for file in source.files:
        (home / source.folder / file).write_bytes(write(Payload(executed)))
        forget()
        assert cache.digest(data.load(name)) == source.digest
        assert not executed.exists()
        (noticed,) = [s for s in capfd.readouterr().err.splitlines() if "asks for" in s]
        assert f"it is a pickle that asks for {os.mkdir.__module__}.mkdir" in noticed
    # The payloads do work.
    joblib.load(io.BytesIO(as_joblib(Payload(executed))))
    assert executed.exists()


def test_pickles_are_read_as_joblib_reads_them(tmp_path):
    generator = np.random.default_rng(0)
    content = {
        "C": generator.standard_normal((300, 7)),
        "F": np.asfortranarray(generator.integers(0, 99, (30, 4))),
        "empty": np.zeros((0, 3)),
        "objects": np.array(["one", "two"], object),
        "text": np.array(["one", "two"]),
        "sparse": sparse.random(9, 5, 0.3, "csr", rng=generator),
        "bunch": Bunch(data=["a"], target=np.arange(3)),
        "rest": (1, 2.5, None, True, [{"a": "b"}]),
    }
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        joblib.dump(content, tmp_path / "file", compress=9, protocol=protocol)
        found = pickles.load(tmp_path / "file")
        assert repr(found) == repr(content)
        assert found["C"].tobytes() == content["C"].tobytes()
        assert np.array_equal(found["F"], content["F"])
        assert (found["sparse"] != content["sparse"]).nnz == 0


def test_texts_that_the_library_cannot_use_are_fetched_again(
    server, home, tmp_path, monkeypatch
):
    """A sound pickle without the texts: scikit-learn fails on it with a KeyError."""
    source = fake("20newsgroups", server, tmp_path, monkeypatch)
    folder = home / source.folder
    folder.mkdir(parents=True)
    (folder / source.reusable[0]).write_bytes(zlib.compress(pickle.dumps({"no": 1})))
    assert cache.digest(data.load("20newsgroups")) == source.digest
    assert files_of(home) == finals(source)


def test_contents_as_served(mnist, server):
    loaded = data.load("mnist")
    images = gzip.decompress(server.files["train-images-idx3-ubyte.gz"])[16:]
    assert loaded["X_train"].shape == (12, 784)
    assert loaded["X_train"].tobytes() == images
    assert loaded["y_test"].shape == (5,)


@pytest.mark.parametrize("fault", ["cut", "hanging", "silent", "slow"])
def test_mnist_download(mnist, server, home, monkeypatch, fault):
    """A slow server is patiently heard, a dead one is not."""
    server.fault = fault
    if fault == "slow":
        data.fetch("mnist")
        assert files_of(home) == finals(mnist)
    else:
        with impatience(monkeypatch, fault):
            line = failure("mnist")
        assert not server.gave_up
        assert files_of(home) == []
        assert "read" in line if fault == "cut" else "timed out" in line, line


def test_second_mirror(mnist, server, home):
    server.dead_mirror = "first"
    data.fetch("mnist")
    assert files_of(home) == finals(mnist)
    assert [path.split("/")[1] for path in server.requests[:2]] == ["first", "second"]


def test_failure_is_remembered_by_load_not_by_fetch(mnist, server):
    """A run with many solvers waits once for a dead server."""
    server.fault = "absent"
    line = failure("mnist")
    n_requests = len(server.requests)
    assert failure("mnist") == line
    assert len(server.requests) == n_requests
    failure("mnist", data.fetch)
    assert len(server.requests) == 2 * n_requests


def test_unwritable_home(mnist, home):
    home.write_text("a file where the folder should be")
    line = failure("mnist")
    assert str(home / "mnist") in line and "Not a directory" in line, line


def test_leftovers_of_a_killed_process(mnist, server, home):
    partial = home / "mnist" / ".mnist.partial"
    partial.mkdir(parents=True)
    (partial / "train-images-idx3-ubyte.gz").write_bytes(b"half")
    data.fetch("mnist")
    assert files_of(home) == finals(mnist)
    assert not partial.exists()


PROCESS = """
import json, sys
from dataclasses import replace
from benchmark_bilevel import data
from benchmark_bilevel.data import sources

mirrors, sha256, digest = json.loads(sys.argv[1])
sources.MNIST_MIRRORS, sources.MNIST_SHA256 = mirrors, sha256
sources.SOURCES["mnist"] = replace(sources.SOURCES["mnist"], digest=digest)
print(data.load("mnist")["X_train"].sum())
"""


def test_two_processes_fetch_once(mnist, server, home):
    server.fault = "slow"
    setup = json.dumps([sources.MNIST_MIRRORS, sources.MNIST_SHA256, mnist.digest])
    command = [sys.executable, "-c", PROCESS, setup]
    processes = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=HANGING) for process in processes]
    assert len({out for out, _ in outputs}) == 1 and outputs[0][0].strip(), outputs
    assert sorted(server.requests) == sorted(f"/first/{f}" for f in mnist.files)
    assert sum("fetching it from" in err for _, err in outputs) == 1, outputs
    assert files_of(home) == finals(mnist)


def plugin(name):
    return load_plugin(ROOT / "datasets" / f"{name}.py").Dataset


@pytest.mark.parametrize("name", data.NAMES)
def test_plugin_has_the_name_of_its_data(name):
    dataset = plugin(name)
    assert dataset.name == name
    assert "licence" in dataset.__doc__.lower()


def test_plugin_reports_missing_data(mnist, server):
    dataset = plugin("mnist").get_instance()
    server.fault = "absent"
    assert dataset.get_data() == {"missing": failure("mnist")}
    with pytest.raises(data.MissingData):
        dataset.prepare()
    server.fault = None
    dataset.prepare()
    assert cache.digest(dataset.get_data()) == mnist.digest


def test_data_home_of_the_running_benchmark(tmp_path, monkeypatch):
    import benchopt.benchmark

    class Running:
        benchmark_dir = tmp_path

        def get_setting(self, name):
            return {"data_home": "$SCRATCH/x", "data_paths": {}}[name]

    monkeypatch.setenv("SCRATCH", str(tmp_path))
    monkeypatch.setattr(benchopt.benchmark, "_RUNNING_BENCHMARK", Running())
    assert data.data_home() == (tmp_path / "x").resolve()


def test_data_home_outside_of_a_run(tmp_path, monkeypatch):
    import benchopt.benchmark

    monkeypatch.setattr(benchopt.benchmark, "_RUNNING_BENCHMARK", None)
    (tmp_path / "objective.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCHOPT_DATA_HOME", raising=False)
    assert data.data_home() == (tmp_path / "data").resolve()
    (tmp_path / "config.yml").write_text(f"data_home: {tmp_path}/configured\n")
    assert data.data_home() == (tmp_path / "configured").resolve()
    monkeypatch.setenv("BENCHOPT_DATA_HOME", str(tmp_path / "variable"))
    assert data.data_home() == (tmp_path / "variable").resolve()


def test_unknown_name():
    with pytest.raises(ValueError, match="no data set 'minst'; there are ijcnn1"):
        data.load("minst")


def test_import_is_cheap():
    """Plugins are imported to list them: no library of a source may come with it."""
    code = "import sys; before = set(sys.modules)\n"
    code += "from benchmark_bilevel.data import cache, home, sources\n"
    code += "print(*(set(sys.modules) - before))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    modules = set(result.stdout.split())
    assert "benchmark_bilevel.data.sources" in modules
    assert modules.isdisjoint({"sklearn", "libsvmdata", "pooch", "benchopt"})


# Features, samples of each class for training and for test, as the sources state them.
EXPECTED = {
    "ijcnn1": (22, "45137 4853", "82989 8712"),
    "covtype": (54, "211840 283301 35754 2747 9493 17367 20510", None),
    "20newsgroups": (
        130_107,
        "480 584 591 590 578 593 585 594 598 597 600 595 591 594 593 599 546 564 465 "
        "377",
        "319 389 394 392 385 395 390 396 398 397 399 396 393 396 394 398 364 376 310 "
        "251",
    ),
    "mnist": (
        784,
        "5923 6742 5958 6131 5842 5421 5918 6265 5851 5949",
        "980 1135 1032 1010 982 892 958 1028 974 1009",
    ),
    "digits": (64, "178 182 177 183 181 182 181 179 174 180", None),
    "breast_cancer": (30, "212 357", None),
    "fashion_mnist": (784, " ".join(10 * ["6000"]), " ".join(10 * ["1000"])),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_real_data(name):
    """Shapes, labels, types, and the known content (`load` verifies the digest)."""
    if name in sources.SOURCES:
        source = sources.SOURCES[name]
        # The word counts of 20newsgroups are made from the texts if need be.
        needed = source.reusable[:1] if name == "20newsgroups" else source.files
        folder = data.data_home() / source.folder
        absent = [file for file in needed if not (folder / file).exists()]
        if absent:
            pytest.skip(f"{name}: no {', '.join(absent)} in {folder}")
    loaded = data.load(name)
    n_features, *class_counts = EXPECTED[name]
    for part, counts in zip(("train", "test"), class_counts, strict=True):
        X, y = loaded[f"X_{part}"], loaded[f"y_{part}"]
        if counts is None:
            assert X is None and y is None
            continue
        counts = [int(count) for count in counts.split()]
        assert X.shape == (sum(counts), n_features)
        assert np.bincount(y).tolist() == counts
        assert y.dtype == np.int64
    X = loaded["X_train"]
    assert X.dtype == (np.uint8 if name.endswith("mnist") else np.float64)
    if name == "20newsgroups":
        assert sparse.issparse(X) and X.format == "csr"
        assert np.allclose(np.sqrt(X.multiply(X).sum(axis=1)), 1)
    else:
        assert X.flags.c_contiguous and not X.flags.writeable
    assert data.load(name)["X_train"] is X
    assert_passes_as_it_is(loaded)


def test_every_data_set_is_tested():
    assert set(EXPECTED) | {"diabetes"} == set(data.NAMES)


def test_diabetes():
    """Ten raw features of 442 patients, and targets that are no labels."""
    loaded = data.load("diabetes")
    X, y = loaded["X_train"], loaded["y_train"]
    assert X.shape == (442, 10) and X.flags.c_contiguous
    assert X[0].tolist() == [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
    assert y.dtype == np.float64 and (y[0], y.min(), y.max()) == (151, 25, 346)
    assert loaded["X_test"] is None and loaded["y_test"] is None
    assert_passes_as_it_is(loaded)


# As the authors list them beside their files.
FASHION_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def test_fashion_mnist_has_the_published_checksums():
    """The SHA-256 that the package knows are those of the published files."""
    folder = data.data_home() / "fashion_mnist"
    for name, md5 in FASHION_MNIST_MD5.items():
        if not (folder / name).exists():
            pytest.skip(f"no {name} in {folder}")
        content = (folder / name).read_bytes()
        assert hashlib.md5(content).hexdigest() == md5
        sha256 = hashlib.sha256(content).hexdigest()
        assert sha256 == sources.FASHION_MNIST_SHA256[name]
