"""Models, OpenAPI, health and counters."""

from __future__ import annotations

import hashlib
import json

from web_client import MODEL, noise, problem_of, served, wav

from stillwave import pretrained


def test_models_are_listed_with_limits(client):
    found = client.get("/v1/models").json()
    assert [entry["name"] for entry in found["models"] if entry["default"]] == [MODEL]
    assert {entry["name"] for entry in found["models"]} == set(pretrained.names())
    for entry in found["models"]:
        assert entry["rate"] == 16_000
        assert entry["delay_ms"] > 0
        assert entry["parameters"] > 0
        assert entry["summary"]
    assert found["limits"] == {"max_bytes": 2**31, "max_seconds": 14_400.0, "max_channels": 8}
    assert "wav" in found["formats"]


def test_the_file_of_a_model_is_cached_by_its_hash(client):
    response = client.get(f"/v1/models/{MODEL}/onnx")
    assert response.content == pretrained.find(MODEL).read_bytes()
    tag = response.headers["etag"]
    assert tag == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert "immutable" in response.headers["cache-control"]
    again = client.get(f"/v1/models/{MODEL}/onnx", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert problem_of(client.get("/v1/models/other/onnx")) == (404, "not-found")


def test_a_model_of_the_operator_is_offered_by_the_name_of_its_file(tmp_path):
    own = tmp_path / "mine.onnx"
    own.write_bytes(pretrained.find(MODEL).read_bytes())
    with served(model=str(own)) as client:
        first = client.get("/v1/models").json()["models"][0]
        assert (first["name"], first["default"], first["causal"]) == ("mine", True, True)
        assert str(tmp_path) not in client.get("/v1/models").text
        response = client.post("/v1/enhance?model=mine", content=wav(noise(1, 4_000)))
        assert response.headers["stillwave-model"] == "mine"


def test_openapi_describes_files_problems_and_examples(client):
    found = client.get("/openapi.json").json()
    operation = found["paths"]["/v1/enhance"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/octet-stream", "multipart/form-data"}
    assert {"200", "400", "401", "413", "415", "422", "429", "503"} <= set(operation["responses"])
    example = operation["responses"]["429"]["content"]["application/problem+json"]["example"]
    assert example["type"] == "urn:stillwave:problem:full"
    options = {one["name"] for one in operation["parameters"]}
    assert options == {"name", "model", "limit_db", "strength", "keep_clean", "rate", "format", "original"}
    assert "example" in json.dumps(found["paths"]["/v1/models"])
    assert client.get("/docs").status_code == 404


def test_counters_hold_no_names(client):
    client.post("/v1/enhance?name=private-name.wav", content=wav(noise(1, 8_000)))
    text = client.get("/metrics").text
    assert 'stillwave_requests_total{route="/v1/enhance",status="200"}' in text
    assert "stillwave_recording_seconds_total" in text
    assert "private-name" not in text


def test_a_service_that_is_stopped_refuses_new_requests():
    with served() as client:
        client.portal.call(client.app.state.service.draining.set)
        assert client.get("/healthz").status_code == 200
        assert problem_of(client.get("/readyz")) == (503, "draining")
        response = client.post("/v1/enhance", content=wav(noise(1, 4_000)))
        assert problem_of(response) == (503, "draining")
        assert "retry-after" in response.headers
