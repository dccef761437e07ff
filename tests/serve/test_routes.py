from __future__ import annotations

import pytest

from trueup.serve.refusals import NoSuchPath, WrongMethod
from trueup.serve.routes import Route, Routes

ONE, TWO = Routes(["fraud"]), Routes(["fraud", "churn"])


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        (b"POST", b"/predict/fraud", Route("predict", "fraud")),
        (b"POST", b"/predict", Route("predict", "fraud")),
        (b"POST", b"/outcomes", Route("outcomes", "fraud")),
        (b"POST", b"/verdicts/fraud", Route("verdicts", "fraud")),
        (b"GET", b"/v2", Route("server_metadata")),
        (b"GET", b"/v2/health/live", Route("live")),
        (b"GET", b"/v2/models/fraud", Route("model_metadata", "fraud")),
        (b"GET", b"/v2/models/fraud/ready", Route("model_ready", "fraud")),
        (b"POST", b"/v2/models/fraud/infer", Route("infer", "fraud")),
        (b"GET", b"/v2/models/fraud/versions/abc", Route("model_metadata", "fraud", "abc")),
        (b"POST", b"/v2/models/fraud/versions/abc/infer", Route("infer", "fraud", "abc")),
    ],
)
def test_a_path_means_an_operation(method: bytes, path: bytes, route: Route) -> None:
    assert ONE.find(method, path) == route


def test_with_several_projects_the_path_names_one() -> None:
    assert TWO.find(b"POST", b"/predict/churn").project == "churn"
    with pytest.raises(NoSuchPath):
        TWO.find(b"POST", b"/outcomes")


@pytest.mark.parametrize(
    "path",
    [
        *(b"", b"/", b"*", b"/predict/", b"/predict/other", b"/v2/", b"/v2/models/other/infer", b"/predict/fraud/"),
        *(b"/v2/models/fraud/versions/", b"/v2/models/fraud/versions//infer", b"/v2/models/fraud/versions/a/b/c"),
        *(b"/predict/fraud/versions/abc", b"/\xff"),
    ],
)
def test_nothing_is_at_other_paths(path: bytes) -> None:
    with pytest.raises(NoSuchPath):
        ONE.find(b"POST", path)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [(b"GET", b"/predict/fraud", b"POST"), (b"DELETE", b"/v2", b"GET, HEAD"), (b"PUT", b"/metrics", b"GET, HEAD")],
)
def test_another_method_is_told_which_is_taken(method: bytes, path: bytes, allowed: bytes) -> None:
    with pytest.raises(WrongMethod) as refused:
        ONE.find(method, path)
    assert refused.value.headers == ((b"allow", allowed),)
