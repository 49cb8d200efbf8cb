"""Selections over HTTP are the space's own, and come back as ids, places, a condition and files."""

from __future__ import annotations

import csv
import io

import numpy as np
import pyarrow.parquet as pq

from semblance.space.space import Space

ZOO = "/api/spaces/zoo"


def test_a_selection_is_the_spaces_and_every_form_names_the_same_items(client, folder):
    said = client.post(f"{ZOO}/select", json={"name": "my lasso", "ids": ["5", "3", "nobody", "3"]}).json()
    assert (said["items"], said["missing"], said["stored"]) == (2, ["nobody"], True)
    with Space(folder) as space:
        assert space.select("my lasso") == ["5", "3"]
        assert sorted(space.store.ids(space.store.rows_where(said["where"]))) == ["3", "5"]
    place = f"{ZOO}/selections/my%20lasso"
    assert client.get(place).json() == {
        "name": "my lasso",
        "ids": ["5", "3"],
        "positions": [5, 3],
        "where": said["where"],
    }
    assert np.frombuffer(client.get(f"{place}?format=positions").content, "<u4").tolist() == [5, 3]
    answer = client.get(f"{place}?format=csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == ["5", "3"] and rows[0]["city"] in ("Oslo", "Bergen", "Tromsø")
    table = pq.read_table(io.BytesIO(client.get(f"{place}?format=parquet").content))
    assert table["id"].to_pylist() == ["5", "3"] and table["boxes"].to_pylist() == [[5, 6], [3, 4]]
    assert client.get(f"{place}?format=where").text == said["where"]


def test_a_selection_made_in_python_is_served(client, folder):
    with Space(folder) as space:
        space.select("old", where="year < 2000")
    listed = client.get(f"{ZOO}/selections").json()["selections"]
    assert [one["name"] for one in listed] == ["old"]
    assert client.delete(f"{ZOO}/selections/old").status_code == 204
    assert client.get(f"{ZOO}/selections/old").status_code == 404


def test_a_condition_selects_what_it_finds(client, folder):
    said = client.post(f"{ZOO}/select", json={"name": "late", "where": "year > 2015"}).json()
    with Space(folder) as space:
        assert said["items"] == len(space.store.rows_where("year > 2015"))


def test_a_formula_in_a_csv_file_is_text(client, folder):
    with Space(folder) as space:
        space.update(["1"], {"city": ['=cmd|"/c calc"!A1']})
    client.get(f"{ZOO}/labels")
    client.post(f"{ZOO}/select", json={"name": "one", "ids": ["1"]})
    (row,) = csv.DictReader(io.StringIO(client.get(f"{ZOO}/selections/one?format=csv").text))
    assert row["city"].startswith("'=")
